"""Curves of conversion maturity and the lagged days of GA4, from the warehouse and back into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import structlog

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import NothingToDo
from tasks.core.maturity import Curve, fit_curve, still_to_come
from tasks.measure.maturity_inputs import LAST_LAG, Triangle, bucket_triangle, ga4_triangle, with_channels

if TYPE_CHECKING:
    from tasks.core.warehouse.base import Warehouse

log = structlog.get_logger(source=__name__)

CURVES, LAGGED = "ga4.conversion_maturity", "ga4.ga4_lagged_daily"
DAY = timedelta(days=1)
LATE_DAYS = 3  # GA4 adds events to a day for 72 hours: younger days are not part of the estimate
ALL = "all"
LEAST = 50  # conversions for a curve: the share of the first day is then known to about a tenth
LEAST_CHANNEL = 300  # conversions for a channel's own curve; below, the curve of all channels is the better guess
NO_CLICK = "Direct"


@dataclass
class MaturityJob:
    """One run.

    Args:
        warehouse: tables are read from and written to it.
        run_date: days before it have been seen.
        window_days: click days looked at.
        conversion_event: GA4 event that counts as the conversion.
        seed: of the draws.
    """

    warehouse: Warehouse
    run_date: date
    window_days: int
    conversion_event: str
    seed: int
    curves: list[dict[str, Any]] = field(default_factory=list)

    @property
    def start_date(self) -> date:
        """First click day looked at."""
        return self.run_date - self.window_days * DAY

    def run(self) -> dict[str, int]:
        """Rows written per table; NothingToDo if there is no conversion to learn from."""
        lagged = [self._property(property_id) for property_id in self._properties()]
        self._ads()
        if not self.curves and not any(frame.height for frame in lagged):
            raise NothingToDo(
                f"no conversions on {self.start_date} to {self.run_date - DAY}; run ingest-ga4 and ingest-ads first"
            )
        frame = pl.DataFrame(self.curves, schema=load_contract(CURVES).polars_schema())
        written = self.warehouse.replace_partitions("ga4.conversion_maturity", frame, partitions=[self.run_date])
        rows = pl.concat([load_contract(LAGGED).empty_frame(), *lagged])
        days = [self.start_date + n * DAY for n in range(self.window_days)]
        return {CURVES: written, LAGGED: self.warehouse.replace_partitions("ga4.ga4_lagged_daily", rows, partitions=days)}

    def _properties(self) -> list[str]:
        found = self.warehouse.query(
            "SELECT DISTINCT property_id FROM ga4.ga4_events WHERE event_date >= @start_date AND event_date < @run_date",
            {"start_date": self.start_date, "run_date": self.run_date},
        )
        return sorted(found["property_id"])

    def _property(self, property_id: str) -> pl.DataFrame:
        """Estimate one property's curves; its rows of ga4_lagged_daily."""
        lags = self.warehouse.query_file(
            "ga4/ga4_lagged_daily/click_lags.sql",
            {
                "property_id": property_id,
                "start_date": self.start_date,
                "run_date": self.run_date,
                "conversion_event": self.conversion_event,
            },
        )
        rows = with_channels(lags)
        final_day = self.run_date - (1 + LATE_DAYS) * DAY
        curves = {}
        for channel in (ALL, *sorted(rows.filter("has_click")["channel_group"].unique())):
            part = rows if channel == ALL else rows.filter(pl.col("channel_group") == channel)
            least = LEAST if channel == ALL else LEAST_CHANNEL
            triangle = ga4_triangle(part, final_day)
            curve = self._curve("ga4", property_id, self.conversion_event, channel, triangle, least)
            if curve is not None:
                curves[channel] = curve
        return self._lagged(property_id, rows, curves)

    def _ads(self) -> None:
        """Estimate the curve of each conversion action of each ad account."""
        rows = self.warehouse.query_file(
            "ga4/conversion_maturity/lag_buckets.sql", {"start_date": self.start_date, "run_date": self.run_date}
        )
        for (platform, account, action), part in sorted(rows.group_by("platform", "account_id", "conversion_action_id")):
            self._curve(str(platform), str(account), str(action), ALL, bucket_triangle(part), LEAST)

    def _curve(self, source: str, account: str, action: str, channel: str, triangle: Triangle, least: int) -> Curve | None:
        """The curve, kept for the table; None, with a line in the log, where there is too little to learn from."""
        seen = triangle.ages >= len(triangle.last_days) - 1
        if triangle.counts.sum() < least or not seen.any():
            if channel == ALL:
                log.warning(
                    "too little for a maturity curve",
                    source=source,
                    account=account,
                    action=action,
                    conversions=float(triangle.counts.sum()),
                    remedy=f"needs {least} conversions and click days that are {LAST_LAG + 1} days old",
                )
            return None
        rng = np.random.default_rng([self.seed, *f"{source}/{account}/{action}/{channel}".encode()])
        fitted = fit_curve(triangle.counts, triangle.ages, rng)
        curve = Curve(triangle.by_day(fitted.draws), fitted.conversions, fitted.cohorts, fitted.dispersion)
        self.curves += list(self._curve_rows(curve, source, account, action, channel))
        return curve

    def _curve_rows(self, curve: Curve, source: str, account: str, action: str, channel: str) -> Iterator[dict[str, Any]]:
        low, high = curve.quantile(0.05), curve.quantile(0.95)
        for lag, mean in enumerate(curve.mean):
            yield {
                "run_date": self.run_date,
                "source": source,
                "account_id": account,
                "conversion_action_id": action,
                "channel_group": channel,
                "lag_days": lag,
                "share_mean": float(mean),
                "share_p05": float(low[lag]),
                "share_p95": float(high[lag]),
                "conversions": curve.conversions,
                "cohorts": curve.cohorts,
                "dispersion": curve.dispersion,
                "loaded_at": utc_now(),
            }

    def _lagged(self, property_id: str, rows: pl.DataFrame, curves: dict[str, Curve]) -> pl.DataFrame:
        """Rows of ga4_lagged_daily: what was seen, and what is still to come of each young click day."""
        keys = ["channel_group", "click_date", "currency_code"]
        rows = rows.with_columns(pl.col("conversions").cast(pl.Float64))  # expected rows beside them are no whole numbers
        seen = rows.group_by(*keys, "conversion_date", "lag_days", "has_click").agg(pl.col("conversions", "value_micros").sum())
        observed = seen.group_by(*keys, "conversion_date", "lag_days").agg(pl.col("conversions", "value_micros").sum())
        observed = observed.with_columns(
            pl.lit(value=False).alias("is_expected"),
            *(pl.col("conversions").alias(f"matured_conversions{end}") for end in ("", "_p05", "_p95")),
            pl.col("value_micros").alias("matured_value_micros"),
        )
        clicked = seen.filter("has_click").group_by(*keys).agg(pl.col("conversions", "value_micros").sum()).sort(*keys)
        expected = [self._expected(row, curves) for row in clicked.iter_rows(named=True)]
        full = pl.concat(
            [observed, pl.DataFrame([row for row in expected if row], schema=observed.schema)], how="diagonal_relaxed"
        )
        stamped = full.with_columns(
            pl.lit(property_id).alias("property_id"),
            pl.lit(self.conversion_event).alias("conversion_action_id"),
            pl.lit(self.run_date).alias("run_date"),
            pl.lit(utc_now()).alias("loaded_at"),
        )
        return stamped.select(pl.col(name).cast(dtype) for name, dtype in load_contract(LAGGED).polars_schema().items())

    def _expected(self, cohort: dict[str, Any], curves: dict[str, Curve]) -> dict[str, Any] | None:
        """The row of what is still to come of a click day; None once nothing can, or where no curve is known."""
        age = (self.run_date - DAY - cohort["click_date"]).days
        curve = curves.get(cohort["channel_group"]) or curves.get(ALL)
        if curve is None or age >= LAST_LAG:
            return None
        name = f"{cohort['channel_group']}/{cohort['currency_code']}".encode()
        rng = np.random.default_rng([self.seed, cohort["click_date"].toordinal(), *name])
        draws = still_to_come(cohort["conversions"], curve.at(age), rng)
        low, high = np.quantile(draws, [0.05, 0.95])
        mean_value = cohort["value_micros"] / cohort["conversions"]
        return {
            **{key: cohort[key] for key in ("channel_group", "click_date", "currency_code")},
            "conversion_date": self.run_date,
            "lag_days": age + 1,
            "conversions": 0,
            "value_micros": 0,
            "is_expected": True,
            "matured_conversions": float(draws.mean()),
            "matured_conversions_p05": float(low),
            "matured_conversions_p95": float(high),
            "matured_value_micros": round(float(draws.mean()) * mean_value),
        }
