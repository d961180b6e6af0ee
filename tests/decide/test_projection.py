"""Steps of budgets: never past a cap, always paid for, and the same whatever order the tables gave the budgets in."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.decide.projection import Limit, Movable, Move, Step, project

UNIT = 10_000
CAP = "daily_cap_10_pct"


def movable(budget_id: str, channel: str, amount: int, *, step: int | None = None, priority: float = 1.0) -> Movable:
    size = amount // 20 if step is None else step
    return Movable(
        budget_id, channel, amount, (Limit("step_cap_5_pct", amount + size),), (Limit("step_cap_5_pct", amount - size),), priority
    )


UP = Move(+1, (Limit("optimum", 10**12),), 2.0)
DOWN = Move(-1, (Limit("optimum", 10**12),), 1.0)


def run(budgets: list[Movable], moves: dict[str, Move], cap: int = 10**12, net: int = 0) -> dict[str, Step]:
    steps = project(budgets, moves, daily_cap_micros=cap, daily_cap_name=CAP, net_micros=net, unit_micros=UNIT)
    return {step.budget_id: step for step in steps}


def test_an_increase_is_paid_by_the_least_useful_channel() -> None:
    """Of two payers the one whose money brings least pays, and only as much as is needed."""
    budgets = [movable("up", "a", 1_000_000_000), movable("poor", "b", 2_000_000_000), movable("fair", "c", 2_000_000_000)]
    found = run(budgets, {"a": UP, "b": DOWN, "c": Move(-1, (Limit("optimum", 10**12),), 1.5)})
    assert {k: s.delta_micros for k, s in found.items()} == {"up": 50_000_000, "poor": -50_000_000, "fair": 0}
    assert found["up"].binding == "step_cap_5_pct"
    assert found["fair"].binding == "total_constant"


def test_without_a_payer_nothing_grows() -> None:
    """Increases alone are held, and the reason is financing."""
    found = run([movable("up", "a", 1_000_000_000)], {"a": UP})
    assert (found["up"].delta_micros, found["up"].binding) == (0, "financing")


def test_money_never_moves_to_where_it_brings_less() -> None:
    """An increase worth less than what its payer would lose is not made."""
    low = Move(+1, (Limit("optimum", 10**12),), 0.5)
    found = run([movable("up", "a", 10**9), movable("down", "b", 10**9)], {"a": low, "b": DOWN})
    assert [s.delta_micros for s in found.values()] == [0, 0]


def test_growth_and_shrinking_go_only_as_far_as_allowed() -> None:
    """A positive net lets increases exceed decreases by that much; a negative one asks for that much less."""
    budgets = [movable("up", "a", 10**9), movable("down", "b", 10**8)]
    grown = run(budgets, {"a": UP, "b": DOWN}, net=20_000_000)
    assert sum(s.delta_micros for s in grown.values()) == 20_000_000
    shrunk = run([movable("up", "a", 10**8), movable("down", "b", 10**9)], {"a": UP, "b": DOWN}, net=-20_000_000)
    assert sum(s.delta_micros for s in shrunk.values()) == -20_000_000


def test_the_budget_most_limited_is_raised_first_and_pays_last() -> None:
    """Within a channel the priority decides who gets what there is."""
    budgets = [movable("idle", "a", 10**9, priority=0.9), movable("tight", "a", 10**9, priority=1.4), movable("pay", "b", 10**9)]
    found = run(budgets, {"a": UP, "b": DOWN})
    assert {k: s.delta_micros for k, s in found.items()} == {"idle": 0, "tight": 50_000_000, "pay": -50_000_000}


def test_amounts_off_the_unit_are_rounded_towards_the_present() -> None:
    """An odd amount ends on a whole unit without passing 5 %, and increases never exceed decreases by the rounding."""
    found = run([movable("up", "a", 100_003_333), movable("down", "b", 300_007_777)], {"a": UP, "b": DOWN})
    assert all(s.after_micros % UNIT == 0 for s in found.values())
    assert 0 < found["up"].delta_micros <= 100_003_333 // 20
    assert 0 <= -sum(s.delta_micros for s in found.values()) < 2 * UNIT


def test_a_step_below_the_unit_that_nobody_pays_for_is_taken_back() -> None:
    """A budget one micro below a whole unit does not grow by that micro when its payer's step is rounded away."""
    payer = Movable("down", "b", 10_002, (), (Limit("step_cap_5_pct", 9_502), Limit("minimum_unit", UNIT)), 1.0)
    found = run([movable("up", "a", 89_999), payer], {"a": Move(+1, (Limit("optimum", 1),), 2.0), "b": DOWN})
    assert {k: s.delta_micros for k, s in found.items()} == {"up": 0, "down": 0}


