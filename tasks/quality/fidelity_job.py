"""The fidelity evaluation from the warehouse and back into it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.currencies import REMEDY
from tasks.core.errors import JobError
from tasks.core.money import MICROS
from tasks.core.response import draws_by_channel
from tasks.core.segments import Split
from tasks.quality.fidelity_config import FidelityConfig
from tasks.quality.fidelity_metrics import Metric, Period, judge
from tasks.quality.fidelity_predictions import Run, model_periods, plan_periods, spend_of, weeks_of

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

SOURCE = "platforms"
ALL = "all"
_HISTORY_DAYS = 7 * 52  # spend before the oldest week looked at, for carry-over and worth
_RUNS = 8  # newest live runs: older ones predict nothing that these do not


@dataclass(frozen=True)
class Evaluation:
    """Metrics and periods of one basis of one account."""

    platform: str
    account_id: str
    basis: str
    target: str
    periods: list[Period]
    metrics: list[Metric]
    first_fit: date | None
    weeks: int | None
    currency: str | None

    @property
    def verdict(self) -> Metric:
        """The summary."""
        return self.metrics[-1]


@dataclass(frozen=True)
class FidelityJob:
    """One run: days before ``run_date`` have been seen."""

    warehouse: Warehouse
    run_date: date
    config: FidelityConfig

    def run(self) -> list[Evaluation]:
        """Write and return the day's evaluations; the model's is there in any case, blocked before the first live run."""
        evaluations = [*self._models(), *self._plans()]
        self._write(evaluations)
        return evaluations

    def _accepted(self, target: str) -> pl.DataFrame:
        wanted = {"source": SOURCE, "target": target, "run_date": self.run_date}
        return self.warehouse.query_file("models/fidelity_runs/query.sql", wanted)

    def _limits(self, first_fit: date | None) -> tuple[dict[str, float], int | None]:
        weeks = None if first_fit is None else max(0, (self.run_date - first_fit).days // 7)
        return self.config.limits(weeks or 0), weeks

    def _models(self) -> list[Evaluation]:
        accepted = {target: self._accepted(target) for target in ("new_customers", "revenue")}
        live = [target for target, runs in accepted.items() if runs.height]
        if not live:
            text = "no marketing-mix run was accepted yet: run fit-mmm and review-mmm"
            blocked = [Metric("verdict", "blocked", None, None, text)]
            return [Evaluation(ALL, ALL, "model", "new_customers", [], blocked, None, None, None)]
        # Runs of one policy share their split, and most have none: its spend is read once.
        media = functools.cache(self._media)
        window = {"run_date": self.run_date, "source": SOURCE, "start_date": self.run_date - timedelta(days=2 * _HISTORY_DAYS)}
        currency = accepted[live[0]]["currency_code"][0]  # all outcomes of the business are in one
        weeks = weeks_of(media(()), self.warehouse.query_file("models/mmm_outcome_weekly/query.sql", window), currency)
        found = []
        for target in live:
            rows = accepted[target].filter(pl.col("period_days") == 7).head(_RUNS)
            runs = [self._run(row, media) for row in rows.iter_rows(named=True)]
            periods = model_periods(runs, weeks, target, self.run_date, self.config)
            first_fit = accepted[target]["first_fit_date"][0]
            limits, age = self._limits(first_fit)
            metrics = judge(periods, target, limits, least=self.config.least_weeks)
            currency = accepted[target]["currency_code"][0]
            found.append(Evaluation(ALL, ALL, "model", target, periods, metrics, first_fit, age, currency))
        return found

    def _media(self, remarketing: tuple[str, ...]) -> pl.DataFrame:
        window = {"run_date": self.run_date, "source": SOURCE, "start_date": self.run_date - timedelta(days=2 * _HISTORY_DAYS)}
        media = window | {"remarketing_campaign_ids": list(remarketing)}
        return self.warehouse.query_file("models/mmm_media_weekly/query.sql", media)

    def _run(self, row: dict[str, Any], media: Callable[[tuple[str, ...]], pl.DataFrame]) -> Run:
        wanted = {"run_id": row["run_id"]}
        split = Split(tuple(row["split_channels"] or ()), tuple(row["remarketing_campaign_ids"] or ()))
        return Run(
            run_id=row["run_id"],
            window_end=row["window_end_date"],
            l_max=int(json.loads(row["config_json"])["l_max"]),
            parts=self.warehouse.query_file("models/fidelity_parts/query.sql", wanted),
            draws=draws_by_channel(self.warehouse.query_file("control/plan_draws/query.sql", wanted)),
            spend=spend_of(media(split.campaign_ids), split, row["currency_code"]),
        )

    def _plans(self) -> list[Evaluation]:
        rules = self.config.plan
        start = self.run_date - timedelta(days=rules.window_days)
        sets = self.warehouse.query_file("control/fidelity_sets/query.sql", {"run_date": self.run_date, "start_date": start})
        sets = sets.filter(pl.col("target") == "new_customers")  # the columns of the plan are customers there, money elsewhere
        if sets.is_empty():
            return []
        window = {"run_date": self.run_date, "start_date": start - timedelta(days=rules.usual_days)}
        daily = self.warehouse.query_file("control/fidelity_daily/query.sql", window)
        if daily["currencies"].max() != 1 or daily["currency_code"].n_unique() != 1:
            raise JobError(f"spend in several currencies has no sum, so no change set can be judged; {REMEDY}")
        limits, age = self._limits(first_fit := self._first_fit())
        found = []
        for (platform, account), rows in sets.group_by(["platform", "account_id"], maintain_order=True):
            periods = plan_periods(rows.to_dicts(), daily, self.run_date, self.config)
            if periods:
                metrics = judge(periods, "new_customers", limits, least=1, errors_only_below=rules.least_sets)
                about = (str(platform), str(account), "plan", "new_customers")
                found.append(Evaluation(*about, periods, metrics, first_fit, age, daily["currency_code"][0]))
        return found

    def _first_fit(self) -> date | None:
        runs = self._accepted("new_customers")
        return runs["first_fit_date"][0] if runs.height else None

    def _write(self, evaluations: Sequence[Evaluation]) -> None:
        now, about = utc_now(), {"run_date": self.run_date}
        metrics = [
            about | _metric_row(one, metric, self.config.version) | {"evaluated_at": now}
            for one in evaluations
            for metric in one.metrics
        ]
        periods = [about | _period_row(one, period) for one in evaluations for period in one.periods]
        schema = load_contract("control.fidelity_periods").polars_schema()
        self.warehouse.replace_partitions(
            "control.fidelity_periods", pl.DataFrame(periods, schema=schema), partitions=[self.run_date]
        )
        # Verdicts last: a reader who finds them finds what is behind them.
        schema = load_contract("control.fidelity_evaluations").polars_schema()
        self.warehouse.replace_partitions(
            "control.fidelity_evaluations", pl.DataFrame(metrics, schema=schema), partitions=[self.run_date]
        )


def _key(one: Evaluation) -> dict[str, Any]:
    return {"platform": one.platform, "account_id": one.account_id, "basis": one.basis, "target": one.target}


def _metric_row(one: Evaluation, metric: Metric, version: int) -> dict[str, Any]:
    return _key(one) | {
        "metric": metric.name,
        "result": metric.result,
        "value": metric.value,
        "threshold": metric.threshold,
        "periods": len(one.periods),
        "window_start_date": min((period.start for period in one.periods), default=None),
        "window_end_date": max((period.end for period in one.periods), default=None),
        "first_fit_date": one.first_fit,
        "weeks_since_first_fit": one.weeks,
        "thresholds_version": version,
        "detail": metric.detail,
    }


def _micros(amount: float | None) -> int | None:
    return None if amount is None else round(amount * MICROS)


def _period_row(one: Evaluation, period: Period) -> dict[str, Any]:
    is_customers = one.target == "new_customers"
    return _key(one) | {
        "period_start_date": period.start,
        "period_days": period.days,
        "prediction_ref": period.ref,
        "kind": period.kind,
        "spend_micros": _micros(period.spend),
        "currency_code": one.currency,
        "predicted_mean": period.mean,
        "predicted_p05": period.p05,
        "predicted_p95": period.p95,
        "realised": period.realised,
        "predicted_cac_micros": _micros(period.predicted_cac) if is_customers else None,
        "realised_cac_micros": _micros(period.realised_cac) if is_customers else None,
        "predicted_roas": period.predicted_roas,
        "realised_roas": period.realised_roas,
    }
