"""Writing the business's daily table into the warehouse: all of the window, or nothing."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import structlog

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import GateStop, JobError
from tasks.core.log import redact
from tasks.core.quarantine import quarantine
from tasks.ingest.ads_window import DAY, PastLoad, Window, plan_window
from tasks.ingest.outcomes_source import fetch, without_query
from tasks.ingest.outcomes_table import Parsed, missing_days, parse_controls, parse_outcomes

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse.base import Warehouse

log = structlog.get_logger(source=__name__)

SOURCE = "crm"
OUTCOMES, CONTROLS = "ads.business_outcomes", "ads.business_controls"
OUTCOMES_VARIABLE, CONTROLS_VARIABLE = "AELP2_OUTCOMES_URL", "AELP2_CONTROLS_URL"
EARLIEST = date(2000, 1, 1)


class OutcomesLoad:
    """One load of the business's table.

    Args:
        warehouse: where rows go.
        run_date: days before it are complete.
        days: days loaded again each time.
        start_date: backfill from here; None for the window.
    """

    def __init__(self, warehouse: Warehouse, run_date: date, days: int, start_date: date | None) -> None:
        self._warehouse = warehouse
        self._run_date = run_date
        history = (run_date - EARLIEST).days  # the first load takes all that the table has
        self._quarantined = 0
        self.window: Window = plan_window(
            self._past(), run_date, run_date - DAY, days=days, history_days=history, start_date=start_date
        )

    def run(self, outcomes_url: str, controls_url: str | None) -> dict[str, int]:
        """Rows written per table. JobError and no row written if anything in the table is wrong; the bad rows are quarantined."""
        try:
            written = self._load(outcomes_url, controls_url)
        except JobError as error:
            self._record("failed", 0, self.window.start, self.window.start - DAY, str(error))
            raise
        return written

    def _load(self, outcomes_url: str, controls_url: str | None) -> dict[str, int]:
        window, today = self.window, utc_now().date()
        text = fetch(outcomes_url, OUTCOMES_VARIABLE, window.start, window.end)
        parsed = parse_outcomes(text, without_query(outcomes_url), today)
        self._refuse_bad(OUTCOMES, without_query(outcomes_url), parsed)
        if controls_url is not None:
            text = fetch(controls_url, CONTROLS_VARIABLE, window.start, window.end)
            more = parse_controls(text, without_query(controls_url), today)
            self._refuse_bad(CONTROLS, without_query(controls_url), more)
            for key, levels in more.controls.items():
                parsed.controls[key] = parsed.controls.get(key, {}) | levels
        start, end = self._span(parsed)
        days = [start + n * DAY for n in range((end - start).days + 1)]
        written = {}
        for table, rows in ((OUTCOMES, _outcome_rows(parsed, start, end)), (CONTROLS, _control_rows(parsed, start, end))):
            own = {"source": SOURCE}
            written[table] = self._warehouse.replace_partitions(table, _frame(table, rows), partitions=days, where=own)
        self._record("succeeded", sum(written.values()), start, end, None)
        return written

    def _span(self, parsed: Parsed) -> tuple[date, date]:
        """First and last day of the table inside the window; JobError on none, on a gap, or on mixed currencies."""
        window = self.window
        days = [day for day in parsed.days() if window.start <= day <= window.end]
        if not days:
            known = parsed.days()
            has = f"it has {known[0]} to {known[-1]}" if known else "it has none"
            raise JobError(f"the outcomes table has no day in {window.start} to {window.end}; {has}; check the export")
        gaps = missing_days(parsed, window.start, window.end)
        if gaps:
            shown = ", ".join(f"{day} {geo}" for geo, day in gaps[:5])
            raise GateStop(f"the outcomes table lacks {len(gaps)} days between its first and last: {shown}; mend the export")
        currencies = sorted({parsed.outcomes[key][2] for key in parsed.outcomes if window.start <= key[1] <= window.end})
        if len(currencies) > 1:
            raise JobError(f"the outcomes table mixes the currencies {', '.join(currencies)}; convert them to one")
        if days[-1] < window.end:
            log.warning("outcomes end early", last=str(days[-1]), expected=str(window.end), remedy="is the export late?")
        return max(window.start, days[0]), days[-1]

    def _refuse_bad(self, table: str, name: str, parsed: Parsed) -> None:
        if not parsed.bad:
            return
        self._quarantined += len(parsed.bad)
        for bad in parsed.bad:
            quarantine(self._warehouse, table, [bad.row], bad.check, bad.reason, self._run_date)
        shown = "; ".join(bad.reason for bad in parsed.bad[:5])
        raise GateStop(
            f"{name}: {len(parsed.bad)} bad rows, nothing was loaded: {shown}; all are in control.quarantine: mend the export"
        )

    def _past(self) -> list[PastLoad]:
        rows = self._warehouse.query(
            "SELECT run_date, start_date, end_date, status FROM control.ingest_runs "
            "WHERE platform = @platform AND account_id = @account_id",
            {"platform": "outcomes", "account_id": SOURCE},
        )
        return [PastLoad(**row) for row in rows.iter_rows(named=True)]

    def _record(self, status: str, rows: int, start: date, end: date, error: str | None) -> None:
        import polars as pl

        row = {
            "platform": "outcomes",
            "account_id": SOURCE,
            "run_date": self._run_date,
            "start_date": start,
            "end_date": end,
            "status": status,
            "rows": rows,
            "duplicates": 0,
            "quarantined": self._quarantined,
            "error": redact(error) if error else None,
            "api_version": "csv",
            "finished_at": utc_now(),
        }
        schema = load_contract("control.ingest_runs").polars_schema()
        self._warehouse.merge("control.ingest_runs", pl.DataFrame([row], schema=schema))


def _outcome_rows(parsed: Parsed, start: date, end: date) -> list[dict[str, object]]:
    return [
        {"geo": geo, "period_start_date": day, "new_customers": count, "revenue_micros": revenue, "currency_code": currency}
        for (geo, day), (count, revenue, currency) in parsed.outcomes.items()
        if start <= day <= end
    ]


def _control_rows(parsed: Parsed, start: date, end: date) -> list[dict[str, object]]:
    return [
        {"geo": geo, "period_start_date": day, "control": name, "value": value}
        for (geo, day), levels in parsed.controls.items()
        if start <= day <= end
        for name, value in levels.items()
    ]


def _frame(table: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    import polars as pl

    now = utc_now()
    full = [row | {"source": SOURCE, "period_days": 1, "loaded_at": now} for row in rows]
    return pl.DataFrame(full, schema=load_contract(table).polars_schema())
