"""Loading connector reports: everything is read and checked before the first row is written, then merged by grain.

Merged, not replaced by partition: a file holds the rows somebody chose to export, and what it leaves out is not gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

import polars as pl
import structlog

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.quarantine import quarantine
from tasks.ingest.report_accounts import Told, find_accounts, refuse_untold
from tasks.ingest.report_read import FILE, Found
from tasks.ingest.report_rows import add_up, look_up, newest
from tasks.ingest.report_spec import UNKNOWN, Into, Report, connectors, named_otherwise
from tasks.ingest.report_table import Mapped, TableMaker, account_ids
from tasks.platforms.base import Account, RejectedRow
from tasks.platforms.normalise import shape

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

log = structlog.get_logger(source=__name__)
ENTITIES, ACTIONS = "ads.ads_entities", "ads.ads_action_performance"
TABLES = (
    "ads.ads_campaign_performance",
    "ads.ads_ad_performance",
    "ads.ads_criterion_performance",
    "ads.ads_breakdown_performance",
    ACTIONS,
    ENTITIES,
)
FIRST_DAY = date(2000, 1, 1)  # before any of the platforms sold an ad by the day


@dataclass(frozen=True)
class Telling:
    """What the command line says beside the files."""

    run_date: date
    currencies: Told = field(default_factory=Told)
    timezones: Told = field(default_factory=Told)
    accounts: Mapping[str, str] = field(default_factory=dict)
    brand_terms: tuple[str, ...] = ()

    def account_of(self, platform: str) -> str:
        """The account of rows of ``platform`` that name none."""
        return self.accounts.get(platform, UNKNOWN)


@dataclass
class Line:
    """What became of one file: rows, how many of them were set aside, totals of what is stored, and where it goes."""

    file: str
    report: Report
    rows: int
    columns: Sequence[str]
    kept: int = 0
    totals: dict[str, float] = field(default_factory=dict)

    def text(self) -> str:
        """The line for a person."""
        tables = ", ".join(dict.fromkeys(into.table for into in self.report.into))
        sums = "; ".join(f"{name} {value:,.6g}" if value % 1 else f"{name} {value:,.0f}" for name, value in self.totals.items())
        lacks = [name for into in self.report.into for name in into.needed_measures if name not in into.carried(self.columns)]
        zero = f"; not in this report, stored as 0: {', '.join(lacks)}" if lacks else ""
        return f"{self.file}: {self.report.title}, {self.rows:,} rows → {tables}: {sums or f'{self.kept:,} entities'}{zero}"


@dataclass
class Checked:
    """Frames ready for their tables, the accounts they belong to, what was set aside, and a line per file."""

    frames: dict[str, pl.DataFrame]
    accounts: list[Account]
    rejected: list[RejectedRow]
    lines: list[Line]
    notes: list[str]


@dataclass
class _Platform:
    """One platform's rows that count, with their looked-up columns, and its accounts; ``counted`` ones have amounts."""

    rows: dict[Report, pl.DataFrame]
    accounts: dict[str, Account]
    counted: set[str]


def check(files: Sequence[Found], telling: Telling, salt: bytes, loaded_at: datetime) -> Checked:
    """Rows of all files in the shape of their tables; JobError, naming file and value, before anything is written."""
    done = Checked({}, [], [], [Line(f.name, f.report, f.rows.height, f.rows.columns) for f in files], [])
    for found in files:
        if other := named_otherwise(found.name, found.report):
            done.notes.append(f"{found.name}: its name says {other}, its columns are those of {found.report.name}; read as that")
    parts: dict[str, list[pl.DataFrame]] = defaultdict(list)
    platforms = [
        _platform(name, [f for f in files if f.report.platform == name], telling, salt, done.notes) for name in _names(files)
    ]
    refuse_untold(account for one in platforms for account_id, account in one.accounts.items() if account_id in one.counted)
    for one in platforms:
        done.accounts += one.accounts.values()
        for report, rows in one.rows.items():
            for into in report.into:
                mapped = _maker(report, into, one.accounts, telling, salt).make(rows)
                done.rejected += mapped.rejected
                _count(done.lines, mapped, into, report)
                if unknown := (mapped.rows["account_id"] == UNKNOWN).sum():
                    done.notes.append(
                        f"{report.title}: {unknown:,} rows name no account that a history file knows: account `{UNKNOWN}`"
                    )
                parts[into.table] += _shaped(mapped.rows, into, one.accounts, telling, loaded_at, done)
    done.frames = {table: _one(table, parts[table]) for table in TABLES if parts[table]}
    return done


