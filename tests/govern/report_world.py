"""A small made-up advertiser, written through the table contracts: what the jobs before the report would have left behind."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from tasks.core.contracts import load_contract
from tasks.core.ledger import Event, Ledger
from tasks.core.switches import flip
from tasks.core.warehouse.duckdb import DuckDBWarehouse

RUN_DATE = date(2026, 3, 1)
PLANNED = date(2026, 2, 26)
ACCOUNT = "2000000001"
SET_ID = "google_ads-2000000001-2026-02-26-abcdefabcdef"
SHA = "abcdef" * 10 + "abcd"
RUN_ID = "mmm-0123456789abcdef"
# budget: (channel, before, after in cents a day; expected new customers a week: mean, p05, p95; median cost after the step, odds)
STEPS: dict[str, tuple[str, int, int, float, float, float, int | None, float]] = {
    "7003": ("SEARCH_NONBRAND", 150_000, 146_250, -0.73, -1.21, -0.24, 358_20, 0.0),
    "7006": ("YOUTUBE", 75_000, 78_750, 4.51, 3.62, 5.43, 59_41, 0.98),
}
CHANNELS = {"SEARCH_NONBRAND": (20_791, 18_688), "YOUTUBE": (6_927, 10_390)}  # current and optimal currency units a week


def frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows in the shape of the contract; fields that are left out are null."""
    return pl.DataFrame(rows, schema=load_contract(table).polars_schema())


