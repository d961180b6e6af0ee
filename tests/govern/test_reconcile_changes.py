"""reconcile-changes: whose each budget change is, and what happens when somebody undoes ours."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.contracts import load_contract
from tasks.core.ledger import Event, Ledger, Row
from tasks.core.switches import flip, read_switches
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.govern import reconcile_changes
from tasks.govern.reconciliation import AD, BUDGET, LoggedChange, completeness, reconcile, shown

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
SINCE, UNTIL = NOW - timedelta(days=29), NOW + timedelta(hours=1)
SHA = "a" * 64
TODAY = NOW.date()


def logged(key: str, before: int, after: int, hours: float = 0.0, budget: str = "b1") -> LoggedChange:
    at = NOW + timedelta(hours=hours)
    return LoggedChange(key, at.date(), BUDGET, budget, before, after, at)


def receipt(seq: int, before: int, after: int, hours: float = 0.0, event: str = "applied", budget: str = "b1") -> Row:
    at = NOW + timedelta(hours=hours)
    return Row(
        seq,
        f"s1/c{seq}/{event}",
        "s1",
        f"c{seq}",
        budget,
        "google_ads",
        "1",
        event,
        before,
        after,
        SHA,
        "job",
        "r",
        "{}",
        at,
        "",
        "",
    )


def test_a_change_of_ours_takes_its_event_and_others_stay() -> None:
    """Same budget, same amounts, near in time; another amount or another budget is somebody else's."""
    events = [logged("e1", 100, 105, 0.1), logged("e2", 200, 300), logged("e3", 100, 105, budget="b2")]
    found = reconcile(events, [receipt(1, 100, 105)], SINCE, UNTIL)
    assert {r.change.event_key: (r.origin, r.own.change_id if r.own else None) for r in found} == {
        "e1": ("ours", "c1"),
        "e2": ("out_of_band", None),
        "e3": ("out_of_band", None),
    }
    assert completeness(found) == pytest.approx(1 / 3)
    assert completeness([]) is None


def test_an_event_is_taken_once_by_the_nearest() -> None:
    """The same change made twice: each receipt its own event; a third event of the kind was made by somebody."""
    events = [logged("late", 100, 105, 2.0), logged("first", 100, 105, 0.0), logged("third", 100, 105, 3.0)]
    found = reconcile(events, [receipt(1, 100, 105, 0.0), receipt(2, 100, 105, 2.1)], SINCE, UNTIL)
    assert {r.change.event_key: r.own.seq if r.own else None for r in found} == {"first": 1, "late": 2, "third": None}


def test_the_same_amounts_on_another_day_are_not_ours() -> None:
    """Somebody repeats our change a day later."""
    (one, missing) = reconcile([logged("e1", 100, 105, 0.5)], [receipt(1, 100, 105, -30)], SINCE, UNTIL)
    assert (one.origin, missing.origin) == ("not_in_log", "out_of_band")


@pytest.mark.parametrize(("hours", "origins"), [(-25, ["not_in_log"]), (-23, []), (-24 * 40, [])])
def test_a_receipt_without_event_is_missed_after_a_day_only(hours: float, origins: list[str]) -> None:
    """The platform's log may lag, and holds 30 days."""
    assert [r.origin for r in reconcile([], [receipt(1, 100, 105, hours)], SINCE, UNTIL)] == origins


@pytest.mark.parametrize(
    ("before", "after", "hours", "fights"),
    [(105, 100, 1, True), (105, 110, 1, False), (105, 103, 24 * 6.9, True), (105, 100, 24 * 7.1, False), (105, 100, -1, False)],
)
def test_only_who_moves_it_back_fights(before: int, after: int, hours: float, fights: bool) -> None:
    """Further in our direction, long after or before ours is no fight."""
    found = reconcile(
        [logged("e0", 100, 105), logged("e1", before, after, hours)], [receipt(1, 100, 105)], SINCE, NOW + timedelta(9)
    )
    assert next(r for r in found if r.change.event_key == "e1").is_fighting is fights


def test_who_came_first_is_told_by_the_platform_s_clock() -> None:
    """Its clock is two hours behind ours: the edit after our change carries an earlier time than our own receipt."""
    events = [logged("e0", 100, 105, -2), logged("e1", 105, 100, -1.9)]
    found = reconcile(events, [receipt(1, 100, 105)], SINCE, UNTIL)
    assert [(r.change.event_key, r.origin, r.is_fighting) for r in found] == [("e0", "ours", False), ("e1", "out_of_band", True)]


