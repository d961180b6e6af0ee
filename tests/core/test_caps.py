"""The caps on money as properties of integers: M2 to M6 against exact arithmetic that shares nothing with them."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.caps import (
    Move,
    account_daily_budget_micros,
    change_violations,
    daily_violations,
    membership_violations,
    remaining_daily_micros,
    step_bounds,
    used_daily_micros,
)
from tasks.core.changeset import Change
from tasks.core.policy import Policy

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
CENT = 10_000
MICROS = 1_000_000
POLICY = Policy()
BUDGETS = st.integers(1, 10_000_000).map(lambda cents: cents * CENT)


def change(before: int, after: int, **facts: object) -> Change:
    base = Change("c-b1", "b1", "SEARCH_NONBRAND", ("c1",), False, before, after, before, after > before, 900_000)
    return dataclasses.replace(base, **facts)  # type: ignore[arg-type]


def names(found: Sequence[object]) -> list[str]:
    return [str(v).split(":")[0] for v in found]


@given(before=BUDGETS, after=BUDGETS, pct=st.decimals(0, 5, places=2))
def test_a_step_passes_exactly_if_it_is_within_the_percentage(before: int, after: int, pct: Decimal) -> None:
    """M2 in both directions: refused from the first micro beyond, allowed up to it."""
    policy = Policy(step_cap_pct=pct)
    found = names(change_violations(change(before, after, highest_daily_spend_micros=after), 1, policy))
    assert ("M2 step_cap" in found) == (Fraction(abs(after - before)) > Fraction(before) * Fraction(pct) / 100)


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        (100 * MICROS, 105 * MICROS, None),
        (100 * MICROS, 105 * MICROS + CENT, "M2 step_cap"),
        (100 * MICROS, 95 * MICROS, None),
        (100 * MICROS, 95 * MICROS - CENT, "M2 step_cap"),
        (100 * MICROS, 104 * MICROS + 1, "M2 unit"),
        (0, CENT, "M2 step_cap"),
        (CENT, 0, "M2 unit"),
    ],
)
def test_the_step_cap_at_its_edge(before: int, after: int, name: str | None) -> None:
    """M2: 5 % to the cent; no amount that the platform would round; nothing from nothing and nothing to nothing."""
    found = names(change_violations(change(before, after), 1, POLICY))
    assert (name in found) if name else (found == [])


@given(before=BUDGETS, highest=BUDGETS, headroom=st.integers(0, 100), floor=st.none() | BUDGETS, ceiling=st.none() | BUDGETS)
def test_the_bounds_of_a_step_break_no_cap(
    before: int, highest: int, headroom: int, floor: int | None, ceiling: int | None
) -> None:
    """M2, M5: both ends that the planner may use pass the check made later from the bytes; a budget is never forced."""
    policy = Policy(
        headroom_pct=Decimal(headroom),
        budget_floor_micros={} if floor is None else {"b1": floor},
        budget_ceiling_micros={} if ceiling is None else {"b1": ceiling},
    )
    low, high = step_bounds(before, highest, policy, "b1")
    assert low <= before <= high
    for after in {low, high} - {before}:
        one = change(before, after, highest_daily_spend_micros=highest, is_extrapolated=after > highest)
        assert change_violations(one, 1, policy) == []


@pytest.mark.parametrize(
    ("facts", "rules", "name"),
    [
        ({"p_cac_le_target_ppm": 799_999}, {}, "M4 cac_probability"),
        ({"p_cac_le_target_ppm": 800_000}, {}, None),
        ({"p_cac_le_target_ppm": 800_000}, {"min_probability": Decimal("0.8000005")}, "M4 cac_probability"),
        ({}, {"target_cac_micros": 59 * MICROS}, "M4 cac_target"),
        ({}, {"target_cac_micros": 60 * MICROS}, None),
        ({"highest_daily_spend_micros": 87 * MICROS, "is_extrapolated": True}, {}, "M5 historical_spend"),
        ({"highest_daily_spend_micros": 88 * MICROS, "is_extrapolated": True}, {}, None),
        ({"highest_daily_spend_micros": 104 * MICROS, "is_extrapolated": False}, {}, "M5 extrapolation_not_flagged"),
        ({"highest_daily_spend_micros": 105 * MICROS, "is_extrapolated": False}, {}, None),
        ({}, {"budget_ceiling_micros": {"b1": 104 * MICROS}}, "M5 ceiling"),
        ({}, {"budget_ceiling_micros": {"b2": 104 * MICROS}}, None),
        ({}, {"fixed_campaign_ids": ("c1",)}, "M6 fixed_campaign"),
        ({"campaign_ids": ("c1", "c2")}, {}, "M6 not_shared"),
        ({"campaign_ids": ("c1", "c2"), "is_shared": True}, {}, None),
    ],
)
def test_an_increase_is_checked_against_each_cap(facts: dict[str, object], rules: dict[str, object], name: str | None) -> None:
    """M4, M5, M6 each by itself, at its edge: 100 to 105 against a target of 60."""
    found = names(change_violations(change(100 * MICROS, 105 * MICROS, **facts), 60 * MICROS, Policy(**rules)))  # type: ignore[arg-type]
    assert found == ([name] if name else [])


def test_a_decrease_needs_no_probability_but_keeps_the_floor() -> None:
    """Spending less is never refused for uncertainty (M4 is about increases); the policy's floor holds."""
    unsure = change(100 * MICROS, 95 * MICROS, p_cac_le_target_ppm=0, highest_daily_spend_micros=0)
    assert change_violations(unsure, 60 * MICROS, POLICY) == []
    assert names(change_violations(unsure, 1, Policy(budget_floor_micros={"b1": 96 * MICROS}))) == ["M2 floor"]


