"""The load itself, on a platform kept in memory: isolation, resuming, replacing, quarantine, currency."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError, TryAgain
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest.ads_load import Load, Result, Wish, raise_failures
from tasks.ingest.ads_window import CHUNK_DAYS, FIRST_DAYS
from tasks.platforms.base import Account, AccountChange, BudgetAmount, BudgetState, Receipt, RejectedRow, Reports

RUN = date(2026, 3, 1)
DAY = timedelta(days=1)
TABLE = "ads.ads_campaign_performance"
A = Account("google_ads", "1000000001", "a" * 64, "USD", "America/New_York", "ENABLED")
B = replace(A, account_id="1000000002")
C = replace(A, account_id="1000000003")


def frame(account: Account, start: date, end: date, cost: int) -> pl.DataFrame:
    rows = [
        {
            "platform": "google_ads",
            "account_id": account.account_id,
            "date": start + n * DAY,
            "campaign_id": "1",
            "channel": "PMAX",
            "is_brand": False,
            "campaign_status": "ENABLED",
            "impressions": 10,
            "clicks": 1,
            "cost_micros": cost,
            "conversions": 1.0,
            "revenue_micros": 1,
            "currency_code": account.currency_code,
            "timezone": account.timezone,
            "attribution_window": "30d_click",
            "loaded_at": datetime(2026, 3, 1, tzinfo=UTC),
        }
        for n in range((end - start).days + 1)
    ]
    return pl.DataFrame(rows, schema=load_contract(TABLE).polars_schema())


@dataclass
class MemoryPlatform:
    """Accounts with one campaign that spends ``cost`` a day; ``broken`` raises from the chunk that holds the given day."""

    all_accounts: list[Account] = field(default_factory=lambda: [A, B, C])
    cost: int = 5
    broken: dict[str, tuple[date, JobError]] = field(default_factory=dict)
    rejected: tuple[RejectedRow, ...] = ()
    asked: list[tuple[str, date, date]] = field(default_factory=list)
    name: str = "google_ads"
    api_version: str = "v26"
    restatement_days: int = 30

    def accounts(self) -> list[Account]:
        return self.all_accounts

    def reports(self, account: Account, start: date, end: date, *, run_date: date) -> Reports:
        self.asked.append((account.account_id, start, end))
        from_day, error = self.broken.get(account.account_id, (date.max, JobError("")))
        if end >= from_day:
            raise error
        return Reports({TABLE: frame(account, start, end, self.cost)}, 2, {TABLE: (start, end)}, self.rejected)

    def read_budgets(self, account_id: str, budget_ids: Sequence[str] | None = None) -> list[BudgetState]:
        raise NotImplementedError

    def set_budgets(self, account_id: str, amounts: Sequence[BudgetAmount], *, validate_only: bool) -> Receipt:
        raise NotImplementedError

    def read_changes(self, account_id: str, since: datetime) -> list[AccountChange]:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AELP2_NOW", "2026-03-01T06:00:00+00:00")


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "w.duckdb")


def load(warehouse: DuckDBWarehouse, platform: MemoryPlatform, run_date: date = RUN, **wish: object) -> list[Result]:
    return Load(platform, warehouse, Wish(run_date, 30, 400, **wish)).run()  # type: ignore[arg-type]


def totals(warehouse: DuckDBWarehouse) -> dict[str, tuple[int, int]]:
    rows = warehouse.query(
        "SELECT account_id, COUNT(*) AS n, CAST(SUM(cost_micros) AS INT64) AS cost "
        "FROM ads.ads_campaign_performance GROUP BY account_id"
    )
    return {r["account_id"]: (r["n"], r["cost"]) for r in rows.iter_rows(named=True)}


def runs(warehouse: DuckDBWarehouse) -> dict[str, dict[str, object]]:
    return {r["account_id"]: r for r in warehouse.query("SELECT * FROM control.ingest_runs").iter_rows(named=True)}


def test_one_broken_account_stops_no_other(warehouse: DuckDBWarehouse) -> None:
    """The other two land whole, control.ingest_runs says what happened to each, and the run fails at the end."""
    error = JobError("account 1000000002: closed; reactivate it")
    results = load(warehouse, MemoryPlatform(broken={B.account_id: (date.min, error)}))
    assert totals(warehouse) == {A.account_id: (400, 2000), C.account_id: (400, 2000)}
    rows = runs(warehouse)
    assert {k: r["status"] for k, r in rows.items()} == {
        A.account_id: "succeeded",
        B.account_id: "failed",
        C.account_id: "succeeded",
    }
    assert (rows[B.account_id]["error"], rows[B.account_id]["rows"]) == (str(error), 0)
    assert rows[B.account_id]["end_date"] == rows[B.account_id]["start_date"] - DAY  # type: ignore[operator]
    with pytest.raises(JobError, match=r"1 of 3 accounts failed, the other 2 landed\. 1000000002: FAILED: .*reactivate it"):
        raise_failures(results)


def test_only_passing_faults_mean_try_again(warehouse: DuckDBWarehouse) -> None:
    """If time alone may mend every failure the exit code says so; one lasting failure makes it a person's job."""
    quota, closed = TryAgain("quota"), JobError("closed")
    day = (date.min, quota)
    with pytest.raises(TryAgain):
        raise_failures(load(warehouse, MemoryPlatform(broken={A.account_id: day, B.account_id: day})))
    with pytest.raises(JobError) as caught:
        raise_failures(load(warehouse, MemoryPlatform(broken={A.account_id: day, B.account_id: (date.min, closed)})))
    assert type(caught.value) is JobError


