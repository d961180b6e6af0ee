"""Ads are enabled and paused on the way of budgets: same proposals, approvals, ledger, guards, rollback; and M13."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest
from act_world import ACCOUNT, PERSON, RUN_DATE
from ad_world import OFF, ON, AdWorld, switch

from tasks.act import ad_guard
from tasks.act.promote_changes import promote
from tasks.act.roll_back_changes import due_sets
from tasks.act.watch_canary import edited
from tasks.core.errors import GateStop, Refused, TryAgain
from tasks.core.switches import flip

START = {"a1": ON, "a2": ON, "a3": OFF, "a4": ON, "a5": OFF, "a6": ON}
Act = Callable[[AdWorld], object]


def test_the_whole_way(ad_world: AdWorld) -> None:
    """Enabled first, then paused; one ledger row a transition with ad group, ad and statuses; budgets untouched (M11)."""
    stored = ad_world.ready_ads()
    assert ad_world.platform.our_switches() == []
    assert "3 changes applied and read back" in ad_world.apply(stored)
    assert "ad a5 of ad group g2 holds ENABLED" in ad_world.verify(stored)
    assert ad_world.platform.our_switches() == [("a5", OFF, ON), ("a1", ON, OFF), ("a4", ON, OFF)]
    assert (ad_world.state(stored), ad_world.context.ledger.problems(), ad_world.platform.ours()) == ("verified", [], [])
    rows = [r for r in ad_world.context.ledger.rows() if r.event == "applied" and r.change_id]
    facts = [(r.adgroup_id, r.ad_id, r.status_before, r.status_after, r.budget_id, r.amount_after_micros) for r in rows]
    assert facts == [
        ("g2", "a5", OFF, ON, None, None),
        ("g1", "a1", ON, OFF, None, None),
        ("g2", "a4", ON, OFF, None, None),
    ]


def test_the_exact_earlier_statuses_come_back(ad_world: AdWorld) -> None:
    """M9: last change first, logged, verified; a second rollback finds nothing to do."""
    stored = ad_world.ready_ads()
    ad_world.apply(stored)
    assert "rolled back and read back" in ad_world.roll_back(stored)
    assert ad_world.platform.statuses() == START
    assert ad_world.platform.our_switches()[3:] == [("a4", OFF, ON), ("a1", OFF, ON), ("a5", ON, OFF)]
    assert "nothing to roll back" in ad_world.roll_back(stored)
    assert (len(ad_world.platform.our_switches()), ad_world.safety_kinds()) == (6, ["rolled_back"])


def test_a_half_applied_set_is_due_for_rollback(ad_world: AdWorld) -> None:
    """What was made before a refused row is undone without anybody asking; `--kind budgets` leaves it to its own DAG."""
    stored = ad_world.ready_ads()
    ad_world.platform.faults = ["ok", "refuse"]
    with pytest.raises(GateStop, match="refused ad a1 of ad group g1"):
        ad_world.apply(stored)
    assert [s.change_set_id for s in due_sets(ad_world.context)] == [stored.change_set_id]
    assert [s.change_set_id for s in due_sets(ad_world.context, "ad_status")] == [stored.change_set_id]
    assert due_sets(ad_world.context, "budgets") == []
    ad_world.roll_back(stored)
    assert (ad_world.platform.statuses(), ad_world.state(stored)) == (START, "rolled_back")


@pytest.mark.parametrize(
    ("step", "act"),
    [("snapshot", AdWorld.snapshot), ("validate", AdWorld.validate), ("apply", AdWorld.apply)],
)
def test_somebodys_switch_blocks_the_set(ad_world: AdWorld, step: str, act: Callable[..., object]) -> None:
    """M7: an ad that no longer stands as it was planned or snapshot is left alone, and a person is asked."""
    stored = ad_world.propose_ads(switch("a1", OFF))
    ad_world.decide(stored)
    for name, before in (("snapshot", ad_world.snapshot), ("validate", ad_world.validate)):
        if name == step:
            break
        before(stored)
    ad_world.platform.edit_ad("g1", "a1", OFF)
    if step == "validate":  # which judges by what is there and sends nothing; apply is where it counts
        act(ad_world, stored)
        act = AdWorld.apply
    with pytest.raises(Refused, match=r"ad a1 of ad group g1 holds PAUSED, .*edited outside of AELP2"):
        act(ad_world, stored)
    assert (ad_world.state(stored), ad_world.platform.our_switches()) == ("blocked", [])
    assert "out_of_band_edit" in ad_world.safety_kinds()


def test_the_last_enabled_ad_is_never_paused(ad_world: AdWorld) -> None:
    """M13: neither checked nor sent, with approval and all."""
    stored = ad_world.propose_ads(switch("a6", OFF))
    ad_world.decide(stored)
    ad_world.snapshot(stored)
    with pytest.raises(Refused, match="M13 last_enabled_ad: ad a6 of ad group g3"):
        ad_world.validate(stored)
    assert "validate" not in ad_world.platform.calls


def test_two_pauses_of_one_set_do_not_empty_a_group(ad_world: AdWorld) -> None:
    """M13: each alone would be allowed; together they are not begun."""
    stored = ad_world.propose_ads(switch("a1", OFF), switch("a2", OFF))
    ad_world.decide(stored)
    ad_world.snapshot(stored)
    with pytest.raises(Refused, match="M13 last_enabled_ad"):
        ad_world.validate(stored)


def test_a_pause_by_a_person_in_between_makes_ours_the_last(ad_world: AdWorld) -> None:
    """M13 at the moment of mutation: a1 was one of two when it was checked, and is the last one when it would be sent."""
    stored = ad_world.ready_ads(switch("a1", OFF))
    ad_world.platform.edit_ad("g1", "a2", OFF)
    with pytest.raises(Refused, match="M13 last_enabled_ad: ad a1"):
        ad_world.apply(stored)
    assert ad_world.platform.our_switches() == []


def test_a_pause_between_two_of_ours_is_seen(ad_world: AdWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """M13 before every single switch: after a5 came on, somebody pauses it; a4, now the last one, stays on."""
    stored = ad_world.ready_ads(switch("a4", OFF), switch("a5", ON))
    monkeypatch.setattr(ad_guard, "read_live", _edit_before(ad_world, ad_guard.read_live))
    with pytest.raises(Refused, match="M13 last_enabled_ad: ad a4"):
        ad_world.apply(stored)
    assert ad_world.platform.our_switches() == [("a5", OFF, ON)]


def _edit_before(world: AdWorld, read: Callable[..., object]) -> Callable[..., object]:
    """Somebody pauses a5 right before the guard of the second switch reads the account."""

    def read_live(*args: object) -> object:
        if world.platform.our_switches() == [("a5", OFF, ON)]:
            world.platform.edit_ad("g2", "a5", OFF)
        return read(*args)

    return read_live


def test_two_sets_do_not_empty_a_group(ad_world: AdWorld) -> None:
    """M13: both were checked while two ads were on; the second set finds the first one's pause."""
    first, second = ad_world.ready_ads(switch("a1", OFF)), ad_world.ready_ads(switch("a2", OFF))
    ad_world.apply(first)
    with pytest.raises(Refused, match="M13 last_enabled_ad: ad a2"):
        ad_world.apply(second)
    assert ad_world.platform.statuses() == START | {"a1": OFF}


