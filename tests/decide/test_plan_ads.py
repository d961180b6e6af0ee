"""plan-ads: from decisions in the warehouse to a change set that can be asked about; twice, by day, and beside other sets."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from decide_world import NOW, RUN_DATE, frame

from tasks.core.ad_changes import AdStatusSet
from tasks.core.changeset import parse
from tasks.core.contracts import load_contract
from tasks.core.errors import GateStop, JobError, NothingToDo
from tasks.core.ledger import Event, Ledger, Row
from tasks.core.switches import flip
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.decide.plan_ads import command
from tasks.platforms import adapter_of
from tasks.platforms.google_ads import GoogleAdsPlatform

ACCOUNT = "2000000001"
ON, OFF = "ENABLED", "PAUSED"
DAY = timedelta(days=1)


class Ads:
    """Three ads in ad group 11, one in 12, and what the bandits said about them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.warehouse, self.folder, self._monkeypatch = DuckDBWarehouse(folder / "w.duckdb"), folder, monkeypatch
        self.statuses = {("11", "1"): ON, ("11", "2"): ON, ("11", "3"): OFF, ("12", "4"): ON}
        for name, value in {"AELP2_DUCKDB_PATH": str(folder / "w.duckdb"), "AELP2_MODE": "live"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AELP2_ACTOR", "planner")
        monkeypatch.setenv("AELP2_GOOGLE_ADS_ENDPOINT", "localhost:1")
        monkeypatch.setenv("AELP2_XCOM_FILE", str(folder / "xcom.json"))
        about = {"platform": "google_ads", "account_id": ACCOUNT, "currency_code": "USD", "loaded_at": NOW}
        row = about | {"name_hash": "a" * 64, "timezone": "UTC", "status": ON}
        self.warehouse.merge("ads.ads_accounts", frame("ads.ads_accounts", [row]))

    def load(self, day: date = RUN_DATE, hour: int = 7) -> None:
        """This morning's statuses, and yesterday's delivery."""
        self._monkeypatch.setenv("AELP2_NOW", datetime.combine(day, time(hour), UTC).isoformat())
        whose = {"platform": "google_ads", "account_id": ACCOUNT, "campaign_id": "9", "loaded_at": NOW}
        above = {"adgroup_status": ON, "campaign_status": ON, "date": day}
        names = [{"adgroup_id": g, "ad_id": a} for g, a in self.statuses]
        rows = [whose | above | n | {"ad_status": s} for n, s in zip(names, self.statuses.values(), strict=True)]
        self.warehouse.replace_partitions("ads.ad_statuses", frame("ads.ad_statuses", rows), partitions=[day])
        numbers = dict.fromkeys(("impressions", "clicks", "cost_micros", "revenue_micros"), 1) | {"conversions": 1.0}
        facts = {"channel": "SEARCH", "is_brand": False, "ad_status": ON, "currency_code": "USD", "timezone": "UTC"}
        days = [whose | n | numbers | facts | {"attribution_window": "30d_click", "date": day - DAY} for n in names]
        self.warehouse.merge("ads.ads_ad_performance", frame("ads.ads_ad_performance", days))

    def say(self, day: date = RUN_DATE, **actions: str) -> None:
        """``a1="pause"``: what the bandits decided; ads not named are kept."""
        rows: list[dict[str, Any]] = []
        for adgroup_id, ad_id in self.statuses:
            action = actions.get(f"a{ad_id}", "keep")
            rows.append(
                {
                    "run_date": day,
                    "platform": "google_ads",
                    "account_id": ACCOUNT,
                    "campaign_id": "9",
                    "adgroup_id": adgroup_id,
                    "arm_kind": "ad",
                    "arm_id": ad_id,
                    "action": action,
                    "reason": f"The bandit says {action}.",
                    "currency_code": "USD",
                    "decided_at": NOW,
                }
            )
        # What the plan does not read is filled in by type, whatever else the bandits come to write.
        for field in load_contract("models.bandit_decisions").fields:
            default = {"INT64": 0, "FLOAT64": 0.0, "BOOL": False, "STRING": field.enum[0] if field.enum else "x"}.get(field.type)
            for row in rows:
                row.setdefault(field.name, default if field.required else None)
        audience = rows[0] | {"arm_kind": "audience", "arm_id": "77", "action": "pause"}
        self.warehouse.merge("models.bandit_decisions", frame("models.bandit_decisions", [*rows, audience]))

    def plan(self, day: date = RUN_DATE) -> str:
        """Run the job."""
        done = CliRunner().invoke(command, ["--run-date", day.isoformat()], standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        return done.output

    def sets(self) -> list[AdStatusSet]:
        found = self.warehouse.query("SELECT canonical_json FROM control.change_sets WHERE kind = 'ad_status' ORDER BY run_date")
        parsed = [parse(text) for text in found["canonical_json"]]
        return [p for p in parsed if isinstance(p, AdStatusSet)]

    def decided(self) -> dict[str, tuple[str, str]]:
        rows = self.warehouse.query("SELECT ad_id, decision, `constraint` FROM control.ad_decisions ORDER BY run_date, ad_id")
        return {ad: (decision, constraint) for ad, decision, constraint in rows.iter_rows()}

    def switch(self, made: AdStatusSet, *events: str) -> list[Row]:
        """Take the first change of ``made`` through ``events`` as the jobs of the act stage do."""
        change, ledger, rows = made.changes[0], Ledger(self.warehouse), []
        for event in events:
            is_of_change = event == "mutate_intended" or event.endswith("_change")
            facts = change.ledger_fields((change.status_before, change.status_after)) if is_of_change else {}
            name = event.removesuffix("_change")
            own = {"change_id": change.change_id} if is_of_change else {}
            row = Event(made.change_set_id, made.platform, ACCOUNT, name, made.sha256, "airflow", **own, **facts)  # type: ignore[arg-type]
            rows.append(ledger.append(row))
        return rows


WAY = ("approved", "snapshot", "validated", "mutate_intended", "applied_change")


@pytest.fixture
def ads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ads:
    world = Ads(tmp_path, monkeypatch)
    world.load()
    return world


def test_decisions_become_one_set_an_account(ads: Ads) -> None:
    """Pauses of the bandits are proposed in bytes that say on what they rest; audiences are not ads; nothing else is written."""
    ads.say(a1="pause", a4="pause")
    out = ads.plan()
    (made,) = ads.sets()
    assert [(c.ad_id, c.status_after, c.reason) for c in made.changes] == [("1", OFF, "The bandit says pause.")]
    assert (made.author, made.mode, made.currency_code, made.data_through_date) == ("planner", "live", "USD", RUN_DATE - DAY)
    assert ads.decided() == {
        "1": ("pause", "none"),
        "2": ("hold", "kept"),
        "3": ("hold", "kept"),
        "4": ("hold", "last_enabled_ad"),
    }
    assert f"proposed {made.change_set_id} (live, 1 ads, sha256 {made.sha256})" in out
    assert json.loads((ads.folder / "xcom.json").read_text())["change_set_ids"] == [made.change_set_id]
    assert [r.event for r in Ledger(ads.warehouse).rows()] == ["proposed"]


@pytest.mark.parametrize("kind", ["keyword", "audience"])
def test_what_is_decided_about_others_is_not_carried_out(ads: Ads, kind: str) -> None:
    """A keyword or an audience that the bandit would drop, even under the id of an ad that is kept, switches nothing; alone it is
    no plan at all."""
    ads.say()
    rows = ads.warehouse.query("SELECT * FROM models.bandit_decisions WHERE arm_kind = 'ad'")
    others = rows.with_columns(pl.lit(kind).alias("arm_kind"), pl.lit("pause").alias("action"))
    ads.warehouse.merge("models.bandit_decisions", others)
    ads.plan()
    assert (ads.sets(), Ledger(ads.warehouse).rows()) == ([], [])
    assert set(ads.decided().values()) == {("hold", "kept")}
    ads.warehouse.delete("models.bandit_decisions", column="arm_kind", values=["ad"])
    with pytest.raises(NothingToDo, match="no bandit has decided about an ad"):
        ads.plan()


def test_planning_twice_changes_nothing(ads: Ads) -> None:
    """A run date is planned once, also where the ads stand otherwise by then; a ledger row that a crash left out is written."""
    ads.say(a1="pause")
    ads.plan()
    ads.statuses["11", "1"] = OFF
    ads.load()
    assert "already proposed as" in ads.plan()
    assert (len(ads.sets()), ads.decided()["1"]) == (1, ("pause", "none"))
    assert [r.event for r in Ledger(ads.warehouse).rows()] == ["proposed"]


@pytest.mark.parametrize(
    ("prepare", "error", "words"),
    [
        (lambda _ads: None, NothingToDo, "no bandit has decided about an ad"),
        (lambda ads: ads.say(day=RUN_DATE - DAY, a1="pause"), NothingToDo, "no bandit has decided about an ad"),
        (
            lambda ads: (
                ads.say(a1="pause"),
                ads.warehouse.replace_partitions("ads.ad_statuses", frame("ads.ad_statuses", []), partitions=[RUN_DATE]),
            ),
            GateStop,
            "no ads of google_ads:2000000001 are loaded for 2026-02-26",
        ),
    ],
)
def test_without_its_inputs_there_is_no_plan(ads: Ads, prepare: Callable[[Ads], Any], error: type[Exception], words: str) -> None:
    """No decisions: nothing to do. Decisions about ads that nobody loaded: a stop that says what to run."""
    prepare(ads)
    with pytest.raises(error, match=words):
        ads.plan()


def test_an_account_whose_ads_are_not_loaded_does_not_hold_the_others_up(ads: Ads) -> None:
    """A closed account is decided about for as long as its days are remembered: it is named, the others are planned."""
    ads.say(a1="pause")
    rows = ads.warehouse.query("SELECT * FROM models.bandit_decisions").with_columns(pl.lit("1000000009").alias("account_id"))
    ads.warehouse.merge("models.bandit_decisions", rows)
    with pytest.raises(GateStop, match="no ads of google_ads:1000000009 are loaded for 2026-02-26; run ingest-ads"):
        ads.plan()
    assert [(s.account_id, [c.ad_id for c in s.changes]) for s in ads.sets()] == [(ACCOUNT, ["1"])]


@pytest.mark.parametrize("status", [OFF, "REMOVED"])
@pytest.mark.parametrize("parent", ["campaign_status", "adgroup_status"])
def test_an_ad_that_does_not_serve_is_not_paused(ads: Ads, parent: str, status: str) -> None:
    """Its days are remembered for months. The watch would take the silence of its group for ours and roll the whole set back,
    and of a removed campaign the platform refuses every change, and with it the set."""
    rows = ads.warehouse.query("SELECT * FROM ads.ad_statuses").with_columns(pl.lit(status).alias(parent))
    ads.warehouse.merge("ads.ad_statuses", rows)
    ads.say(a1="pause")
    ads.plan()
    assert (ads.sets(), ads.decided()["1"]) == ([], ("hold", "not_serving"))


def test_where_nothing_differs_no_set_is_made(ads: Ads) -> None:
    """The decisions are kept all the same."""
    ads.say()
    assert "no ad is switched today" in ads.plan()
    assert (ads.sets(), len(ads.decided())) == ([], 4)


def test_yesterdays_undecided_set_makes_room_for_todays(ads: Ads) -> None:
    """It expires in the ledger, so that nobody approves two sets of one ad group."""
    ads.say(a1="pause")
    ads.plan()
    ads.load(RUN_DATE + DAY)
    ads.say(RUN_DATE + DAY, a2="pause")
    ads.plan(RUN_DATE + DAY)
    first, second = ads.sets()
    ledger = Ledger(ads.warehouse)
    assert (ledger.history(first.change_set_id).state, ledger.history(second.change_set_id).state) == ("expired", "proposed")
    assert ledger.problems() == []


@pytest.mark.parametrize("events", [("approved",), WAY])
def test_an_open_set_holds_its_ad_group(ads: Ads, events: tuple[str, ...]) -> None:
    """M13: approved yesterday, or under watch; together with today's it could empty the group."""
    ads.say(a1="pause")
    ads.plan()
    ads.switch(ads.sets()[0], *events)
    ads.load(RUN_DATE + DAY, hour=6)  # the approval of yesterday at seven has an hour left
    ads.say(RUN_DATE + DAY, a2="pause")
    ads.plan(RUN_DATE + DAY)
    assert (len(ads.sets()), ads.decided()["2"]) == (1, ("hold", "other_set"))


def test_what_we_paused_may_be_taken_up_again_until_somebody_pauses_it_too(ads: Ads) -> None:
    """A pause of ours that stands is ours; one more pause in the account's log than ours is a person's."""
    ads.say(a1="pause")
    ads.plan()
    (_, _, _, _, applied) = ads.switch(ads.sets()[0], *WAY)
    ads.switch(ads.sets()[0], "applied", "verified", "promoted")
    ads.statuses["11", "1"] = OFF
    later = RUN_DATE + 2 * DAY
    ads.load(later)
    ads.say(later, a1="enable", a3="enable")
    event = {"platform": "google_ads", "account_id": ACCOUNT, "date": RUN_DATE, "resource_type": "AD_GROUP_AD"}
    event |= {"resource_id": "11~1", "operation": "UPDATE", "changed_fields": ["status"], "client_type": "X", "loaded_at": NOW}
    event |= {"status_before": ON, "status_after": OFF, "changed_at": applied.at}
    table = "ads.ads_change_events"
    ads.warehouse.merge(table, frame(table, [event | {"change_event_id": "ours"}]))
    ads.plan(later)
    assert (ads.decided()["1"], ads.decided()["3"]) == (("enable", "none"), ("hold", "paused_by_a_person"))

    ads.warehouse.merge(table, frame(table, [event | {"change_event_id": "theirs"}]))
    ads.load(later + DAY)
    ads.say(later + DAY, a1="enable")
    ads.plan(later + DAY)
    assert ads.decided()["1"] == ("hold", "paused_by_a_person")


def test_what_was_rolled_back_rests_before_anybody_is_asked_again(ads: Ads) -> None:
    """After a breach the posteriors are as they were: the same pause would be proposed on the next morning, and every one."""
    ads.say(a1="pause")
    ads.plan()
    ads.switch(ads.sets()[0], *WAY)
    ads.switch(ads.sets()[0], "applied", "breached", "rollback_intended_change", "rolled_back_change", "rolled_back")
    for days, expected in ((1, ("hold", "resting")), (6, ("hold", "resting")), (7, ("pause", "none"))):
        ads.load(RUN_DATE + days * DAY)
        ads.say(RUN_DATE + days * DAY, a1="pause")
        ads.plan(RUN_DATE + days * DAY)
        assert ads.decided()["1"] == expected, days


def test_critical_drift_holds_the_plan_until_somebody_acknowledges_it(ads: Ads) -> None:
    """As with budgets: what was learnt rests on other data than today's. Drift of another account holds nothing."""
    fields = load_contract("control.drift_reports").fields
    default = {"INT64": 0, "FLOAT64": 0.0, "BOOL": False, "DATE": RUN_DATE, "TIMESTAMP": NOW}
    row = {f.name: f.enum[0] if f.enum else default.get(f.type, "x") for f in fields if f.required}
    row |= {"run_date": RUN_DATE, "platform": "google_ads", "verdict": "critical"}
    row |= {"segment": "SEARCH", "column_name": "cost", "detail": "+90 %"}
    own, other = row | {"account_id": ACCOUNT}, row | {"account_id": "1000000009"}
    for found, expected in ((own, ("hold", "critical_drift")), (other, ("pause", "none"))):
        table = "control.drift_reports"
        ads.warehouse.replace_partitions(table, frame(table, [found]), partitions=[RUN_DATE])
        ads.say(a1="pause")
        ads.plan()
        assert ads.decided()["1"] == expected


def test_ads_of_a_platform_that_switches_none_are_advice(ads: Ads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked to approve what no API call could do."""
    monkeypatch.setattr(GoogleAdsPlatform, "switches_ads", False)
    ads.say(a1="pause")
    ads.plan()
    assert ads.decided()["1"] == ("hold", "by_hand")
    assert not adapter_of("x").switches_ads


def test_a_frozen_account_is_not_asked_about(ads: Ads) -> None:
    """M10 at the proposal."""
    ads.say(a1="pause")
    flip(ads.warehouse, scope=f"google_ads:{ACCOUNT}", is_on=True, why="test", actor="maria")
    ads.plan()
    assert (ads.sets(), ads.decided()["1"]) == ([], ("hold", "account_frozen"))


@pytest.mark.parametrize(
    ("flag", "value", "constraint"), [("freeze", True, "account_frozen"), ("max_ad_changes_per_day", 0, "ad_changes_per_day")]
)
def test_feature_flags_freeze_an_account_or_leave_less_room(
    ads: Ads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str, value: object, constraint: str
) -> None:
    """M10 and the cap of ads at the proposal; unreadable flags withdraw nothing and write nothing."""
    ads.say(a1="pause")
    file = tmp_path / "features.json"
    monkeypatch.setenv("AELP2_FLAGS", str(file))
    with pytest.raises(JobError, match="there is no such file"):
        ads.plan()
    assert ads.decided() == {}
    features = {"aelp2_freeze": {"defaultValue": False}} | {f"aelp2_{flag}": {"defaultValue": value}}
    file.write_text(json.dumps({"features": features}))
    ads.plan()
    assert ads.decided()["1"] == ("hold", constraint)
    assert ads.sets() == []