def test_a_load_cut_off_between_chunks_goes_on_and_ends_the_same(warehouse: DuckDBWarehouse) -> None:
    """The third chunk fails: two stay landed, the next run asks only for the rest, and the table is as if nothing happened."""
    platform = MemoryPlatform([A], broken={A.account_id: (RUN - 100 * DAY, TryAgain("quota"))})
    load(warehouse, platform)
    landed = FIRST_DAYS + CHUNK_DAYS
    assert (platform.asked[0][1], totals(warehouse)) == (RUN - 400 * DAY, {A.account_id: (landed, landed * 5)})
    cut = platform.asked[1][2]
    assert runs(warehouse)[A.account_id]["end_date"] == cut
    platform.broken, platform.asked = {}, []
    load(warehouse, platform)
    assert (platform.asked[0][1], platform.asked[-1][2]) == (cut + DAY, RUN - DAY)
    assert totals(warehouse) == {A.account_id: (400, 2000)}
    assert runs(warehouse)[A.account_id]["status"] == "succeeded"


def test_an_attempt_that_lands_nothing_forgets_nothing(warehouse: DuckDBWarehouse) -> None:
    """The quota is still used up when a cut first load is tried again: the third attempt goes on, it does not start anew."""
    cut = MemoryPlatform([A], broken={A.account_id: (RUN - 100 * DAY, TryAgain("quota"))})
    load(warehouse, cut)
    before = runs(warehouse)[A.account_id]
    load(warehouse, MemoryPlatform([A], broken={A.account_id: (date.min, TryAgain("quota"))}))
    after = runs(warehouse)[A.account_id]
    assert [after[k] for k in ("start_date", "end_date", "rows", "status")] == [
        *(before[k] for k in ("start_date", "end_date", "rows")),
        "failed",
    ]
    whole = MemoryPlatform([A])
    load(warehouse, whole)
    assert whole.asked[0][1] == before["end_date"] + DAY  # type: ignore[operator]
    assert totals(warehouse) == {A.account_id: (400, 2000)}


def test_the_record_of_a_load_that_went_on_counts_all_of_it(warehouse: DuckDBWarehouse) -> None:
    """Days, rows, duplicates and rows set aside of both attempts: rows a day tell how long the next load's pieces may be."""
    bad = RejectedRow(TABLE, {"cost_micros": -5, "campaign_id": "9"}, "cost_micros_min", "cost_micros is -5")
    for last in (RUN - 100 * DAY, date.max):
        broken = {A.account_id: (last, TryAgain("quota"))}
        load(warehouse, MemoryPlatform([A], broken=broken, rejected=(bad,)), start_date=RUN - 400 * DAY)
    row = runs(warehouse)[A.account_id]
    assert (row["start_date"], row["end_date"], row["rows"]) == (RUN - 400 * DAY, RUN - DAY, 400)
    chunks = 4  # two of each attempt
    assert (row["duplicates"], row["quarantined"]) == (2 * chunks, chunks)


