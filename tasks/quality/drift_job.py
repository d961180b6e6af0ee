"""The drift check from the warehouse and back into it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import NothingToDo
from tasks.quality.drift_config import DriftConfig
from tasks.quality.drift_series import Series, accounts, ads_series, feature_series, journey_series, residual_series
from tasks.quality.drift_verdicts import Finding, findings

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

TABLE = "control.drift_reports"
_LATE_DAYS = 3  # GA4 adds events to a day for 72 hours
_TARGETS = ("new_customers", "revenue")


@dataclass(frozen=True)
class DriftJob:
    """One run: days before ``run_date`` have been seen."""

    warehouse: Warehouse
    run_date: date
    config: DriftConfig

    def run(self) -> list[Finding]:
        """Write the verdicts of the day and return them; NothingToDo without any data."""
        series = self._series()
        if not series:
            raise NothingToDo(f"no ads facts, journeys or model before {self.run_date} to compare; run ingest-ads first")
        found = [
            finding
            for account in accounts(series)
            for finding in findings([one for one in series if (one.platform, one.account_id) == account], self.config)
        ]
        self._write(found)
        return found

    def _start(self, dataset: str) -> date:
        """First day of the history of ``dataset``."""
        return self.run_date - timedelta(days=self.config.datasets[dataset].history_days)

    def _series(self) -> list[Series]:
        warehouse, run_date = self.warehouse, self.run_date
        ads = {"start_date": self._start("ads_facts"), "run_date": run_date}
        journeys = {"start_date": self._start("journeys"), "run_date": run_date}
        daily = warehouse.query_file("ads/drift_daily/query.sql", ads)
        maturity = warehouse.query_file("ads/drift_maturity/query.sql", {"run_date": run_date})
        visits = warehouse.query_file("gaelp_users/drift_daily/query.sql", journeys)
        weekly = {"start_date": self._start("model_features"), "run_date": run_date, "source": "platforms"}
        return [
            *ads_series(daily.sort("platform", "account_id", "channel", "date"), maturity, run_date, self.config),
            *journey_series(visits.sort("property_id", "channel_group", "date"), run_date, _LATE_DAYS, self.config),
            *feature_series(
                # Whole channels: a split of the model follows a list of the policy, which may change any day.
                warehouse.query_file("models/mmm_media_weekly/query.sql", weekly | {"remarketing_campaign_ids": []}),
                warehouse.query_file("models/mmm_outcome_weekly/query.sql", weekly),
                warehouse.query_file("models/mmm_controls_weekly/query.sql", weekly),
                run_date,
                self.config,
            ),
            *residual_series(self._residuals(), self.config),
        ]

    def _residuals(self) -> dict[str, pl.DataFrame]:
        """Residuals of each target's live model, if its periods are weeks."""
        found = {}
        for target in _TARGETS:
            wanted = {"run_date": self.run_date, "source": "platforms", "target": target}
            live = self.warehouse.query_file("models/live_mmm_run/query.sql", wanted)
            if live.height and live["period_days"][0] == 7:
                found[target] = self.warehouse.query_file("models/drift_residuals/query.sql", {"run_id": live["run_id"][0]})
        return found

    def _write(self, found: Sequence[Finding]) -> None:
        now = utc_now()
        rows = [_row(finding, self.run_date, self.config.version) | {"checked_at": now} for finding in found]
        frame = pl.DataFrame(rows, schema=load_contract(TABLE).polars_schema())
        self.warehouse.replace_partitions("control.drift_reports", frame, partitions=[self.run_date])


def _known(number: float) -> float | None:
    """A finite number, or None: a table holds no NaN."""
    return number if math.isfinite(number) else None


def _row(finding: Finding, run_date: date, version: int) -> dict[str, Any]:
    series, judged = finding.series, finding.judged
    return {
        "run_date": run_date,
        "platform": series.platform,
        "account_id": series.account_id,
        "dataset": series.dataset,
        "segment": series.segment,
        "column_name": series.column,
        "method": judged.method,
        "value": _known(judged.value),
        "null_mean": _known(judged.null_mean),
        "critical_value": _known(finding.limit),
        "p_value": _known(judged.p_value),
        "q_value": _known(finding.q_value),
        "placebos": judged.placebos,
        "verdict": finding.verdict,
        "detail": finding.detail,
        "reference_start_date": series.reference_start,
        "current_start_date": series.current_start,
        "current_end_date": series.end - timedelta(days=1),
        "thresholds_version": version,
    }
