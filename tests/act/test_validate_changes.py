"""validate-changes: the caps of the whole set against the account as it is, then the platform's own check (M8)."""

import dataclasses
from typing import Any

import pytest
from act_world import MICROS, World

from tasks.core.errors import GateStop, Refused


def snapshot(world: World, *changes: Any, **facts: Any) -> Any:
    stored = world.propose(*changes, **facts)
    world.decide(stored)
    world.snapshot(stored)
    return stored


def test_all_rows_are_checked_in_one_call_and_nothing_changes(world: World) -> None:
    """M8: validate-only with exactly the approved amounts; the request id is in the chain."""
    stored = snapshot(world)
    sent: list[tuple[Any, bool]] = []
    real = world.platform.set_budgets

    def spy(account_id: str, amounts: Any, *, validate_only: bool) -> object:
        sent.append(([(a.budget_id, a.amount_micros // MICROS) for a in amounts], validate_only))
        return real(account_id, amounts, validate_only=validate_only)

    world.platform.set_budgets = spy  # type: ignore[method-assign]
    world.validate(stored)
    assert sent == [([("b1", 420), ("b2", 285), ("b3", 195)], True)]
    row = world.context.ledger.rows()[-1]
    assert (row.event, row.detail(), (row.request_id or "")[:4]) == ("validated", {"rows": 3}, "req-")
    assert world.platform.ours() == []


def test_every_refused_row_is_named_and_fails_the_set(world: World) -> None:
    """M8: a partial failure is parsed per row; the set is failed, loudly, and not applied."""
    stored = snapshot(world)
    world.platform.refuse_validation = {"b1", "b3"}
    with pytest.raises(GateStop, match="budget b1: TOO_LOW; budget b3: TOO_LOW"):
        world.validate(stored)
    assert (world.state(stored), world.safety_kinds()) == ("failed", ["validation_failed"])
    assert world.context.ledger.rows()[-1].detail() == {"validate_only": ["budget b1: TOO_LOW", "budget b3: TOO_LOW"]}
    world.platform.refuse_validation = set()
    for step in (world.validate, world.apply):
        with pytest.raises(Refused, match="'failed' in the ledger"):
            step(stored)


def test_a_row_without_an_answer_is_a_refused_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M8: silence is not consent."""
    stored = snapshot(world)
    real = world.platform.set_budgets

    def drop(*args: Any, **kwargs: Any) -> object:
        receipt = real(*args, **kwargs)
        return dataclasses.replace(receipt, outcomes=receipt.outcomes[:1])

    monkeypatch.setattr(world.platform, "set_budgets", drop)
    with pytest.raises(GateStop, match="budget b2: not answered; budget b3: not answered"):
        world.validate(stored)
    assert world.state(stored) == "failed"


@pytest.mark.parametrize(
    ("delta", "facts", "words"),
    [
        (24, {}, "M2 step_cap"),
        (-24, {}, "M2 step_cap"),
        (20, {"p_cac_le_target_ppm": 799_999}, "M4 cac_probability"),
        (20, {"highest_daily_spend_micros": 300 * MICROS}, "M5 historical_spend"),
        (20, {"is_extrapolated": False}, "M5 extrapolation_not_flagged"),
    ],
)
def test_a_broken_cap_is_refused_before_the_platform_is_asked(
    world: World, delta: int, facts: dict[str, Any], words: str
) -> None:
    """M2, M4, M5: though a person approved it."""
    stored = snapshot(world, world.change("b1", delta, **facts))
    world.platform.calls.clear()
    with pytest.raises(Refused, match=words):
        world.validate(stored)
    assert "validate" not in world.platform.calls
    assert world.state(stored) == "snapshot"


def test_the_whole_set_must_fit_into_the_day(world: World) -> None:
    """M3: each change fits by itself, all four together do not: none is begun. Up and down are added, not netted."""
    deltas = {"b1": 20, "b2": -15, "b3": 10, "b4": -5}
    world.platform.edit("b4", 110 * MICROS)
    world.platform.edit("b4", 81 * MICROS)
    world.platform.edit("b4", 100 * MICROS)
    stored = snapshot(world, *(world.change(b, d) for b, d in deltas.items()))
    with pytest.raises(Refused, match="58000000 micros were moved in the last 24 h, 50000000 more would pass 10 %"):
        world.validate(stored)


def test_a_tightened_policy_holds_at_once(world: World) -> None:
    """The rules of now decide, not those under which it was planned."""
    stored = snapshot(world)
    world.use(fixed_campaign_ids=("c2",))
    with pytest.raises(Refused, match="M6 fixed_campaign"):
        world.validate(stored)


def test_without_a_snapshot_it_is_refused(world: World) -> None:
    """The steps come in their order (M11)."""
    stored = world.propose()
    world.decide(stored)
    with pytest.raises(Refused, match="is 'approved' in the ledger; this step needs snapshot or validated"):
        world.validate(stored)


def test_a_second_check_changes_nothing(world: World) -> None:
    """M12: it may be asked again; the chain has one row for it."""
    stored = snapshot(world)
    world.validate(stored)
    rows = world.context.ledger.rows()
    world.validate(stored)
    assert world.context.ledger.rows() == rows