def test_our_own_rollback_is_no_fight() -> None:
    """Both are ours."""
    found = reconcile(
        [logged("e0", 100, 105), logged("e1", 105, 100, 1)],
        [receipt(1, 100, 105), receipt(2, 105, 100, 1, event="rolled_back")],
        SINCE,
        UNTIL,
    )
    assert [r.origin for r in found] == ["ours", "ours"]
    assert not any(r.is_fighting for r in found)


def test_ads_are_matched_and_fought_over_like_budgets() -> None:
    """Our pause takes its event; who enables the ad again fights, who pauses another one does not."""
    own = replace(
        receipt(1, 0, 0),
        budget_id=None,
        amount_before_micros=None,
        amount_after_micros=None,
        adgroup_id="g1",
        ad_id="a1",
        status_before="ENABLED",
        status_after="PAUSED",
    )

    def switched(key: str, ad: str, before: str, after: str, hours: float) -> LoggedChange:
        at = NOW + timedelta(hours=hours)
        return LoggedChange(key, at.date(), AD, f"g1~{ad}", before, after, at)

    events = [
        switched("e1", "a1", "ENABLED", "PAUSED", 0.1),
        switched("e2", "a1", "PAUSED", "ENABLED", 2),
        switched("e3", "a2", "ENABLED", "PAUSED", 2),
    ]
    found = reconcile(events, [own], SINCE, UNTIL)
    assert [(r.change.event_key, r.origin, r.is_fighting) for r in found] == [
        ("e1", "ours", False),
        ("e2", "out_of_band", True),
        ("e3", "out_of_band", False),
    ]
    assert found[1].change.text == "ad g1~a1: PAUSED to ENABLED"
    (missing,) = reconcile([], [replace(own, at=NOW - timedelta(hours=30))], SINCE, UNTIL)
    assert (missing.origin, missing.change.resource_id, missing.change.before) == ("not_in_log", "g1~a1", "ENABLED")


amounts = st.sampled_from([100, 105, 110])
moves = st.tuples(amounts, amounts, st.floats(-48, 48), st.sampled_from(["b1", "b2"])).filter(lambda m: m[0] != m[1])


@given(st.lists(moves, max_size=8), st.lists(moves, max_size=8))
def test_every_event_and_every_old_receipt_is_accounted_for_once(events: list[Any], own: list[Any]) -> None:
    """Nothing is lost or counted twice, whatever was changed by whom."""
    changes = [logged(f"e{i}", b, a, h, budget) for i, (b, a, h, budget) in enumerate(events)]
    rows = [receipt(i + 1, b, a, h, budget=budget) for i, (b, a, h, budget) in enumerate(own)]
    found = reconcile(changes, rows, SINCE, UNTIL)
    in_log = [r for r in found if r.origin != "not_in_log"]
    assert sorted(r.change.event_key for r in in_log) == sorted(c.event_key for c in changes)
    owners = [r.own.seq for r in found if r.own]
    assert len(owners) == len(set(owners))
    assert {r.seq for r in rows if r.at < UNTIL - timedelta(hours=24)} <= set(owners)
    for r in in_log:
        if r.own:
            assert (r.own.budget_id, r.own.amount_before_micros) == (r.change.resource_id, r.change.before)


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DuckDBWarehouse:
    """One change of ours, 100 to 105, applied and in the log; AELP2_NOW stands at NOW."""
    monkeypatch.setenv("AELP2_BACKEND", "duckdb")
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_NOW", NOW.isoformat())
    store = DuckDBWarehouse(tmp_path / "w.duckdb")
    for event, change in (
        ("proposed", ""),
        ("approved", ""),
        ("snapshot", ""),
        ("validated", ""),
        ("mutate_intended", "c1"),
        ("applied", "c1"),
        ("applied", ""),
    ):
        money = {"budget_id": "b1", "amount_before_micros": 100, "amount_after_micros": 105} if change else {}
        Ledger(store).append(Event("s1", "google_ads", "1", event, SHA, "job", change_id=change, **money))  # type: ignore[arg-type]
    log(store, "e1", 100, 105, NOW)
    return store


def log(store: DuckDBWarehouse, key: str, before: int, after: int, at: datetime, **other: object) -> None:
    event = {
        "platform": "google_ads",
        "account_id": "1",
        "change_event_id": key,
        "date": at.date(),
        "changed_at": at,
        "resource_type": "CAMPAIGN_BUDGET",
        "resource_id": "b1",
        "operation": "UPDATE",
        "changed_fields": ["amount_micros"],
        "client_type": "GOOGLE_ADS_WEB_CLIENT",
        "amount_before_micros": before,
        "amount_after_micros": after,
        "loaded_at": at,
    }
    if other:
        event |= {"amount_after_micros": None, "status_before": "ENABLED", "status_after": "PAUSED"} | other
    store.insert_new(
        "ads.ads_change_events", pl.DataFrame([event], schema=load_contract("ads.ads_change_events").polars_schema())
    )