def _names(files: Sequence[Found]) -> list[str]:
    return sorted({f.report.platform for f in files})


def _platform(name: str, files: Sequence[Found], telling: Telling, salt: bytes, notes: list[str]) -> _Platform:
    histories = _newest(files, notes)
    by_name = {report.name: rows for report, rows in histories.items()}
    rows = {report: look_up(its, report.lookups, by_name) for report, its in histories.items()}
    seen: set[str] = set()
    counted: set[str] = set()
    for report, its in rows.items():
        for into in report.into:
            ids = set(account_ids(its, into, telling.account_of(name)))
            seen |= ids
            counted |= ids if into.table != ENTITIES else set()
    accounts = find_accounts(connectors()[name], seen, by_name, telling.currencies, telling.timezones, salt)
    return _Platform(rows, accounts, counted)


def _newest(files: Sequence[Found], notes: list[str]) -> dict[Report, pl.DataFrame]:
    """The rows that count by report. Two files of one report are one report: what stands in both counts once."""
    by_report: dict[Report, list[Found]] = defaultdict(list)
    for found in files:
        by_report[found.report].append(found)
    taken = {}
    for report, some in by_report.items():
        kept = newest(pl.concat([f.rows for f in some], how="diagonal"), report)
        if kept.identical or kept.replaced:
            what = f"{kept.identical:,} identical rows dropped, {kept.replaced:,} replaced by a later row of the same key"
            notes.append(f"{', '.join(f.name for f in some)}: {what}")
        taken[report] = kept.rows
    return taken


def _maker(report: Report, into: Into, accounts: Mapping[str, Account], telling: Telling, salt: bytes) -> TableMaker:
    zones = {account_id: account.timezone for account_id, account in accounts.items()}
    last_day = telling.run_date - timedelta(days=1)
    return TableMaker(
        report=report,
        into=into,
        connector=connectors()[report.platform],
        account_id=telling.account_of(report.platform),
        zones=zones,
        salt=salt,
        brand_terms=telling.brand_terms,
        last_day=last_day,
    )


def _count(lines: Iterable[Line], mapped: Mapped, into: Into, report: Report) -> None:
    for line in lines:
        if line.report is report:
            mine = mapped.rows.filter(pl.col(FILE) == line.file)
            line.kept += mine.height
            # Windows claim the same actions anew, so each has its own total.
            for window, part in ({"": mine} if not into.windows else _by_window(mine)).items():
                for name in into.carried(line.columns):
                    if not into.windows or part[name].is_not_null().any():
                        scale = 1_000_000 if name.endswith("_micros") else 1
                        line.totals[f"{name.removesuffix('_micros')}{window}"] = float(part[name].sum() or 0) / scale