@st.composite
def accounts(draw: st.DrawFn) -> tuple[list[Movable], dict[str, Move], int, int]:
    channels = draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=5, unique=True))
    moves = {
        c: Move(draw(st.sampled_from([-1, 1])), (Limit("optimum", draw(st.integers(0, 10**9))),), draw(st.floats(0, 5)))
        for c in channels
    }
    budgets = []
    for number in range(draw(st.integers(1, 8))):
        amount = draw(st.integers(0, 3 * 10**9))
        step = amount // 20
        top = draw(st.integers(0, 4 * 10**9))
        bottom = draw(st.integers(0, 4 * 10**9))
        tops = (Limit("ceiling", top), Limit("step_cap_5_pct", amount + step))
        bottoms = (Limit("floor", bottom), Limit("step_cap_5_pct", amount - step), Limit("minimum_unit", UNIT))
        budgets.append(Movable(f"b{number}", draw(st.sampled_from(channels)), amount, tops, bottoms, draw(st.floats(0, 2))))
    return budgets, moves, draw(st.integers(0, 10**9)), draw(st.sampled_from([0, 0, 10**7, -(10**7)]))


@settings(max_examples=300, deadline=None)
@given(accounts(), st.randoms(use_true_random=False))
def test_no_cap_is_ever_passed(account: tuple[list[Movable], dict[str, Move], int, int], shuffler: random.Random) -> None:
    """For any account: step cap, ceiling, floor, channel limit, rolling cap, financing, direction, unit, determinism."""
    budgets, moves, cap, net = account
    found = run(budgets, moves, cap, net)
    for b in budgets:
        step = found[b.budget_id]
        assert abs(step.delta_micros) <= b.amount_micros // 20
        assert step.delta_micros * moves[b.channel].direction >= 0
        if step.delta_micros:
            assert step.after_micros % UNIT == 0
        if step.delta_micros > 0:
            assert step.after_micros <= min(t.micros for t in b.tops)
        if step.delta_micros < 0:
            assert step.after_micros >= max(t.micros for t in b.bottoms)
    for channel, move in moves.items():
        assert sum(abs(found[b.budget_id].delta_micros) for b in budgets if b.channel == channel) <= move.limits[0].micros
    up = sum(max(s.delta_micros, 0) for s in found.values())
    down = -sum(min(s.delta_micros, 0) for s in found.values())
    assert up + down <= cap
    assert up <= down + max(net, 0)
    assert down - up <= max(-net, 0) + UNIT * len(budgets)
    shuffled = list(budgets)
    shuffler.shuffle(shuffled)
    assert run(shuffled, moves, cap, net) == found


@pytest.mark.parametrize("cap", [0, 1, 59_999])
def test_a_rolling_cap_used_up_stops_every_step(cap: int) -> None:
    """What others changed in the last 24 h leaves nothing: no step is made and the cap is named."""
    found = run([movable("up", "a", 10**9, step=30_000), movable("down", "b", 10**9, step=30_000)], {"a": UP, "b": DOWN}, cap=cap)
    assert sum(abs(s.delta_micros) for s in found.values()) <= cap
    if cap < 2:
        assert {s.binding for s in found.values()} == {CAP}