def run(day: date = TODAY) -> str:
    result = CliRunner().invoke(reconcile_changes.command, ["--run-date", str(day)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def events(store: DuckDBWarehouse) -> list[tuple[str, str]]:
    frame = store.query("SELECT kind, severity FROM control.safety_events ORDER BY kind")
    return list(frame.iter_rows())


def test_all_ours_is_quiet(warehouse: DuckDBWarehouse) -> None:
    """Completeness 100 %, no safety event, no freeze."""
    assert "1 changes in 30 days: 1 ours, 0 by others" in run()
    assert "completeness 100%" in run()
    assert events(warehouse) == []
    assert read_switches(warehouse) == {}


def test_a_fight_freezes_once(warehouse: DuckDBWarehouse) -> None:
    """Somebody moves our budget back: frozen and told. After a person thawed it, the same event does not freeze it again."""
    log(warehouse, "e2", 105, 100, NOW + timedelta(hours=2))
    assert "1 by others (1 against ours)" in run()
    assert events(warehouse) == [("change_fought", "critical")]
    assert read_switches(warehouse)["google_ads:1"].is_on
    flip(warehouse, scope="google_ads:1", is_on=False, why="talked to them", actor="maria")
    run(TODAY + timedelta(days=1))
    assert not read_switches(warehouse)["google_ads:1"].is_on
    assert events(warehouse) == [("change_fought", "critical")]
    log(warehouse, "e3", 105, 99, NOW + timedelta(hours=30))
    run(TODAY + timedelta(days=1))
    assert read_switches(warehouse)["google_ads:1"].is_on


def test_a_crash_after_the_freeze_is_made_good(warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the table is written: the account is frozen; the next run writes the table and freezes no second time."""
    log(warehouse, "e2", 105, 100, NOW + timedelta(hours=2))
    with monkeypatch.context() as patch:
        patch.setattr(DuckDBWarehouse, "replace_partitions", lambda *_a, **_k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            reconcile_changes.run(warehouse, TODAY)
    first = read_switches(warehouse)["google_ads:1"]
    assert first.is_on
    run()
    assert read_switches(warehouse)["google_ads:1"] == first
    assert warehouse.query("SELECT COUNT(*) AS n FROM control.change_reconciliation")["n"][0] == 2


def test_edits_that_are_no_fight_are_told_once_together(warehouse: DuckDBWarehouse) -> None:
    """They count in the daily cap by the guard's own reading; here they are information. What was before us is no news."""
    log(warehouse, "e2", 105, 120, NOW + timedelta(hours=2))
    log(warehouse, "e3", 120, 125, NOW + timedelta(hours=3))
    log(warehouse, "e4", 90, 100, NOW - timedelta(days=3))
    run()
    run()
    assert events(warehouse) == [("out_of_band_change", "info")]
    assert "2 changes" in warehouse.query("SELECT detail FROM control.safety_events")["detail"][0]
    assert warehouse.query("SELECT COUNT(*) AS n FROM control.change_reconciliation")["n"][0] == 4
    assert read_switches(warehouse) == {}


def test_a_change_that_comes_late_into_the_log_is_missed_no_longer(warehouse: DuckDBWarehouse) -> None:
    """Missing after two days; when its event is there, one row is left and it is ours."""
    warehouse.delete("ads.ads_change_events", column="change_event_id", values=["e1"])
    later = TODAY + timedelta(days=2)
    assert "1 of ours missing" in run(later)
    log(warehouse, "e1", 100, 105, NOW)
    assert "0 of ours missing" in run(later)
    frame = warehouse.query("SELECT event_key, origin FROM control.change_reconciliation")
    assert frame.rows() == [("e1", "ours")]


def test_a_switched_ad_is_read_from_the_log(warehouse: DuckDBWarehouse) -> None:
    """An ad that somebody pauses is told and written down with its statuses."""
    log(warehouse, "e2", 0, 0, NOW + timedelta(hours=2), resource_type=AD, resource_id="g1~a1", amount_before_micros=None)
    run()
    (detail,) = warehouse.query("SELECT detail FROM control.safety_events")["detail"]
    assert "1 changes were made outside this system, of ad g1~a1" in detail
    columns = "amount_before_micros, amount_after_micros, status_before, status_after"
    frame = warehouse.query(f"SELECT {columns} FROM control.change_reconciliation WHERE event_key = 'e2'")
    assert frame.rows() == [(None, None, "ENABLED", "PAUSED")]


def test_nobody_changed_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet account is not an error."""
    monkeypatch.setenv("AELP2_BACKEND", "duckdb")
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    assert "no budget and no ad was changed" in run()


# --- platforms without a change log


def switch(seq: int, before: str, after: str, hours: float, event: str = "applied") -> Row:
    """A receipt of ours for ad g1~a1 of a platform without a log."""
    row = replace(receipt(seq, 0, 0, hours, event), budget_id=None, amount_before_micros=None, amount_after_micros=None)
    return replace(row, platform="reddit", adgroup_id="g1", ad_id="a1", status_before=before, status_after=after)


def look(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def difference(before: str, after: str, since: float, until: float, ad: str = "g1~a1") -> LoggedChange:
    return LoggedChange(f"look:{until}", look(until).date(), AD, ad, before, after, look(until), look(since))


def test_a_difference_between_two_looks_is_ours_if_we_made_it_then() -> None:
    """At any moment between the looks; the same difference a day later is somebody else's."""
    looks = [look(-72), look(-48), look(-24), look(0)]
    ours = switch(1, "ENABLED", "PAUSED", -60)
    (found,) = reconcile([difference("ENABLED", "PAUSED", -72, -48)], [ours], SINCE, UNTIL, looks=looks)
    assert (found.origin, found.own) == ("ours", ours)
    other = reconcile([difference("ENABLED", "PAUSED", -24, 0)], [ours], SINCE, UNTIL, looks=looks)
    assert sorted(r.origin for r in other) == ["not_in_log", "out_of_band"]


def test_what_somebody_took_back_between_two_looks_is_missed_and_what_we_took_back_is_not() -> None:
    """Only the net of ours can be seen: a pause that the next look does not show was undone, unless by us."""
    looks = [look(-72), look(-48), look(-24), look(0)]
    pause, back = switch(1, "ENABLED", "PAUSED", -60), switch(2, "PAUSED", "ENABLED", -55, "rolled_back")
    assert [r.origin for r in reconcile([], [pause], SINCE, UNTIL, looks=looks)] == ["not_in_log"]
    assert reconcile([], [pause, back], SINCE, UNTIL, looks=looks) == []
    assert shown([pause, back], looks) == []


def test_a_change_after_the_last_look_is_not_missed_yet() -> None:
    """The next look will tell."""
    assert reconcile([], [switch(1, "ENABLED", "PAUSED", -20)], SINCE, UNTIL, looks=[look(-72), look(-48), look(-24)]) == []


def test_who_moves_ours_back_fights_on_such_platforms_too() -> None:
    """We paused, the look of the day after shows it, the next one does not."""
    looks = [look(-72), look(-48), look(-24)]
    events = [difference("ENABLED", "PAUSED", -72, -48), difference("PAUSED", "ENABLED", -48, -24)]
    found = {r.change.event_key: r for r in reconcile(events, [switch(1, "ENABLED", "PAUSED", -60)], SINCE, UNTIL, looks=looks)}
    assert found["look:-48"].origin == "ours"
    assert (found["look:-24"].origin, found["look:-24"].is_fighting) == ("out_of_band", True)


def test_the_job_reads_the_looks_of_platforms_without_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks at an account of Reddit that differ are somebody's change; the same two of Google, which has a log, are none."""
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    store = DuckDBWarehouse(tmp_path / "w.duckdb")
    statuses = [
        {
            "platform": platform,
            "account_id": "1",
            "date": TODAY - timedelta(days=age),
            "campaign_id": "c1",
            "adgroup_id": "g1",
            "ad_id": "a1",
            "ad_status": status,
            "adgroup_status": "ENABLED",
            "campaign_status": "ENABLED",
            "loaded_at": NOW - timedelta(days=age),
        }
        for platform in ("google_ads", "reddit")
        for age, status in ((2, "ENABLED"), (1, "PAUSED"), (0, "PAUSED"))
    ]
    store.insert_new("ads.ad_statuses", pl.DataFrame(statuses, schema=load_contract("ads.ad_statuses").polars_schema()))
    said = run()
    assert "reddit:1: 1 changes in 30 days: 0 ours, 1 by others" in said
    assert "google_ads" not in said
    kept = store.query("SELECT resource_id, status_before, status_after FROM control.change_reconciliation")
    assert list(kept.iter_rows()) == [("g1~a1", "ENABLED", "PAUSED")]
