"""What becomes of a bandit's decision about an ad: proposed where every rule allows it, else held with the reason."""

import dataclasses
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.ad_changes import AdState
from tasks.core.ad_rules import left_enabled
from tasks.decide.ad_plan import Account, Decision, decisions_sha256, plan_ads

DAY = date(2026, 2, 26)
ON, OFF = "ENABLED", "PAUSED"


def ad(ad_id: str, status: str = ON, group: str = "1", parents: tuple[str, str] = (ON, ON)) -> AdState:
    return AdState("9", group, ad_id, status, *parents)


def decide(ad_id: str, action: str, group: str = "1", reason: str = "because") -> Decision:
    return Decision("9", group, ad_id, action, reason)


def account(*ads: AdState, **facts: object) -> Account:
    base = Account("google_ads", "2000000001", ads, held={}, paused_by_us={a.key for a in ads if a.status == OFF}, room=10)
    return dataclasses.replace(base, **facts)  # type: ignore[arg-type]


def outcomes(known: Account, *decisions: Decision) -> dict[str, tuple[str, str]]:
    """Ad → (outcome, constraint)."""
    return {c.decision.ad_id: (c.outcome, c.constraint) for c in plan_ads(decisions, known, DAY)}


def test_what_differs_is_proposed_and_the_rest_is_not() -> None:
    """Pause what is on, enable what is off, leave what is kept or as wanted."""
    known = account(ad("1"), ad("2"), ad("3", OFF), ad("4", OFF))
    found = outcomes(known, decide("1", "pause"), decide("2", "keep"), decide("3", "enable"), decide("4", "pause"))
    assert found == {"1": ("pause", "none"), "2": ("hold", "kept"), "3": ("enable", "none"), "4": ("hold", "already")}


def test_the_change_holds_the_facts_of_the_decision() -> None:
    """Campaign, ad group, both statuses and the reason, cut to what a set takes."""
    (choice,) = plan_ads([decide("1", "pause", reason="x  \n" * 400)], account(ad("1"), ad("2")), DAY)
    assert choice.change is not None
    assert (choice.change.campaign_id, choice.change.status_before, choice.change.status_after) == ("9", ON, OFF)
    assert choice.change.change_id == "google_ads-2000000001-2026-02-26-ad-1-1"
    assert (len(choice.change.reason), "\n" in choice.change.reason) == (300, False)


def test_the_last_enabled_ad_is_not_proposed_to_be_paused() -> None:
    """M13, for the only ad of a group and for two pauses that together would empty one: the first of them may go."""
    assert outcomes(account(ad("1")), decide("1", "pause")) == {"1": ("hold", "last_enabled_ad")}
    found = outcomes(account(ad("1"), ad("2")), decide("1", "pause"), decide("2", "pause"))
    assert found == {"1": ("pause", "none"), "2": ("hold", "last_enabled_ad")}


def test_an_ad_that_takes_over_lets_the_only_one_rest() -> None:
    """Enabling is chosen, and made, first."""
    found = outcomes(account(ad("1"), ad("2", OFF)), decide("1", "pause"), decide("2", "enable"))
    assert found == {"1": ("pause", "none"), "2": ("enable", "none")}


@pytest.mark.parametrize("parents", [(OFF, ON), (ON, OFF)])
def test_nothing_is_enabled_under_what_a_person_paused(parents: tuple[str, str]) -> None:
    """M13: ad group or campaign."""
    found = outcomes(account(ad("1", OFF, parents=parents), ad("2", parents=parents)), decide("1", "enable"))
    assert found == {"1": ("hold", "paused_by_a_person")}


def test_an_ad_that_a_person_paused_stays_paused() -> None:
    """Only what the ledger says was ours is taken up again."""
    known = account(ad("1", OFF), ad("2"), paused_by_us=set())
    assert outcomes(known, decide("1", "enable")) == {"1": ("hold", "paused_by_a_person")}


@pytest.mark.parametrize(
    ("facts", "constraint"),
    [
        ({"held": {"1": "set-1"}}, "other_set"),
        ({"frozen_why": "switch 'all' is on: test"}, "account_frozen"),
        ({"room": 0}, "ad_changes_per_day"),
    ],
)
def test_what_holds_a_change_is_named(facts: dict[str, object], constraint: str) -> None:
    """M13 (two sets in one ad group), M10 and the day's cap at the time of the proposal."""
    assert outcomes(account(ad("1"), ad("2"), **facts), decide("1", "pause")) == {"1": ("hold", constraint)}


@pytest.mark.parametrize(("status", "constraint"), [("REMOVED", "status"), (None, "ad_gone")])
def test_an_ad_that_is_not_there_is_left_alone(status: str | None, constraint: str) -> None:
    """Removed, or not among those loaded."""
    ads = (ad("1", status),) if status else ()
    assert outcomes(account(ad("2"), *ads), decide("1", "pause")) == {"1": ("hold", constraint)}


def test_enabling_goes_first_where_the_day_has_no_room_for_all() -> None:
    """The cap cuts off pauses."""
    known = account(ad("1"), ad("2"), ad("3", OFF), room=1)
    found = outcomes(known, decide("1", "pause"), decide("3", "enable"))
    assert found == {"1": ("hold", "ad_changes_per_day"), "3": ("enable", "none")}


@given(
    statuses=st.lists(st.sampled_from([ON, OFF]), min_size=1, max_size=6),
    actions=st.lists(st.sampled_from(["keep", "pause", "enable"]), min_size=6, max_size=6),
    groups=st.lists(st.sampled_from(["1", "2"]), min_size=6, max_size=6),
    room=st.integers(0, 6),
)
def test_no_plan_empties_a_group(statuses: list[str], actions: list[str], groups: list[str], room: int) -> None:
    """M13 for any decisions: a group with an enabled ad has one after each change, and the order of rows is no matter."""
    ads = [ad(str(n), status, groups[n]) for n, status in enumerate(statuses)]
    decisions = [decide(a.ad_id, actions[n], a.adgroup_id) for n, a in enumerate(ads)]
    known = account(*ads, room=room)
    choices = plan_ads(decisions, known, DAY)
    assert choices == plan_ads(decisions[::-1], known, DAY)
    made = sorted((c.change for c in choices if c.change is not None), key=lambda c: (c.status_after, c.key))
    assert len(made) <= room
    for count in range(1, len(made) + 1):
        group = made[count - 1].adgroup_id
        assert left_enabled(group, ads, made[:count])


def test_the_hash_of_the_decisions_does_not_hang_on_their_order() -> None:
    """Another action or reason is another hash."""
    both = [decide("1", "pause"), decide("2", "keep")]
    assert decisions_sha256(both) == decisions_sha256(both[::-1])
    assert decisions_sha256(both) != decisions_sha256([decide("1", "pause", reason="else"), decide("2", "keep")])