class ReportWorld:
    """Each method writes one part; what is not called is not there."""

    def __init__(self, warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
        self.warehouse = warehouse
        self.ledger = Ledger(warehouse)
        self._environment = monkeypatch
        self.at(PLANNED, 6)

    def at(self, day: date, hour: int) -> datetime:
        """Put the clock there."""
        now = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
        self._environment.setenv("AELP2_NOW", now.isoformat())
        return now

    def put(self, table: str, *rows: dict[str, Any]) -> None:
        """Write rows of any table."""
        self.warehouse.merge(table, frame(table, list(rows)))

    def model(
        self,
        verdict: str | None = "PASS",
        *,
        run_id: str = RUN_ID,
        source: str = "platforms",
        target: str = "new_customers",
        left_out: tuple[str, ...] = (),
    ) -> None:
        """A fitted model of two channels, reviewed unless ``verdict`` is None."""
        now = self.at(PLANNED, 6)
        run = {"run_id": run_id, "run_date": PLANNED, "source": source, "target": target, "currency_code": "USD"}
        run |= {
            "model": "pymc_mmm",
            "trust": "normal",
            "window_start_date": date(2025, 9, 1),
            "window_end_date": date(2026, 2, 22),
        }
        run |= {"period_days": 7, "periods": 25, "channels": sorted(CHANNELS), "geos": ["national"], "data_sha256": "d" * 64}
        run |= {"config_sha256": "c" * 64, "config_json": "{}", "seed": 1, "versions_json": "{}", "holdout_periods": 4}
        run |= {"holdout_mape": 0.0574, "holdout_coverage": 0.75, "seconds": 48.0, "fitted_at": now}
        self.put("models.mmm_runs", run | {"left_out_channels": list(left_out)})
        review = {"run_id": run_id, "run_date": PLANNED, "reviewed_at": now}
        checks = [
            {"check": "holdout_mape", "result": "PASS", "value": 0.0574, "threshold": "≤ 0.2 passes", "detail": "unseen periods"},
            {"check": "divergences", "result": verdict, "value": 9.0, "threshold": "≤ 0 passes", "detail": "the sampler"},
            {"check": "verdict", "result": verdict, "threshold": "version 1", "detail": "look at: divergences"},
        ]
        if verdict is not None:
            self.put("models.mmm_reviews", *(review | check for check in checks))
        self.put("models.mmm_curves", *(row for channel in CHANNELS for row in self._curve(run_id, channel)))
        self.put("models.mmm_allocations", *(self._allocation(run_id, channel) for channel in CHANNELS))
        self.put("models.mmm_fit_weekly", *(self._week(run_id, number) for number in range(25)))

    def _curve(self, run_id: str, channel: str) -> list[dict[str, Any]]:
        current = CHANNELS[channel][0]
        rows = []
        for step in range(13):
            mean = 200 * step / (step + 4)
            row = {"run_id": run_id, "geo": "national", "channel": channel, "spend_micros": current * step * 250_000}
            row |= {"outcome_mean": mean, "outcome_p05": mean * 0.7, "outcome_p50": mean, "outcome_p95": mean * 1.4}
            row |= {"marginal_mean": 0.01, "marginal_p05": 0.01, "marginal_p95": 0.02, "is_extrapolated": step > 8}
            rows.append(row | {"window_start_date": date(2025, 9, 1), "window_end_date": date(2026, 2, 22)})
        return rows

    def _allocation(self, run_id: str, channel: str) -> dict[str, Any]:
        current, optimal = (amount * 1_000_000 for amount in CHANNELS[channel])
        row = {"run_id": run_id, "channel": channel, "current_spend_micros": current, "optimal_spend_micros": optimal}
        row |= {"lower_bound_micros": current // 2, "upper_bound_micros": current * 3 // 2, "binding_bound": "none"}
        row |= {"outcome_current_mean": 100.0, "outcome_optimal_mean": 120.0, "outcome_gain_p05": 11.3, "outcome_gain_p95": 31.7}
        row |= {"roas_mean": 2.21, "roas_p03": 1.11, "roas_p97": 3.31, "p_cac_le_target": 0.5, "target_cac_micros": 75_000_000}
        return row | {"risk_measure": "mean_minus_0.5_sd"}

    def _week(self, run_id: str, number: int) -> dict[str, Any]:
        row = {"run_id": run_id, "geo": "national", "component": "total", "period_start_date": date(2025, 9, 1)}
        row["period_start_date"] += timedelta(weeks=number)
        row |= {"observed": 1000.0 + 7 * (number % 5), "mean": 1010.0, "p05": 950.0, "p95": 1070.0}
        return row | {"is_holdout": number >= 21}

    def decisions(self, *rows: tuple[str, str, str, str], day: date = PLANNED) -> None:
        """(budget, decision, constraint, detail) of the plan of ``day``."""
        about = {"run_date": day, "platform": "google_ads", "account_id": ACCOUNT, "decided_at": self.at(day, 7)}
        names = ("budget_id", "decision", "constraint", "detail")
        self.put("control.plan_decisions", *(about | dict(zip(names, row, strict=True)) for row in rows))

    def plan(
        self,
        mode: str = "live",
        *,
        set_id: str = SET_ID,
        platform: str = "google_ads",
        account: str = ACCOUNT,
        day: date = PLANNED,
        hour: int = 7,
        joint: tuple[float | None, float | None] = (2.91, 4.72),
        reason: str = "In {channel} one more new customer costs about 59.41 USD",
    ) -> None:
        """A change set of the two steps of STEPS with its first row in the changefeed."""
        now = self.at(day, hour)
        about = {"run_date": day, "platform": platform, "account_id": account}
        proposals = []
        for budget, (channel, before, after, mean, p05, p95, cost, odds) in STEPS.items():
            row = about | {"change_set_id": set_id, "change_id": f"{set_id}-{budget}", "budget_id": budget, "channel": channel}
            row |= {"campaign_ids": ["9003"], "currency_code": "USD", "amount_before_micros": before * 10_000}
            row |= {"amount_after_micros": after * 10_000, "optimum_micros": after * 10_000}
            row |= {"reason": reason.format(channel=channel), "binding_constraint": "step_cap_5_pct"}
            row |= {"expected_new_customers_mean": mean, "expected_new_customers_p05": p05, "expected_new_customers_p95": p95}
            row |= {"set_new_customers_mean": 3.78, "set_new_customers_p05": joint[0], "set_new_customers_p95": joint[1]}
            row |= {"marginal_cac_p50_micros": None if cost is None else cost * 10_000, "target_cac_micros": 75_000_000}
            row |= {"p_cac_le_target": odds, "is_extrapolated": False, "data_through_date": PLANNED, "mmm_run_id": RUN_ID}
            proposals.append(row | {"proposed_at": now})
        self.put("control.budget_proposals", *proposals)
        row = about | {"change_set_id": set_id, "sha256": SHA, "canonical_json": "{}", "author": "planner", "mode": mode}
        self.put("control.change_sets", row | {"created_at": now, "expires_at": now + timedelta(hours=24)})
        self.event("proposed", actor="planner", set_id=set_id, platform=platform, account=account)

    def event(
        self, event: str, *, set_id: str = SET_ID, platform: str = "google_ads", account: str = ACCOUNT, **fields: Any
    ) -> None:
        """Append to the changefeed at the clock's time."""
        fields = {"actor": "job", "sha256": SHA} | fields
        self.ledger.append(Event(change_set_id=set_id, platform=platform, account_id=account, event=event, **fields))

    def decide(self, decision: str, approver: str = "maria") -> None:
        """A person's answer, three hours after the plan."""
        now = self.at(PLANNED, 10)
        row = {"change_set_id": SET_ID, "sha256": SHA, "decision": decision, "approver": approver, "decided_at": now}
        self.put("control.approvals", row | {"approval_ref": "run-1", "expires_at": now + timedelta(hours=21)})
        self.event(decision, actor=approver)

    def apply(self) -> None:
        """Both budgets changed and read back, at eleven."""
        self.at(PLANNED, 11)
        self.event("snapshot")
        self.event("validated")
        for budget, (_, before, after, *_rest) in STEPS.items():
            step = {"change_id": f"{SET_ID}-{budget}", "budget_id": budget}
            step |= {"amount_before_micros": before * 10_000, "amount_after_micros": after * 10_000}
            self.event("mutate_intended", **step)
            self.event("applied", **step, request_id="req-7")
        self.event("applied")
        self.event("verified")

    def watch(self, day: date, result: str, seen: int, *, cac: str = "promote") -> None:
        """Guardrails and verdict of one day of the watch."""
        now = self.at(day, 7)
        about = {"change_set_id": SET_ID, "run_date": day, "watched_at": now}
        row = {"guardrail": "blended_cac", "value": 57.25, "threshold": 64.52, "result": cac, "detail": "CAC 61.15"}
        verdict = {"guardrail": "verdict", "value": float(seen), "threshold": 3.0, "result": result, "detail": "how it went"}
        delivery = {"guardrail": "delivery:7006", "value": 960.26, "threshold": 0.0, "result": "promote", "detail": "spends"}
        self.put("control.canary_watch", about | row, about | verdict, about | delivery)

    def promote(self) -> None:
        """Kept after its watch."""
        self.watch(RUN_DATE, "promote", 3)
        self.at(RUN_DATE, 8)
        self.event("promoted")

    def roll_back(self) -> None:
        """A CAC breach on the first day: frozen, rolled back, written down."""
        day = date(2026, 2, 27)
        self.watch(day, "roll_back", 1, cac="roll_back")
        flip(self.warehouse, scope=f"google_ads:{ACCOUNT}", is_on=True, why="CAC 130.01, limit 64.52", actor="watch-canary")
        self.event("breached")
        for budget, (_, before, after, *_rest) in STEPS.items():
            step = {"change_id": f"{SET_ID}-{budget}", "budget_id": budget}
            step |= {"amount_before_micros": after * 10_000, "amount_after_micros": before * 10_000}
            self.event("rollback_intended", **step)
            self.event("rolled_back", **step)
        self.event("rolled_back")
        event = {"event_id": "e1", "run_date": day, "platform": "google_ads", "account_id": ACCOUNT, "kind": "cac_breach"}
        self.put(
            "control.safety_events", event | {"severity": "critical", "detail": "CAC 130.01", "happened_at": self.at(day, 9)}
        )

    def daily(self, *, after: float = 50.0, until: date = RUN_DATE) -> None:
        """2,000 USD and 40 or 44 new customers a day in turn, ``after`` from the day of the change on; sixty days."""
        now, spend, outcome = self.at(until, 5), [], []
        for back in range(1, 61):
            day = until - timedelta(days=back)
            row = {"platform": "google_ads", "account_id": ACCOUNT, "date": day, "campaign_id": "9003", "channel": "YOUTUBE"}
            row |= {"is_brand": False, "campaign_status": "ENABLED", "impressions": 1, "clicks": 1, "cost_micros": 2_000_000_000}
            row |= {"conversions": 1.0, "revenue_micros": 0, "currency_code": "USD", "timezone": "America/New_York"}
            spend.append(row | {"attribution_window": "30d_click", "loaded_at": now})
            won = after if day >= PLANNED else 40.0 + 4 * (day.toordinal() % 2)
            row = {"source": "crm", "geo": "national", "period_start_date": day, "period_days": 1, "new_customers": won}
            outcome.append(row | {"currency_code": "USD", "loaded_at": now})
        self.put("ads.ads_campaign_performance", *spend)
        self.put("ads.business_outcomes", *outcome)

    def loads(self, error: str | None = None) -> None:
        """A load of the run date, failed if there is an ``error``."""
        row = {"platform": "google_ads", "account_id": ACCOUNT, "run_date": RUN_DATE, "start_date": PLANNED, "end_date": PLANNED}
        row |= {"status": "failed" if error else "succeeded", "rows": 2885, "duplicates": 0, "error": error, "api_version": "v26"}
        self.put("control.ingest_runs", row | {"finished_at": self.at(RUN_DATE, 6)})
