"""Loading accounts into the warehouse: chunk by chunk, a broken account beside whole ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING

import structlog

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError, TryAgain
from tasks.core.log import redact
from tasks.core.quarantine import quarantine
from tasks.ingest.ads_window import DAY, Chunks, PastLoad, Window, last_complete_day, plan_window

if TYPE_CHECKING:
    from tasks.core.warehouse.base import Warehouse
    from tasks.platforms.base import Account, Platform, Reports

log = structlog.get_logger(source=__name__)


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line."""

    run_date: date
    days: int
    history_days: int
    start_date: date | None = None
    accounts: tuple[str, ...] = ()


@dataclass
class Result:
    """How one account's load ended; ``error`` is None if all of ``window`` landed.

    ``earlier`` is what an earlier attempt of the same run date landed: the two share one line in control.ingest_runs.
    """

    account_id: str
    earlier: PastLoad | None = None
    window: Window | None = None
    landed: date | None = None
    rows: int = 0
    duplicates: int = 0
    quarantined: int = 0
    error: JobError | None = None

    def line(self) -> str:
        """The result as one line for a person."""
        if self.error is not None:
            return f"{self.account_id}: FAILED: {redact(str(self.error))}"
        assert self.window is not None
        return (
            f"{self.account_id}: {self.window.start} to {self.window.end}, {self.rows:,} rows, {self.duplicates:,} duplicates "
            f"dropped, {self.quarantined:,} rows quarantined ({self.window.why})"
        )