def _by_window(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    windows = rows.partition_by("attribution_window", as_dict=True, maintain_order=True)
    return {f" {window}": part for (window,), part in windows.items()}


def _shaped(
    rows: pl.DataFrame, into: Into, accounts: Mapping[str, Account], telling: Telling, loaded_at: datetime, done: Checked
) -> list[pl.DataFrame]:
    """The rows of each account through the normaliser, as every platform's go."""
    frames = []
    last_day = telling.run_date if into.table == ENTITIES else telling.run_date - timedelta(days=1)
    for (account_id,), part in rows.partition_by("account_id", as_dict=True, maintain_order=True).items():
        added = add_up(part, into)
        if into.table == ENTITIES:
            added = added.with_columns(pl.lit(telling.run_date).alias("date"))
        shaped = shape(into.table, added, accounts[str(account_id)], (FIRST_DAY, last_day), loaded_at)
        done.rejected += shaped.rejected
        frames.append(shaped.frame)
    return frames


def _one(table: str, parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The frames of several reports as one: what one leaves open another may fill, but none may say otherwise."""
    grain = list(load_contract(table).grain)
    rows = pl.concat(parts)
    if not rows.select(grain).is_duplicated().any():
        return rows
    measures = [f.name for f in load_contract(table).fields if f.unit in ("count", "micros")]
    grouped = rows.group_by(grain, maintain_order=True)
    says = grouped.agg(pl.col(name).drop_nulls().n_unique().alias(name) for name in measures)
    if measures and (odd := says.filter(pl.any_horizontal(pl.col(name) > 1 for name in measures))).height:
        key = {name: str(odd[name][0]) for name in grain}
        raise JobError(f"{table}: two reports give different numbers for {key}; import the one that is right")
    return grouped.agg(pl.exclude(grain).drop_nulls().last()).select(rows.columns)


def write(warehouse: Warehouse, checked: Checked, run_date: date, loaded_at: datetime) -> None:
    """Merge all of ``checked``; a crash between two tables is mended by the same command again."""
    with warehouse.exclusive("import-reports"):
        for account in checked.accounts:
            _refuse_other_currency(warehouse, account)
        _write_accounts(warehouse, checked.accounts, loaded_at)
        for table, frame in checked.frames.items():
            warehouse.merge(table, _with_stored(warehouse, frame) if table == ACTIONS else frame)
        by_check = sorted(checked.rejected, key=lambda r: (r.table, r.check, r.reason))
        for (table, name, reason), group in groupby(by_check, key=lambda r: (r.table, r.check, r.reason)):
            bad = [r.row for r in group]
            quarantine(warehouse, table, bad, name, reason, run_date)
            log.warning("rows quarantined", table=table, check=name, reason=reason, rows=len(bad))


def _with_stored(warehouse: Warehouse, frame: pl.DataFrame) -> pl.DataFrame:
    """Counts and values of an action come in files of their own: what this import leaves open stays as it is stored."""
    stored = warehouse.query(
        "SELECT platform, account_id, level, entity_id, breakdown, segment_id, action_type, attribution_window, date, "
        "period_days, actions AS stored_actions, revenue_micros AS stored_revenue_micros FROM ads.ads_action_performance "
        "WHERE account_id IN UNNEST(@ids) AND date BETWEEN @start_date AND @end_date",
        {"ids": sorted(set(frame["account_id"])), "start_date": frame["date"].min(), "end_date": frame["date"].max()},
    )
    if stored.is_empty():
        return frame
    grain = list(load_contract(ACTIONS).grain)
    joined = frame.join(stored, on=grain, how="left", maintain_order="left")
    return joined.with_columns(
        pl.coalesce("actions", "stored_actions").alias("actions"),
        pl.coalesce("revenue_micros", "stored_revenue_micros").alias("revenue_micros"),
    ).select(frame.columns)


def _refuse_other_currency(warehouse: Warehouse, account: Account) -> None:
    if not account.currency_code:
        return
    rows = warehouse.query(
        "SELECT currency_code FROM ads.ads_campaign_performance "
        "WHERE platform = @platform AND account_id = @account_id AND currency_code != @currency "
        "UNION DISTINCT SELECT currency_code FROM ads.ads_ad_performance "
        "WHERE platform = @platform AND account_id = @account_id AND currency_code != @currency "
        "UNION DISTINCT SELECT currency_code FROM ads.ads_criterion_performance "
        "WHERE platform = @platform AND account_id = @account_id AND currency_code != @currency "
        "UNION DISTINCT SELECT currency_code FROM ads.ads_breakdown_performance "
        "WHERE platform = @platform AND account_id = @account_id AND currency_code != @currency "
        "UNION DISTINCT SELECT currency_code FROM ads.ads_action_performance "
        "WHERE platform = @platform AND account_id = @account_id AND currency_code != @currency",
        {"platform": account.platform, "account_id": account.account_id, "currency": account.currency_code},
    )
    if rows.height:
        raise JobError(
            f"{account.platform} account {account.account_id}: these reports are in {account.currency_code}, its stored history "
            f"is in {rows['currency_code'][0]}: amounts must not mix; give --currency, or delete its rows and import them anew"
        )


def _write_accounts(warehouse: Warehouse, accounts: Iterable[Account], loaded_at: datetime) -> None:
    told = [a for a in accounts if a.currency_code and a.timezone and a.account_id != UNKNOWN]
    if told:
        schema = load_contract("ads.ads_accounts").polars_schema()
        rows = [vars(a) | {"name_hash": a.name_hash or None, "loaded_at": loaded_at} for a in told]
        warehouse.merge("ads.ads_accounts", pl.DataFrame(rows, schema=schema))