@pytest.mark.parametrize(("parent", "words"), [("c2", "its campaign c2 is PAUSED"), ("g2", "its ad group g2 is PAUSED")])
def test_nothing_is_enabled_under_what_a_person_paused(ad_world: AdWorld, parent: str, words: str) -> None:
    """M13's other half: the pause may come at any time before the switch."""
    stored = ad_world.ready_ads(switch("a5", ON))
    ad_world.platform.paused.add(parent)
    with pytest.raises(Refused, match=words):
        ad_world.apply(stored)
    assert ad_world.platform.our_switches() == []


def test_a_rollback_does_not_pause_the_last_ad_either(ad_world: AdWorld) -> None:
    """M13 before M9: a5 was enabled by us, then a person paused a4; taking a5 back would empty the group."""
    stored = ad_world.ready_ads(switch("a5", ON), switch("a1", OFF))
    ad_world.apply(stored)
    ad_world.platform.edit_ad("g2", "a4", OFF)
    with pytest.raises(Refused, match="ad a5 of ad group g2 is not restored: M13 last_enabled_ad"):
        ad_world.roll_back(stored)
    assert ad_world.platform.statuses() == START | {"a5": ON, "a4": OFF}
    ad_world.platform.edit_ad("g2", "a4", ON)
    ad_world.roll_back(stored)
    assert (ad_world.platform.statuses(), ad_world.state(stored)) == (START, "rolled_back")


