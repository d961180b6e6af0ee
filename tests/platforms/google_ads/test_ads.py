"""The status of ads through the official client: what is read, set, refused and logged."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.core.ad_changes import AdState
from tasks.core.contracts import load_contract
from tasks.lab.process import RunningSandbox
from tasks.platforms.base import AdStatus, RowOutcome

pytestmark = pytest.mark.slow

ACCOUNT_ID = "2000000001"
CAMPAIGN, GROUP, FIRST, SECOND = "9007", "900701", "90070101", "90070102"
ON, OFF = "ENABLED", "PAUSED"


def wanted(ad_id: str, status: str) -> AdStatus:
    return AdStatus(f"c{ad_id}", GROUP, ad_id, status)


def statuses(adapter: Any) -> dict[str, str]:
    return {ad.ad_id: ad.status for ad in adapter.read_ads(ACCOUNT_ID, [GROUP]).value}


def test_every_ad_of_the_group_is_read_with_what_stands_above(adapter: Any, sandbox: RunningSandbox) -> None:
    """M13 needs them all, also a paused one, and the status of ad group and campaign."""
    sandbox.admin.edit_status("ad", int(SECOND), OFF)
    sandbox.admin.edit_status("campaign", int(CAMPAIGN), OFF)
    assert adapter.read_ads(ACCOUNT_ID, [GROUP]).value == [
        AdState(CAMPAIGN, GROUP, FIRST, ON, ON, OFF),
        AdState(CAMPAIGN, GROUP, SECOND, OFF, ON, OFF),
    ]


@pytest.mark.parametrize(("groups", "answer"), [([], ([], None)), (["4711"], ([], None)), (["1; DROP"], (None, "JobError"))])
def test_what_is_asked_for_is_checked(adapter: Any, groups: list[str], answer: tuple[Any, str | None]) -> None:
    """No group, no ads; an unknown group has none; what is no id is no query."""
    got = adapter.read_ads(ACCOUNT_ID, groups)
    assert (got.value, got.error) == answer


def test_validate_only_changes_nothing_and_is_retried(adapter: Any, sandbox: RunningSandbox) -> None:
    """M8: the check goes first; since it changes nothing it may be sent again."""
    sandbox.admin.fault("unavailable", method="mutate", include_validate_only=True)
    got = adapter.set_ad_statuses(ACCOUNT_ID, [wanted(FIRST, OFF)], validate_only=True)
    assert (got.waits, got.value.outcomes) == ([1.0], (RowOutcome(f"c{FIRST}", f"{GROUP}~{FIRST}"),))
    assert statuses(adapter) == {FIRST: ON, SECOND: ON}


def test_an_ad_is_paused_and_enabled_and_nothing_else_is_touched(adapter: Any, sandbox: RunningSandbox) -> None:
    """What was set is what is read back; the receipt carries the id under which the platform logged the call."""
    others = sandbox.admin.ads()
    got = adapter.set_ad_statuses(ACCOUNT_ID, [wanted(FIRST, OFF)], validate_only=False)
    sent = [r for r in sandbox.admin.requests() if r["method"] == "MutateAdGroupAds"][-1]
    assert got.value.request_id == sent["request_id"]
    assert statuses(adapter) == {FIRST: OFF, SECOND: ON}
    assert sandbox.admin.ads() == others | {int(FIRST): False}
    adapter.set_ad_statuses(ACCOUNT_ID, [wanted(FIRST, ON)], validate_only=False)
    assert sandbox.admin.ads() == others


def test_a_partial_failure_is_read_row_by_row(adapter: Any, sandbox: RunningSandbox) -> None:
    """The second row fails with its code, the first is set."""
    sandbox.admin.fault("partial_failure", ad_id=int(SECOND), error="database_error.CONCURRENT_MODIFICATION")
    rows = [wanted(FIRST, OFF), wanted(SECOND, OFF)]
    outcomes = adapter.set_ad_statuses(ACCOUNT_ID, rows, validate_only=False).value.outcomes
    assert [(o.resource_id, o.ok) for o in outcomes] == [(f"{GROUP}~{FIRST}", True), (f"{GROUP}~{SECOND}", False)]
    assert outcomes[1].error.startswith("database_error.CONCURRENT_MODIFICATION: ")
    assert statuses(adapter) == {FIRST: OFF, SECOND: ON}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([AdStatus("c", GROUP, FIRST, "REMOVED")], "makes no sense"),
        ([AdStatus("c", GROUP, "a1", OFF)], "makes no sense"),
        ([wanted(FIRST, OFF), wanted(FIRST, ON)], "twice"),
        ([], "takes 1 to 10000 different ads"),
    ],
)
def test_nonsense_is_not_sent(adapter: Any, rows: list[AdStatus], words: str) -> None:
    """Removing is none of ours; ids are numbers; an ad has one status."""
    got = adapter.set_ad_statuses(ACCOUNT_ID, rows, validate_only=False)
    assert (got.error, words in got.message) == ("JobError", True)


def test_an_ad_that_is_not_there_is_refused(adapter: Any) -> None:
    """Also one that exists in another ad group: the pair is the name."""
    rows = [AdStatus("c1", GROUP, "4711", OFF), AdStatus("c2", "900702", FIRST, OFF)]
    outcomes = adapter.set_ad_statuses(ACCOUNT_ID, rows, validate_only=True).value.outcomes
    assert [(o.error or "").split(":")[0] for o in outcomes] == ["mutate_error.RESOURCE_NOT_FOUND"] * 2


def test_a_lost_answer_is_ambiguous_and_never_sent_again(adapter: Any, sandbox: RunningSandbox) -> None:
    """The switch was made, the answer never came: exactly one mutate was sent."""
    before = len([r for r in sandbox.admin.requests() if r["method"] == "MutateAdGroupAds"])
    sandbox.admin.fault("lost_response")
    got = adapter.set_ad_statuses(ACCOUNT_ID, [wanted(FIRST, OFF)], validate_only=False)
    assert (got.error, got.waits) == ("AmbiguousMutationError", [])
    assert len([r for r in sandbox.admin.requests() if r["method"] == "MutateAdGroupAds"]) == before + 1
    assert statuses(adapter)[FIRST] == OFF


def test_the_change_log_tells_who_switched_what(adapter: Any, sandbox: RunningSandbox) -> None:
    """Ours and somebody's, each with the status before and after; the id is ad group and ad; amounts are none."""
    adapter.set_ad_statuses(ACCOUNT_ID, [wanted(FIRST, OFF)], validate_only=False)
    sandbox.admin.edit_status("ad", int(SECOND), OFF)
    sandbox.admin.edit_status("campaign", int(CAMPAIGN), OFF)
    since = datetime.fromisoformat(sandbox.admin.state()["now"]).astimezone(UTC) - timedelta(hours=24)
    changes = adapter.read_changes(ACCOUNT_ID, since).value
    found = [(c.resource_type, c.resource_id, c.client_type, c.status_before, c.status_after) for c in changes][-3:]
    assert found == [
        ("AD_GROUP_AD", f"{GROUP}~{FIRST}", "GOOGLE_ADS_API", ON, OFF),
        ("AD_GROUP_AD", f"{GROUP}~{SECOND}", "GOOGLE_ADS_WEB_CLIENT", ON, OFF),
        ("CAMPAIGN", CAMPAIGN, "GOOGLE_ADS_WEB_CLIENT", ON, OFF),
    ]
    assert {(c.amount_before_micros, c.amount_after_micros) for c in changes[-3:]} == {(None, None)}


def test_the_table_of_statuses_holds_every_ad(adapter: Any, sandbox: RunningSandbox) -> None:
    """Also those that deliver nothing, in the shape of the contract; PMax has no ads."""
    sandbox.admin.edit_status("ad", int(SECOND), OFF)
    (account,) = adapter.accounts().value
    today = datetime.fromisoformat(sandbox.admin.state()["now"]).date()
    day = today - timedelta(days=1)
    frame = adapter.reports(account, day, day, run_date=today).value.frames["ads.ad_statuses"]
    load_contract("ads.ad_statuses").pandera_schema().validate(frame)
    assert {int(ad) for ad in frame["ad_id"]} == set(sandbox.admin.ads())
    paused = frame.filter(frame["ad_status"] == OFF).select("adgroup_id", "ad_id").rows()
    assert (paused, frame["date"].unique().to_list()) == ([(GROUP, SECOND)], [today])
