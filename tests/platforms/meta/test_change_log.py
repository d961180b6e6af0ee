"""Meta's activity log as changes, by the shapes that its accounts really write."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from meta_lab import DAY, US, Lab

from tasks.core.errors import JobError
from tasks.platforms.base import AccountChange, AdStatus
from tasks.platforms.meta.change_log import ads_of, to_changes


def _event(kind: str, extra: Any, **changes: Any) -> dict[str, Any]:
    row = {
        "event_time": "2026-02-03T04:05:06+0000",
        "event_type": kind,
        "object_id": "77",
        "actor_id": "9",
        "actor_name": "Ann Buyer",
    }
    return (
        row | {"extra_data": extra if isinstance(extra, str) else json.dumps(extra), "application_name": "Ads Manager"} | changes
    )


def _change(event: dict[str, Any], currency: str = "USD") -> AccountChange:
    (found,) = to_changes([event], {"77": "5"}, currency, lambda name: f"hash of {name}" if name else None)
    return found


def test_a_paused_ad_is_told_as_the_guard_counts_it() -> None:
    """Ad group and ad, status before and after, who by hash."""
    extra = {
        "old_value": "Active",
        "new_value": "Inactive",
        "run_status": {"old_value": 1, "new_value": 15},
        "type": "run_status",
    }
    got = _change(_event("update_ad_run_status", extra))
    assert (got.resource_type, got.resource_id, got.operation) == ("AD_GROUP_AD", "5~77", "UPDATE")
    assert (got.status_before, got.status_after) == ("ENABLED", "PAUSED")
    assert got.changed_at == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert (got.actor_hash, got.client_type) == ("hash of ann buyer", "Ads Manager")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (("Ativa", 1), ("Inativa", 15), ("ENABLED", "PAUSED")),  # in the reader's language
        (("Inactive", 15), ("Pending process", 17), ("PAUSED", "ENABLED")),  # switched on, to be reviewed
        (("Pending Review", 9), ("Inactive", 15), ("ENABLED", "PAUSED")),
        (("Pending process", 17), ("Pending Review", 9), (None, None)),  # Meta's review goes on
        (("Pending Review", 9), ("Active", 1), (None, None)),
        (("Inactive", None), ("Archived", None), ("PAUSED", "REMOVED")),
    ],
)
def test_numbers_count_before_words_and_review_is_nobodys_change(
    old: tuple[str, int | None], new: tuple[str, int | None], told: tuple[str | None, str | None]
) -> None:
    """Only what was set is a change of the status."""
    numbers = {"old_value": old[1], "new_value": new[1]} if old[1] else None
    got = _change(_event("update_ad_run_status", {"old_value": old[0], "new_value": new[0], "run_status": numbers}))
    assert (got.status_before, got.status_after) == told


def test_what_meta_did_itself_is_no_change_of_a_status() -> None:
    """Its actor is 0."""
    extra = {"old_value": "Pending process", "new_value": "Inactive", "run_status": {"old_value": 17, "new_value": 15}}
    got = _change(_event("update_ad_run_status", extra, actor_id="0", actor_name="Meta"))
    assert (got.status_before, got.status_after) == (None, None)


@pytest.mark.parametrize(
    ("extra", "currency", "told"),
    [
        (
            {
                "old_value": {"type": "payment_amount", "currency": "EUR", "old_value": 75000, "additional_value": ""},
                "new_value": {"type": "payment_amount", "currency": "EUR", "new_value": 63800, "additional_value": "Per day"},
                "type": "composite_data",
            },
            "USD",
            (750_000_000, 638_000_000),
        ),
        ({"old_value": {"old_value": 500}, "new_value": {"new_value": 700}}, "JPY", (500_000_000, 700_000_000)),
        ({"old_value": 1000, "new_value": 2000, "type": "daily_budget"}, "USD", (10_000_000, 20_000_000)),
        ({"old_value": None, "new_value": {"currency": "USD", "new_value": 100}}, "USD", (None, 1_000_000)),
    ],
)
def test_budgets_come_out_in_micros(extra: dict[str, Any], currency: str, told: tuple[int | None, int | None]) -> None:
    """The amount stands once more under its own key; without a currency it is the account's."""
    got = _change(_event("update_campaign_budget", extra), currency)
    assert (got.resource_type, got.resource_id) == ("CAMPAIGN_BUDGET", "77")
    assert (got.amount_before_micros, got.amount_after_micros) == told


def test_an_event_has_the_same_id_whenever_it_is_read_and_comes_once() -> None:
    """Meta gives none: a load that overlaps another must not tell it twice. What is of no interest is left out."""
    events = [
        _event("update_ad_run_status", {"old_value": "Active", "new_value": "Inactive"}),
        _event("update_ad_run_status", {"old_value": "Active", "new_value": "Inactive"}),
        _event("update_ad_run_status", {"old_value": "Inactive", "new_value": "Active"}, event_time="2026-02-03T04:05:05+0000"),
        _event("ad_account_billing_charge", {}),
    ]
    got = to_changes(events, {"77": "5"}, "USD", lambda _: None)
    assert [c.status_after for c in got] == ["ENABLED", "PAUSED"], "oldest first"
    assert len({c.change_event_id for c in got}) == 2
    assert ads_of(events) == ["77"]


def test_an_event_without_json_is_an_error() -> None:
    """What changed is unknown, and a cap that does not know it would not hold."""
    with pytest.raises(JobError, match="holds no JSON"):
        _change(_event("update_ad_run_status", "{"))


def test_changes_of_an_ad_are_read_and_loaded(lab: Lab) -> None:
    """What this system set and what a person set, with the people hashed; other accounts' changes are not in it."""
    group, ad = lab.ads()[0]
    before = lab.sandbox.now
    lab.platform().set_ad_statuses(US, [AdStatus("c1", group, ad, "PAUSED")], validate_only=False)
    lab.sandbox.commit([("ad", int(ad), 1)], client_type="WEB", user="media.buyer@example.test")
    changes = [
        c
        for c in lab.platform().read_changes(US, before)
        if c.resource_type == "AD_GROUP_AD" and c.resource_id == f"{group}~{ad}"
    ]
    assert [(c.status_before, c.status_after) for c in changes[-2:]] == [("ENABLED", "PAUSED"), ("PAUSED", "ENABLED")]
    assert len({c.actor_hash for c in changes[-2:]}) == 2
    found = lab.platform().reports(lab.account(), lab.today - DAY, lab.today - DAY, run_date=lab.today)
    frame = found.frames["ads.ads_change_events"]
    assert found.windows["ads.ads_change_events"] == (lab.today - timedelta(days=29), lab.today)
    assert {c.change_event_id for c in changes} <= set(frame["change_event_id"])
    assert set(frame.filter(resource_type="CAMPAIGN_BUDGET")["resource_id"]) <= {
        str(c.id) for a in lab.sandbox.world.accounts if a.id == US for c in a.campaigns
    }
    assert "buyer" not in str(frame.to_dicts())
    old = lab.platform().reports(lab.account(), lab.today - 20 * DAY, lab.today - 19 * DAY, run_date=lab.today)
    assert "ads.ads_change_events" not in old.frames


def test_changes_are_asked_for_with_an_offset(lab: Lab) -> None:
    """A time without one could be off by hours."""
    with pytest.raises(JobError, match="offset"):
        lab.platform().read_changes(US, datetime(2026, 2, 1))  # noqa: DTZ001 - the point of the test