def test_a_rollback_enables_nothing_under_a_paused_campaign(ad_world: AdWorld) -> None:
    """The person's pause came later than our switch; it is respected until it ends."""
    stored = ad_world.ready_ads(switch("a1", OFF))
    ad_world.apply(stored)
    ad_world.platform.paused.add("c1")
    with pytest.raises(Refused, match="M13 paused_by_a_person"):
        ad_world.roll_back(stored)
    ad_world.platform.paused.clear()
    ad_world.roll_back(stored)
    assert ad_world.platform.statuses() == START


def test_an_ad_in_an_open_canary_is_left_alone(ad_world: AdWorld) -> None:
    """One set a time in an ad group: the rollbacks of two would meet."""
    first = ad_world.ready_ads(switch("a1", OFF))
    ad_world.apply(first)
    second = ad_world.propose_ads(switch("a3", ON))
    ad_world.decide(second)
    ad_world.snapshot(second)
    with pytest.raises(Refused, match=f"M7 under_watch: ad a3 of ad group g1: .* {first.change_set_id}"):
        ad_world.validate(second)


def test_the_day_has_room_for_so_many_switches(ad_world: AdWorld) -> None:
    """M3 for ads: counted are ours and everybody's, each once; at the bound it passes, one more is refused."""
    ad_world.use(max_ad_changes_per_day=3)
    ad_world.platform.edit_ad("g1", "a3", ON)
    first = ad_world.ready_ads(switch("a1", OFF), switch("a5", ON))
    ad_world.apply(first)
    ad_world.roll_back(first)
    assert len(ad_world.platform.switches) == 5
    late = ad_world.propose_ads(switch("a2", OFF))
    ad_world.decide(late)
    ad_world.snapshot(late)
    with pytest.raises(Refused, match="M3 ad_changes_per_day: 5 ads were switched in the last 24 h, 1 more would pass"):
        ad_world.validate(late)
    ad_world.at(24.1)
    tomorrow = RUN_DATE + timedelta(days=1)
    assert ad_world.state(ad_world.ready_ads(switch("a2", OFF, run_date=tomorrow), run_date=tomorrow)) == "validated"


