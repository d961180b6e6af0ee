"""Splits: exact sums, a reserve that is what was said, caps that hold, propensities that are frequencies."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tasks.decide.bandit_split import PPM, Arm, Explored, Reserve, Rules, decide, reserve_of, to_ppm

CAP = 80_000_000


def arm(name: str, conversions: float, spend: float, **changes: object) -> Arm:
    found = Arm(name, conversions, spend, conversions, spend, round(spend * 1e6), by_segment=((conversions, spend),) * 2)
    return replace(found, **changes)  # type: ignore[arg-type]


GOOD = [arm("a", 40, 2000), arm("b", 30, 2000), arm("c", 20, 2000)]
arms_strategy = st.lists(
    st.tuples(st.floats(0.5, 200), st.floats(50, 20_000), st.booleans(), st.booleans()), min_size=1, max_size=7
)


@settings(max_examples=60, deadline=None)
@given(
    drawn=arms_strategy,
    least=st.integers(0, 500_000),
    borrow=st.integers(0, PPM),
    policy=st.sampled_from(["thompson", "ucb", "lin_ts", "lin_ucb"]),
    cap=st.sampled_from([None, CAP]),
)
def test_every_split_is_whole(
    drawn: list[tuple[float, float, bool, bool]], least: int, borrow: int, policy: str, cap: int | None
) -> None:
    """Shares sum to one million; one arm leads and explores nothing, one is chosen, and it has a share; a dropped arm has none;
    somebody always serves; the same seed decides the same."""
    arms = [arm(f"x{n}", a, e, is_enabled=on, is_fatigued=tired) for n, (a, e, on, tired) in enumerate(drawn)]
    rules = Rules(policy, Reserve(least, borrow), cap, 0.9, 400_000_000, 500_000_000, draws=300)  # type: ignore[arg-type]
    found = decide(arms, rules, 5)
    assert [choice.arm_id for choice in found] == [a.arm_id for a in arms]
    assert sum(choice.share_ppm for choice in found) == PPM
    (leader,) = [choice for choice in found if choice.is_leader]
    (chosen,) = [choice for choice in found if choice.is_chosen]
    assert chosen.share_ppm > 0
    assert leader.explore_ppm == 0
    assert all(choice.explore_ppm == choice.share_ppm for choice in found if not choice.is_leader)
    for choice, a in zip(found, arms, strict=True):
        if choice.action == "pause":
            assert choice.share_ppm == 0
            assert a.spend_micros >= rules.min_sample_micros
        else:
            assert choice.action == ("keep" if a.is_enabled else "enable")
    assert found == decide(arms, rules, 5)


@pytest.mark.parametrize("policy", ["thompson", "ucb", "lin_ts", "lin_ucb"])
def test_the_reserve_is_exactly_what_is_explored(policy: str) -> None:
    """Without a loan the others than the leader get 100,000 parts per million, not one more."""
    found = decide(GOOD, Rules(policy=policy), 3)  # type: ignore[arg-type]
    assert sum(choice.explore_ppm for choice in found) == 100_000
    assert next(choice.arm_id for choice in found if choice.is_leader) == "a"


def test_the_chosen_arm_comes_as_often_as_its_propensity_says() -> None:
    """Chi-square over three thousand seeds: chosen arms against the sum of their propensities."""
    rules = Rules(reserve=Reserve(300_000), draws=200)
    expected, seen = Counter[str](), Counter[str]()
    for seed in range(3000):
        for choice in decide(GOOD, rules, seed):
            expected[choice.arm_id] += choice.share_ppm / PPM
            seen[choice.arm_id] += choice.is_chosen
    names = sorted(expected)
    assert chisquare([seen[name] for name in names], [expected[name] for name in names]).pvalue > 0.001
    assert sum(expected.values()) == pytest.approx(3000)


def test_an_arm_that_is_surely_too_dear_is_dropped_after_its_minimum_sample_and_not_before() -> None:
    """1 conversion for 600 is dropped where the sample is 400; where it is 800 the arm gets what is left of it, no more."""
    dear = arm("d", 1, 600)
    after = decide([*GOOD, dear], Rules(cac_cap_micros=CAP, min_sample_micros=400_000_000, day_spend_micros=1_000_000_000), 1)[3]
    assert (after.action, after.share_ppm) == ("pause", 0)
    assert after.reason.startswith("P(CAC > 80.00) is 0.99")
    rules = Rules(reserve=Reserve(500_000), cac_cap_micros=CAP, min_sample_micros=610_000_000, day_spend_micros=1_000_000_000)
    before = decide([*GOOD, dear], rules, 1)[3]
    assert before.action == "keep"
    assert before.share_ppm <= 10_000
    assert "what is left of its minimum sample" in before.reason


def test_the_last_ad_of_a_group_is_never_dropped() -> None:
    """Where all are too dear the least dear one goes on and says so."""
    found = decide([arm("d", 1, 900), arm("e", 2, 900)], Rules(cac_cap_micros=CAP, min_sample_micros=400_000_000), 1)
    assert [(c.action, c.share_ppm) for c in found] == [("pause", 0), ("keep", PPM)]
    assert "would be left without one" in found[1].reason


def test_a_new_arm_spends_its_minimum_sample_over_ten_days() -> None:
    """However promising, an arm on trial gets a tenth of its sample a day, so that its conversions can arrive."""
    new = arm("n", 1, 10, cac_alpha=1.0, cac_exposure=30.0)
    rules = Rules(
        reserve=Reserve(100_000, PPM), cac_cap_micros=CAP, min_sample_micros=800_000_000, day_spend_micros=1_000_000_000
    )
    found = decide([*[replace(a, spend_micros=10**9) for a in GOOD], new], rules, 1)
    assert next(c for c in found if c.arm_id == "n").share_ppm <= 80_001


def test_a_fatigued_ad_is_not_explored_unless_all_are() -> None:
    """What is explored goes to ads that people have not seen too often."""
    tired = [GOOD[0], replace(GOOD[1], is_fatigued=True), GOOD[2]]
    assert decide(tired, Rules(), 1)[1].explore_ppm == 0
    both = [GOOD[0], *(replace(a, is_fatigued=True) for a in GOOD[1:])]
    assert sum(choice.explore_ppm for choice in decide(both, Rules(), 1)) == 100_000


def test_a_loan_is_taken_only_where_arms_are_uncertain() -> None:
    """With a loan on offer a group of unknown arms explores most of its spend, one with a clear leader its reserve."""
    unknown = [arm(name, 3, 150) for name in "abc"]
    clear = [arm("a", 400, 8000), arm("b", 40, 8000)]
    rules = Rules(reserve=Reserve(100_000, PPM))
    assert sum(choice.explore_ppm for choice in decide(unknown, rules, 1)) > 400_000
    assert sum(choice.explore_ppm for choice in decide(clear, rules, 1)) == 100_000


@pytest.mark.parametrize(
    ("so_far", "least", "borrow"),
    [
        (Explored(), 0.10, 1.0),  # nothing yet: the policy's share, and a loan
        (Explored(1000, 100, 700, 10), 0.10, 1.0),  # as planned
        (Explored(1000, 50, 700, 10), 0.10 + 50 / 700, 1.0),  # too little: made up for over a week
        (Explored(7000, 0, 700, 70), 0.20, 1.0),  # at most twice
        (Explored(1000, 300, 700, 10), 0.05, 0.0),  # two days' spend in debt: half, and no loan
        (Explored(7000, 735, 700, 70), 0.10 - 35 / 700, 0.15),  # an old account may borrow half a day's spend
    ],
)
def test_the_reserve_makes_up_for_what_was_explored(so_far: Explored, least: float, borrow: float) -> None:
    """What is missing or too much of a tenth of spend is balanced over about a week, within half and twice of it."""
    found = reserve_of(0.1, so_far)
    assert (found.least_ppm / PPM, found.borrow_ppm / PPM) == (pytest.approx(least, abs=1e-6), pytest.approx(borrow, abs=1e-6))


def test_no_exploration_is_none() -> None:
    """A policy of 0 % explores nothing and borrows nothing."""
    assert reserve_of(0.0, Explored(1000, 100, 700, 10)) == Reserve(0, 0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.integers(0, PPM))
def test_parts_per_million_sum_exactly(shares: list[float], total: int) -> None:
    """Rounding never makes or loses a part, and nothing comes of nothing."""
    found = to_ppm(np.array(shares), total)
    assert found.sum() == (total if sum(shares) > 0 else 0)
    assert all(ppm == 0 for ppm, share in zip(found, shares, strict=True) if share == 0)