@dataclass
class Load:
    """One run over the accounts of ``platform``.

    Args:
        platform: where rows come from.
        warehouse: where they go.
        wish: which days of which accounts.
        progress: told account, days landed and days in all after each chunk.
    """

    platform: Platform
    warehouse: Warehouse
    wish: Wish
    results: list[Result] = field(default_factory=list)
    progress: Callable[[str, int, int], None] = lambda _account, _done, _days: None

    def run(self) -> list[Result]:
        """Load every wanted account; a JobError of one account is kept in its result and stops no other."""
        accounts = self.platform.accounts()
        self._write_accounts(accounts)
        for account in self._wanted(accounts):
            result = Result(account.account_id)
            self.results.append(result)
            try:
                self._load(account, result)
            except JobError as error:
                result.error = error
                log.error("account failed", account=account.account_id, error=str(error))
                self._record(result, "failed")
        return self.results

    def _wanted(self, accounts: Sequence[Account]) -> list[Account]:
        by_id = {a.account_id: a for a in accounts}
        missing = [i for i in self.wish.accounts if i not in by_id]
        if missing:
            name = self.platform.name
            raise JobError(f"{name}: the credentials reach no account {', '.join(missing)}, but {', '.join(by_id) or 'none'}")
        if not by_id:
            raise JobError(
                f"{self.platform.name}: the credentials reach no ad account; check whose they are (`aelp2 onboard --status`), "
                "on Google Ads also login_customer_id"
            )
        if self.wish.accounts:
            return [by_id[i] for i in self.wish.accounts]
        closed = [a for a in accounts if a.status != "ENABLED"]
        for account in closed:
            log.warning("account left out", account=account.account_id, status=account.status, remedy="name it with --account")
        return [a for a in accounts if a.status == "ENABLED"]

    def _load(self, account: Account, result: Result) -> None:
        wish = self.wish
        past = self._past(account.account_id)
        result.earlier = next((p for p in past if p.run_date == wish.run_date and p.days > 0), None)
        self._check_currency(account)
        last_day = last_complete_day(wish.run_date, account.timezone, utc_now())
        window = plan_window(
            past,
            wish.run_date,
            last_day,
            days=wish.days,
            history_days=wish.history_days,
            start_date=wish.start_date,
        )
        result.window = window
        log.info("account starts", account=account.account_id, days=f"{window.start} to {window.end}", why=window.why)
        if window.days < 1:
            raise JobError(f"--start-date {window.start} is after the last complete day {window.end}; give an earlier one")
        chunks = Chunks(window, past)
        for start, end in chunks:
            reports = self.platform.reports(account, start, end, run_date=wish.run_date)
            rows = self._write(account, reports)
            result.rows += rows
            result.duplicates += reports.duplicates
            result.quarantined += len(reports.rejected)
            result.landed = end
            self._record(result, "running")
            chunks.landed(rows, (end - start).days + 1)
            done = (end - window.start).days + 1
            log.info("chunk landed", account=account.account_id, days=f"{done}/{window.days}", until=str(end), rows=rows)
            self.progress(account.account_id, done, window.days)
        self._record(result, "succeeded")

    def _write(self, account: Account, reports: Reports) -> int:
        """Replace the partitions each frame covers: one transaction a table, so that none is ever half there."""
        written = 0
        own = {"platform": account.platform, "account_id": account.account_id}
        for table, frame in reports.frames.items():
            first, last = reports.windows[table]
            days = [first + n * DAY for n in range((last - first).days + 1)]
            written += self.warehouse.replace_partitions(table, frame, partitions=days, where=own)
        by_check = sorted(reports.rejected, key=lambda r: (r.table, r.check, r.reason))
        for (table, check, reason), group in groupby(by_check, key=lambda r: (r.table, r.check, r.reason)):
            bad = [r.row for r in group]
            quarantine(self.warehouse, table, bad, check, reason, self.wish.run_date)
            log.warning("rows quarantined", table=table, check=check, reason=reason, rows=len(bad))
        return written

    def _past(self, account_id: str) -> list[PastLoad]:
        rows = self.warehouse.query(
            "SELECT run_date, start_date, end_date, status, `rows`, duplicates, COALESCE(quarantined, 0) AS quarantined "
            "FROM control.ingest_runs WHERE platform = @platform AND account_id = @account_id",
            {"platform": self.platform.name, "account_id": account_id},
        )
        return [PastLoad(**row) for row in rows.iter_rows(named=True)]

    def _check_currency(self, account: Account) -> None:
        rows = self.warehouse.query(
            "SELECT DISTINCT currency_code FROM ads.ads_campaign_performance "
            "WHERE platform = @platform AND account_id = @account_id AND currency_code != @currency",
            {"platform": account.platform, "account_id": account.account_id, "currency": account.currency_code},
        )
        if rows.height:
            raise JobError(
                f"account {account.account_id} now reports in {account.currency_code}, its stored history is in "
                f"{rows['currency_code'][0]}: amounts must not mix; find out why, then delete its rows and load it anew"
            )

    def _write_accounts(self, accounts: Sequence[Account]) -> None:
        import polars as pl

        schema = load_contract("ads.ads_accounts").polars_schema()
        now = utc_now()
        rows = [vars(a) | {"name_hash": a.name_hash or None, "loaded_at": now} for a in accounts]
        self.warehouse.merge("ads.ads_accounts", pl.DataFrame(rows, schema=schema))

    def _record(self, result: Result, status: str) -> None:
        """The account's line in control.ingest_runs.

        A load that goes on where an attempt of the same run date was cut off counts what that one landed as well, and one
        that lands nothing leaves it as it is: were it forgotten, the next attempt would begin from the start.
        """
        import polars as pl

        window = result.window or Window(self.wish.run_date - DAY, self.wish.run_date - DAY, "")
        none = PastLoad(self.wish.run_date, window.start, window.start - DAY, status)
        goes_on = result.earlier is not None and window.start == result.earlier.end_date + DAY
        before = result.earlier if result.earlier and (goes_on or result.landed is None) else none
        row = {
            "platform": self.platform.name,
            "account_id": result.account_id,
            "run_date": self.wish.run_date,
            "start_date": before.start_date,
            "end_date": result.landed or before.end_date,
            "status": status,
            "rows": before.rows + result.rows,
            "duplicates": before.duplicates + result.duplicates,
            "quarantined": before.quarantined + result.quarantined,
            "error": redact(str(result.error)) if result.error else None,
            "api_version": self.platform.api_version,
            "finished_at": utc_now(),
        }
        schema = load_contract("control.ingest_runs").polars_schema()
        self.warehouse.merge("control.ingest_runs", pl.DataFrame([row], schema=schema))


def raise_failures(results: Sequence[Result]) -> None:
    """Nothing if all landed; else one error that names the broken accounts: TryAgain if time alone may mend them all."""
    failed = [r for r in results if r.error is not None]
    if not failed:
        return
    what = "; ".join(r.line() for r in failed)
    message = f"{len(failed)} of {len(results)} accounts failed, the other {len(results) - len(failed)} landed. {what}"
    raise (TryAgain if all(isinstance(r.error, TryAgain) for r in failed) else JobError)(message)