@pytest.mark.parametrize("scope", ["all", f"google_ads:{ACCOUNT}"])
def test_switches_are_read_before_every_single_one(ad_world: AdWorld, scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """M10: thrown after the first ad was switched, nothing more is; the freeze does not hold the rollback up."""
    stored = ad_world.ready_ads()
    real = ad_world.platform._switch

    def then_stop(*args: str) -> None:
        real(*args)
        flip(ad_world.warehouse, scope=scope, is_on=True, why="test", actor=PERSON)

    monkeypatch.setattr(ad_world.platform, "_switch", then_stop)
    with pytest.raises(Refused, match="is on since"):
        ad_world.apply(stored)
    assert len(ad_world.platform.our_switches()) == 1
    monkeypatch.undo()
    ad_world.at(0)
    if scope != "all":
        ad_world.roll_back(stored)
        assert ad_world.platform.statuses() == START


@pytest.mark.parametrize(
    ("faults", "error", "words"),
    [
        (["refuse"], GateStop, "CONCURRENT_MODIFICATION"),
        (["quota"], TryAgain, "quota"),
        (["lost_before"], TryAgain, "Ad a1 of ad group g1 still holds ENABLED"),
    ],
)
def test_what_was_not_made_is_told(ad_world: AdWorld, faults: list[str], error: type[Exception], words: str) -> None:
    """M8: each row's own answer counts, and a lost one is read back."""
    stored = ad_world.ready_ads(switch("a1", OFF))
    ad_world.platform.faults = faults
    with pytest.raises(error, match=words):
        ad_world.apply(stored)
    assert ad_world.platform.our_switches() == []


def test_a_lost_answer_is_settled_by_reading_back(ad_world: AdWorld) -> None:
    """M12: the switch was made, so its receipt is written and it is not sent again."""
    stored = ad_world.ready_ads(switch("a1", OFF))
    ad_world.platform.faults = ["lost_after"]
    ad_world.apply(stored)
    assert ad_world.platform.our_switches() == [("a1", ON, OFF)]
    with pytest.raises(Refused, match="nothing is applied twice"):
        ad_world.apply(stored)


def test_a_refused_check_fails_the_set(ad_world: AdWorld) -> None:
    """M8: every refused row is named, nothing is sent."""
    stored = ad_world.propose_ads()
    ad_world.decide(stored)
    ad_world.snapshot(stored)
    ad_world.platform.refuse_validation = {"g1~a1"}
    with pytest.raises(GateStop, match=r"would refuse .*ad a1 of ad group g1: TOO_LOW"):
        ad_world.validate(stored)
    assert (ad_world.state(stored), ad_world.platform.our_switches()) == ("failed", [])


def test_without_an_approval_of_these_bytes_nothing_moves(ad_world: AdWorld) -> None:
    """M1: none, a rejected one, and one of other bytes."""
    stored = ad_world.propose_ads()
    with pytest.raises(Refused, match="nobody has decided on it"):
        ad_world.apply(stored)
    changed = stored.canonical_json.replace('"ad_id":"a1"', '"ad_id":"a2"')
    with pytest.raises(Refused, match="changed after it was proposed and is void"):
        ad_world.apply(dataclasses.replace(stored, canonical_json=changed))
    with pytest.raises(Refused, match=r"columns .* differ from the hashed bytes"):
        dataclasses.replace(stored, kind="budgets").verified()


def test_budgets_and_ads_of_a_day_do_not_meet(ad_world: AdWorld) -> None:
    """Each kind takes its own set of the day, and neither's caps count the other's."""
    from tasks.act.stored import sets_to_act_on

    ads, budgets = ad_world.ready_ads(), ad_world.ready()
    for kind, expected in (("ad_status", ads), ("budgets", budgets)):
        found = sets_to_act_on(ad_world.warehouse, ad_world.context.ledger, RUN_DATE, None, ready=("validated",), kind=kind)
        assert [s.change_set_id for s in found] == [expected.change_set_id]
    ad_world.apply(ads)
    ad_world.apply(budgets)
    assert ad_world.context.ledger.problems() == []


def _remove(world: AdWorld, ad_id: str) -> None:
    """A person removes the ad, which no platform takes back."""
    world.platform.ads = [ad for ad in world.platform.ads if ad[2] != ad_id]


def test_an_ad_removed_under_watch_asks_a_person_who_can_close_the_set(ad_world: AdWorld) -> None:
    """M7: it is an edit like any other. Nobody can make it ours again, so keeping what is there must be possible."""
    stored = ad_world.ready_ads()
    ad_world.apply(stored)
    ad_world.verify(stored)
    _remove(ad_world, "a1")
    found = edited(ad_world.context, stored, stored.verified(), RUN_DATE)
    assert found == ["ad a1 of ad group g1 holds REMOVED, ours is PAUSED"]
    assert (ad_world.state(stored), ad_world.safety_kinds()) == ("blocked", ["out_of_band_edit"])
    assert "promoted" in promote(ad_world.context, stored, None, "removed on purpose")
    assert ad_world.context.ledger.problems() == []


def test_a_rollback_leaves_a_removed_ad_and_comes_to_its_end(ad_world: AdWorld) -> None:
    """M9: the others are restored and a person is asked once; then the set closes instead of holding the account for good."""
    stored = ad_world.ready_ads()
    ad_world.platform.faults = ["ok", "ok", "refuse"]
    with pytest.raises(GateStop, match="refused ad a4"):
        ad_world.apply(stored)
    _remove(ad_world, "a1")
    with pytest.raises(Refused, match="ad a1 of ad group g1 holds REMOVED, ours is PAUSED"):
        ad_world.roll_back(stored)
    assert ad_world.platform.statuses() == {ad: s for ad, s in START.items() if ad != "a1"}
    assert [s.change_set_id for s in due_sets(ad_world.context)] == [stored.change_set_id]
    assert "rolled back" in ad_world.roll_back(stored)
    assert (ad_world.state(stored), due_sets(ad_world.context), ad_world.context.ledger.problems()) == ("rolled_back", [], [])
