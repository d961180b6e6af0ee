"""Feature flags between the approval and the mutation: what they tighten refuses, what cannot be read stops, nothing loosens."""

import dataclasses
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from act_world import ACCOUNT, MICROS, World, account
from ad_world import AdWorld

from tasks.act.context import Context
from tasks.core.errors import JobError, Refused
from tasks.core.switches import flip


class Flags:
    """A file of GrowthBook's features, which each new job reads."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "features.json"

    def say(self, **values: Any) -> None:
        """``freeze=True``: the flags' values, for this account alone; for others they are the loosest there are."""
        loosest = {"freeze": False} | dict.fromkeys(values, 1000)
        rules = {name: [{"condition": {"account": f"google_ads:{ACCOUNT}"}, "force": v}] for name, v in values.items()}
        features = {f"aelp2_{n}": {"defaultValue": v, "rules": rules.get(n, [])} for n, v in loosest.items()}
        features["aelp2_freeze"]["defaultValue"] = False
        self.file.write_text(json.dumps({"features": features}))

    def new_job(self, world: World) -> None:
        """Each job has a context of its own."""
        known = world.context
        settings = dataclasses.replace(known.settings, flags=str(self.file))
        world.context = Context(settings, known.policy, known.warehouse, lambda _name: world.platform)


@pytest.fixture
def flags(tmp_path: Path, world: World) -> Flags:
    """Flags that tighten nothing; the world's jobs read them."""
    made = Flags(tmp_path)
    made.say()
    made.new_job(world)
    return made


def exposures(world: World) -> list[tuple[str, str, str]]:
    rows = world.warehouse.query("SELECT flag, value_json, effect FROM control.flag_exposures ORDER BY flag, value_json")
    return list(rows.iter_rows())


def test_flags_that_tighten_nothing_change_nothing(world: World, flags: Flags) -> None:
    """The same change set is applied as without flags, and no exposure is stored; values above the policy's are no reason."""
    flags.say(step_cap_pct=50, daily_cap_pct=100, headroom_pct=100, max_ad_changes_per_day=1000)
    flags.new_job(world)
    world.apply(world.ready())
    assert len(world.platform.ours()) == 3
    assert exposures(world) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"step_cap_pct": 4}, r"M2 step_cap: budget b1: .* is more than 4 %"),
        ({"daily_cap_pct": 3}, r"M3 daily_cap: .* would pass 3 % of the account"),
        ({"step_cap_pct": 0}, "is more than 0 %"),
        ({"freeze": True}, f"account google_ads:{ACCOUNT} is frozen: flag aelp2_freeze is on; it is taken off in GrowthBook"),
        ({"step_cap_pct": "4 %"}, 'frozen: flag aelp2_step_cap_pct is "4 %", not a number of 0 and more'),
        ({"freeze": "no"}, 'frozen: flag aelp2_freeze is "no", not true or false'),
    ],
)
def test_what_is_tightened_after_the_approval_refuses(world: World, flags: Flags, values: dict[str, Any], message: str) -> None:
    """M2, M3, M10: approved and checked under the policy; a flag set since then stops apply before the first budget."""
    stored = world.ready()
    flags.say(**values)
    flags.new_job(world)
    with pytest.raises(Refused, match=message):
        world.apply(stored)
    assert world.platform.ours() == []
    assert world.safety_kinds() == ["apply_refused"]
    flag = f"aelp2_{next(iter(values))}"
    assert [row for row in exposures(world) if row[0] == flag] == [
        (flag, json.dumps(values[flag.removeprefix("aelp2_")]), "tightened" if "frozen" not in message else "frozen")
    ]


def test_the_headroom_of_a_flag_binds_increases(world: World, flags: Flags) -> None:
    """M5: the room above the highest spend seen, as the flag lowers it."""
    stored = world.ready(world.change("b1", 20))
    flags.say(headroom_pct=2)
    flags.new_job(world)
    with pytest.raises(Refused, match=r"M5 historical_spend: .* \+ 2 %"):
        world.apply(stored)


def test_ads_have_their_cap_too(ad_world: AdWorld, tmp_path: Path) -> None:
    """A lowered number of switches a day refuses a set approved before."""
    stored = ad_world.ready_ads()
    flags = Flags(tmp_path)
    flags.say(max_ad_changes_per_day=2)
    flags.new_job(ad_world)
    with pytest.raises(Refused, match="3 more would pass the policy's 2"):
        ad_world.apply(stored)
    assert ad_world.platform.ours() == []


@pytest.mark.parametrize("text", ["", "{}", '{"features": {}}'])
def test_unreadable_flags_stop_every_step_that_leads_to_money(world: World, flags: Flags, text: str) -> None:
    """Not known is not "no flags": snapshot, check and apply end before the platform is asked for anything."""
    stored = world.propose()
    world.decide(stored)
    for step in (world.snapshot, world.validate, world.apply):
        flags.file.write_text(text)
        flags.new_job(world)
        with pytest.raises(JobError, match=r"do not hold aelp2_freeze|AELP2_FLAGS=.* gives (no )?JSON"):
            step(stored)
        flags.say()
        flags.new_job(world)
        assert world.platform.ours() == []
        step(stored)
    assert len(world.platform.ours()) == 3


@pytest.mark.parametrize("values", [None, {"freeze": True}, {"step_cap_pct": 0, "daily_cap_pct": 0}])
def test_flags_never_stop_a_rollback(world: World, flags: Flags, values: dict[str, Any] | None) -> None:
    """M12: taking our own changes back is the careful way, also when the flags say stop or cannot be read."""
    stored = world.ready()
    world.apply(stored)
    flags.say(**values or {})
    if values is None:
        flags.file.unlink()
    flags.new_job(world)
    world.roll_back(stored)
    assert world.platform.amounts() == {k: v.amount_micros for k, v in account().items()}


def test_flags_take_off_no_freeze_and_raise_no_cap(world: World, flags: Flags) -> None:
    """M10: a freeze in the switches holds with the flag at false, and a cap above the policy's is not taken."""
    world.use(step_cap_pct=Decimal(3))
    stored = world.ready(world.change("b1", 12))
    flags.say(freeze=False, step_cap_pct=5)
    flags.new_job(world)
    flip(world.warehouse, scope=f"google_ads:{ACCOUNT}", is_on=True, why="CAC", actor="maria")
    with pytest.raises(Refused, match=r"switch 'google_ads:2000000001' is on"):
        world.apply(stored)
    flip(world.warehouse, scope=f"google_ads:{ACCOUNT}", is_on=False, why="ok", actor="maria")
    world.use(step_cap_pct=Decimal(2))
    flags.new_job(world)
    with pytest.raises(Refused, match="is more than 2 %"):
        world.apply(stored)
    assert world.platform.budgets["b1"].amount_micros == 400 * MICROS


def test_flags_are_read_once_a_job(world: World, flags: Flags, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every change is guarded by itself, and the service is asked once."""
    from tasks.core import flags_source

    stored, asked, real = world.ready(), [], flags_source.read_payload
    monkeypatch.setattr(flags_source, "read_payload", lambda s: asked.append(s) or real(s))
    flags.new_job(world)
    world.apply(stored)
    assert len(asked) == 1