def test_a_backfill_refused_before_it_began_has_landed_nothing(warehouse: DuckDBWarehouse) -> None:
    """Once the cause is gone it loads from its first day, not from the last."""
    load(warehouse, MemoryPlatform([A]), RUN - DAY)
    other = replace(A, currency_code="EUR")
    (refused,) = load(warehouse, MemoryPlatform([other]), start_date=RUN - 400 * DAY)
    assert "now reports in EUR" in str(refused.error)
    warehouse.replace_partitions(
        TABLE,
        frame(A, RUN, RUN - DAY, 0),
        partitions=[RUN - n * DAY for n in range(1, 402)],
        where={"platform": A.platform, "account_id": A.account_id},
    )
    load(warehouse, MemoryPlatform([other]), start_date=RUN - 400 * DAY)
    assert totals(warehouse) == {A.account_id: (400, 2000)}


def test_restated_days_are_replaced(warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next day's run brings other numbers for 30 days: those are replaced, older ones stay, nothing doubles."""
    platform = MemoryPlatform([A])
    load(warehouse, platform)
    platform.cost = 7
    monkeypatch.setenv("AELP2_NOW", "2026-03-02T06:00:00+00:00")
    load(warehouse, platform, RUN + DAY)
    assert totals(warehouse) == {A.account_id: (401, 371 * 5 + 30 * 7)}


def test_running_twice_changes_nothing(warehouse: DuckDBWarehouse) -> None:
    """Same rows and one line per account in control.ingest_runs, of which the counts are the last run's."""
    load(warehouse, MemoryPlatform())
    before = totals(warehouse)
    load(warehouse, MemoryPlatform())
    assert (totals(warehouse), len(runs(warehouse))) == (before, 3)


def test_a_named_backfill_reaches_further_back(warehouse: DuckDBWarehouse) -> None:
    """--start-date loads from there, for the named account only."""
    platform = MemoryPlatform()
    load(warehouse, platform, accounts=("1000000002",), start_date=RUN - 500 * DAY)
    assert totals(warehouse) == {B.account_id: (500, 2500)}


def test_bad_rows_are_quarantined_and_counted(warehouse: DuckDBWarehouse) -> None:
    """The run goes on; the rows are in control.quarantine and their number in control.ingest_runs."""
    bad = RejectedRow(TABLE, {"cost_micros": -5, "campaign_id": "9"}, "cost_micros_min", "cost_micros is -5")
    load(warehouse, MemoryPlatform([A], rejected=(bad,)), start_date=RUN - 5 * DAY)
    kept = warehouse.query("SELECT table_name, reason FROM control.quarantine").rows()
    assert (kept, runs(warehouse)[A.account_id]["quarantined"]) == ([(TABLE, "cost_micros is -5")], 1)
    assert runs(warehouse)[A.account_id]["duplicates"] == 2


def test_a_currency_that_changed_stops_the_account(warehouse: DuckDBWarehouse) -> None:
    """Amounts of two currencies in one column would be added up by every reader."""
    load(warehouse, MemoryPlatform([A]))
    before = totals(warehouse)
    (result,) = load(warehouse, MemoryPlatform([replace(A, currency_code="EUR")]))
    assert "now reports in EUR, its stored history is in USD" in str(result.error)
    assert totals(warehouse) == before


def test_closed_accounts_are_left_out_unless_named(warehouse: DuckDBWarehouse) -> None:
    """A cancelled account would fail every day for ever; naming it tries all the same."""
    platform = MemoryPlatform([A, replace(B, status="CANCELED")])
    assert [r.account_id for r in load(warehouse, platform)] == [A.account_id]
    assert [r.account_id for r in load(warehouse, platform, accounts=(B.account_id,))] == [B.account_id]
    assert warehouse.query("SELECT account_id FROM ads.ads_accounts ORDER BY account_id").to_series().to_list() == [
        A.account_id,
        B.account_id,
    ]


@pytest.mark.parametrize(
    ("accounts", "wanted", "message"),
    [([A], ("9",), "reach no account 9, but 1000000001"), ([], (), "reach no ad account")],
)
def test_no_such_account(warehouse: DuckDBWarehouse, accounts: list[Account], wanted: tuple[str, ...], message: str) -> None:
    """A wrong id, or a manager without clients, is an error and not a quiet success."""
    with pytest.raises(JobError, match=message):
        load(warehouse, MemoryPlatform(accounts), accounts=wanted)


def test_a_start_after_the_last_complete_day_is_an_error(warehouse: DuckDBWarehouse) -> None:
    """There is nothing to load from the future."""
    (result,) = load(warehouse, MemoryPlatform([A]), start_date=RUN)
    assert "is after the last complete day 2026-02-28" in str(result.error)