def move(budget: str, before: int, after: int, hours_ago: float = 1) -> Move:
    return Move(budget, NOW - timedelta(hours=hours_ago), before * MICROS, after * MICROS)


def test_up_and_down_do_not_cancel() -> None:
    """M3: +10 % and then −10 % is 20 % moved, by whomever; a sum of signed changes would say 0."""
    up, down = move("b1", 100, 110), move("b1", 110, 100)
    assert used_daily_micros([up, down], [], NOW) == 20 * MICROS
    assert used_daily_micros([], [up, down], NOW) == 20 * MICROS
    assert used_daily_micros([up], [down], NOW) == 20 * MICROS


@pytest.mark.parametrize(
    ("own", "logged", "expected"),
    [
        ([("b1", 100, 105)], [("b1", 100, 105)], 5),  # the log repeats ours
        ([("b1", 100, 105)], [("b1", 100, 105), ("b1", 105, 100)], 10),  # somebody took it back
        ([("b1", 100, 105)], [("b1", 100, 105), ("b1", 105, 100), ("b1", 100, 105)], 15),  # and made it again
        ([("b1", 100, 105)], [("b2", 100, 105)], 10),  # the same step of another budget is not ours
        ([("b1", 100, 105)], [("b1", 100, 106)], 11),  # nor another step of the same budget
        ([("b1", 100, 105), ("b1", 100, 105)], [("b1", 100, 105)], 10),  # an intent that the log does not show yet
        ([], [("b9", 0, 50)], 50),  # a budget that somebody made
        ([], [("b9", 50, 0)], 50),  # and one that somebody removed
    ],
)
def test_each_of_ours_takes_one_event_of_the_log(
    own: list[tuple[str, int, int]], logged: list[tuple[str, int, int]], expected: int
) -> None:
    """M3 counts what others did exactly once and what we did exactly once, though the account's log holds both."""
    assert used_daily_micros([move(*m) for m in own], [move(*m) for m in logged], NOW) == expected * MICROS


def test_the_window_is_24_hours_and_the_future_counts() -> None:
    """M3: exactly 24 h ago is inside, a second more is not; a clock ahead of ours hides nothing."""
    second = 1 / 3600
    assert used_daily_micros([], [move("b1", 100, 105, 24)], NOW) == 5 * MICROS
    assert used_daily_micros([], [move("b1", 100, 105, 24 + second)], NOW) == 0
    assert used_daily_micros([], [move("b1", 100, 105, -5)], NOW) == 5 * MICROS


MOVES = st.lists(
    st.builds(
        Move,
        st.sampled_from(["b1", "b2"]),
        st.integers(0, 30).map(lambda h: NOW - timedelta(hours=h)),
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    max_size=6,
)


@given(own=MOVES, others=MOVES)
def test_the_sum_is_never_below_what_either_side_shows(own: list[Move], others: list[Move]) -> None:
    """M3: at least everything of ours, at least everything in the log, at most both; with a full log exactly both."""

    def size(moves: list[Move]) -> int:
        return sum(abs(m.amount_after_micros - m.amount_before_micros) for m in moves if NOW - m.at <= timedelta(hours=24))

    used = used_daily_micros(own, others, NOW)
    assert max(size(own), size(others)) <= used <= size(own) + size(others)
    assert used_daily_micros(own, own + others, NOW) == size(own) + size(others)


@given(base=BUDGETS, used=st.integers(0, 10**13), size=st.integers(0, 10**13), pct=st.decimals(0, 10, places=1))
def test_the_daily_cap_is_exact(base: int, used: int, size: int, pct: Decimal) -> None:
    """M3: refused exactly if the whole day's sum passes the percentage; what remains always fits."""
    policy = Policy(daily_cap_pct=pct)
    is_refused = bool(daily_violations(size, used, base, policy))
    assert is_refused == (Fraction(used + size) > Fraction(base) * Fraction(pct) / 100)
    left = remaining_daily_micros(base, used, policy)
    assert left >= 0
    assert left == 0 or daily_violations(left, used, base, policy) == []
    assert daily_violations(left + 1, used, base, policy)


@dataclasses.dataclass(frozen=True)
class Budget:
    budget_id: str
    amount_micros: int
    enabled_campaign_ids: tuple[str, ...] = ("c1",)
    status: str = "ENABLED"


def test_only_budgets_that_pay_make_the_account_budget() -> None:
    """M3's base: a budget without running campaigns or a removed one would loosen the cap; a shared one counts once."""
    budgets = [
        Budget("b1", 100),
        Budget("b2", 50, ("c2", "c3")),
        Budget("b2", 50, ("c2", "c3")),
        Budget("b3", 1_000, ()),
        Budget("b4", 1_000, status="REMOVED"),
    ]
    assert account_daily_budget_micros(budgets) == 150
    assert account_daily_budget_micros([]) == 0


@pytest.mark.parametrize(
    ("shared", "members", "references", "expected"),
    [
        (True, ("c2", "c1"), 2, []),
        (True, ("c1",), 1, ["M6 members"]),
        (True, ("c1", "c2", "c3"), 3, ["M6 members"]),
        (False, ("c1", "c2"), 2, ["M6 shared"]),
        (True, ("c1", "c2"), 3, ["M6 unlisted_members"]),
    ],
)
def test_the_campaigns_that_draw_on_a_budget_are_those_approved(
    shared: bool, members: tuple[str, ...], references: int, expected: list[str]
) -> None:
    """M6: one more, one less, no longer shared, or one that the platform counts but does not list."""
    one = change(100 * MICROS, 105 * MICROS, campaign_ids=("c1", "c2"), is_shared=True)
    assert names(membership_violations(one, shared, members, references)) == expected
