"""Ad-status change sets: canonical bytes with a kind, a parser that takes nothing else; and sets of budgets keep their bytes."""

import dataclasses
import hashlib
import json
from datetime import date
from typing import Any

import pytest

from tasks.core.ad_changes import AdChange, AdStatusSet, ad_change_id, make_ad_set
from tasks.core.canonical import canonical_json
from tasks.core.changeset import ChangeSet, parse
from tasks.core.errors import JobError

DAY = date(2026, 3, 2)
# A set as it was stored before there were kinds, byte for byte: an approval on record is for these bytes.
STORED_BUDGETS = (
    '{"account_daily_budget_micros":1000000000,"account_id":"2000000001","author":"plan-budgets","changes":[{"amount_after_'
    'micros":420000000,"amount_before_micros":400000000,"budget_id":"7001","campaign_ids":["9001"],"change_id":"google_ads-'
    '2000000001-2026-03-02-7001","channel":"SEARCH_NONBRAND","highest_daily_spend_micros":410000000,"is_extrapolated":true,'
    '"is_shared":false,"p_cac_le_target_ppm":912345},{"amount_after_micros":195000000,"amount_before_micros":200000000,"bud'
    'get_id":"7003","campaign_ids":["9003","9004"],"change_id":"google_ads-2000000001-2026-03-02-7003","channel":"YOUTUBE",'
    '"highest_daily_spend_micros":200000000,"is_extrapolated":false,"is_shared":true,"p_cac_le_target_ppm":300000}],"curren'
    'cy_code":"USD","data_through_date":"2026-03-01","mmm_run_id":"mmm-1","mode":"live","platform":"google_ads","policy_sha'
    '256":"0000000000000000000000000000000000000000000000000000000000000000","run_date":"2026-03-02","schema_version":1,"ta'
    'rget_cac_micros":60000000}'
)
STORED_SHA256 = "55ed0181af8f5bfdb0f58dffae9deec646650d5e82dacbc7786b2caa2c186598"


def one_change(adgroup_id: str = "g1", ad_id: str = "a1", after: str = "PAUSED", **facts: Any) -> AdChange:
    before = "ENABLED" if after == "PAUSED" else "PAUSED"
    name = ad_change_id("google_ads", "2000000001", DAY, (adgroup_id, ad_id))
    return dataclasses.replace(AdChange(name, "c1", adgroup_id, ad_id, before, after, "Seldom the best."), **facts)


def one_set(*changes: AdChange, **facts: Any) -> AdStatusSet:
    base = AdStatusSet(
        platform="google_ads",
        account_id="2000000001",
        currency_code="USD",
        run_date=DAY,
        author="plan-ads",
        mode="live",
        decisions_sha256="1" * 64,
        policy_sha256="0" * 64,
        data_through_date=date(2026, 3, 1),
        changes=changes or (one_change(),),
    )
    return dataclasses.replace(base, **facts)


def test_a_set_of_budgets_stored_before_there_were_kinds_still_verifies() -> None:
    """The same bytes, the same SHA-256, read and written back: no approval on record is void."""
    assert hashlib.sha256(STORED_BUDGETS.encode()).hexdigest() == STORED_SHA256
    found = parse(STORED_BUDGETS)
    assert isinstance(found, ChangeSet)
    assert (found.sha256, found.canonical().decode(), found.kind) == (STORED_SHA256, STORED_BUDGETS, "budgets")


def test_a_set_of_ads_names_its_kind_and_comes_back() -> None:
    """Pinned: a change of the form would void every approval on record, so it must be meant."""
    made = make_ad_set(one_set())
    assert json.loads(made.canonical())["kind"] == "ad_status"
    assert parse(made.canonical()) == made
    assert made.sha256 == "865c3a5e3fe23ba4ad9df1bd3140047aabe48e4bc822673b914a7cdeca6f1a2e"
    assert made.change_set_id == f"google_ads-2000000001-2026-03-02-{made.sha256[:12]}"


def test_enabling_comes_first_whatever_order_it_was_planned_in() -> None:
    """A pause later in the set may rely on the ad that takes over; same changes, same bytes."""
    changes = (one_change("g1", "a1"), one_change("g2", "a9", "ENABLED"), one_change("g1", "a2", "ENABLED"))
    made = make_ad_set(one_set(*changes))
    assert [c.key for c in made.changes] == [("g1", "a2"), ("g2", "a9"), ("g1", "a1")]
    assert make_ad_set(one_set(*reversed(changes))).sha256 == made.sha256


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(AdChange) if f.name not in ("change_id", "status_before")])
def test_every_fact_of_a_change_is_in_the_hash(field: str) -> None:
    """Another ad, campaign, direction or reason: another hash, so another approval (M1)."""
    facts: dict[str, Any] = {field: "x1"}
    if field == "status_after":
        facts = {"status_before": "PAUSED", "status_after": "ENABLED"}
    changed = one_change(**facts)
    changed = dataclasses.replace(changed, change_id=ad_change_id("google_ads", "2000000001", DAY, changed.key))
    assert make_ad_set(one_set(changed)).sha256 != make_ad_set(one_set()).sha256


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"status_after": "ENABLED"}, "an ad goes from ENABLED to PAUSED or back, not from 'ENABLED' to 'ENABLED'"),
        ({"status_after": "REMOVED"}, "not from 'ENABLED' to 'REMOVED'"),
        ({"reason": " "}, "a reason has 1 to 300 characters"),
        ({"reason": "x" * 301}, "a reason has 1 to 300 characters"),
        ({"reason": "a\u202eb"}, "control characters"),
        ({"campaign_id": "c 1"}, "campaign_id 'c 1' does not match"),
        ({"change_id": "other"}, "change id 'other' of ad a1 of ad group g1 should be"),
    ],
)
def test_a_wrong_change_is_refused_by_name(facts: dict[str, Any], words: str) -> None:
    """The error says which change and what is wrong with it."""
    with pytest.raises(JobError, match=words.replace("(", r"\(")):
        make_ad_set(one_set(one_change(**facts)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "bids"}, "kind 'bids'; this program reads budgets, ad_status"),
        ({"kind": "budgets"}, "kind 'budgets'; this program reads"),
        ({"schema_version": 2}, "schema_version 2; this program reads 1"),
        ({"mmm_run_id": "run1"}, r"unknown keys \['mmm_run_id'\]"),
        ({"decisions_sha256": "1"}, "decisions_sha256 '1' does not match"),
        ({"changes": []}, "holds no changes"),
    ],
)
def test_other_bytes_are_refused(change: dict[str, Any], words: str) -> None:
    """An unknown kind, budgets that name theirs, facts of the other kind: none of it is taken."""
    raw = json.loads(make_ad_set(one_set()).canonical()) | change
    with pytest.raises(JobError, match=words):
        parse(canonical_json(raw))


def test_an_ad_twice_or_out_of_order_is_refused() -> None:
    """Bytes that were put together elsewhere are checked as ours are."""
    with pytest.raises(JobError, match="twice or out of order"):
        make_ad_set(one_set(one_change(), one_change()))
    raw = json.loads(make_ad_set(one_set(one_change(), one_change("g2"))).canonical())
    raw["changes"].reverse()
    with pytest.raises(JobError, match="twice or out of order"):
        parse(canonical_json(raw))
