"""From the warehouse to units and people with the same features, all known before the assignment."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks.core.errors import GateStop, JobError, NothingToDo
from tasks.measure.uplift_data import Floats, Units

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

LOOKBACK_DAYS = 90
FEATURES = ("visits", "engaged_visits", "engaged_time", "purchases", "recency", "paid_share", "mobile_share")


@dataclass(frozen=True)
class Experiment:
    """An experiment and what its arms cost; amounts in micros, None where they are not known."""

    experiment_id: str
    is_randomised: bool
    units: int
    unit_id_kind: str
    first_assigned: date
    last_assigned: date
    channel: str | None
    treatment_spend_micros: int | None
    control_spend_micros: int | None
    currency_code: str | None
    spend_days: int | None
    coverage_ratio: float | None


def read_experiment(warehouse: Warehouse, experiment_id: str) -> Experiment:
    """The imported experiment; JobError if there is none, GateStop if its import broke off."""
    frame = warehouse.query_file("models/uplift_experiment/query.sql", {"experiment_id": experiment_id})
    if frame.is_empty():
        raise JobError(f"no experiment {experiment_id!r}; load its assignments with import-assignments")
    row = frame.row(0, named=True)
    if row["assigned"] == 0 or row["of_other_import"] > 0:
        raise GateStop(
            f"experiment {experiment_id}: {row['of_other_import']:,} of {row['assigned']:,} assignments are of another import "
            "than the experiment's row, so an import broke off; import the file again"
        )
    return Experiment(
        experiment_id,
        row["is_randomised"],
        row["units"],
        row["unit_id_kind"],
        row["first_assigned_date"],
        row["last_assigned_date"],
        row["channel"],
        row["treatment_spend_micros"],
        row["control_spend_micros"],
        row["currency_code"],
        row["spend_days"],
        row["coverage_ratio"],
    )


def features_of(frame: pl.DataFrame) -> Floats:
    """(N, 7) features in the order of ``FEATURES``; who was never seen has recency of the whole window and no shares."""
    visits = pl.col("sessions").cast(pl.Float64)
    share = pl.when(visits > 0)
    columns = frame.select(
        visits.log1p(),
        pl.col("engaged_sessions").cast(pl.Float64).log1p(),
        pl.col("engagement_seconds").log1p(),
        pl.col("conversions_before").log1p(),
        pl.col("days_since").fill_null(LOOKBACK_DAYS + 1).clip(0).cast(pl.Float64).log1p(),
        share.then(pl.col("paid_sessions") / visits).otherwise(0.0).alias("paid_share"),
        share.then(pl.col("mobile_sessions") / visits).otherwise(0.0).alias("mobile_share"),
    )
    return columns.to_numpy().astype(np.float64)


def segments_of(frame: pl.DataFrame) -> np.ndarray:
    """(N,) what the visits make of a person: customer, returning, first_visit, unseen."""
    named = (
        pl.when(pl.col("conversions_before") > 0)
        .then(pl.lit("customer"))
        .when(pl.col("sessions") > 1)
        .then(pl.lit("returning"))
        .when(pl.col("sessions") == 1)
        .then(pl.lit("first_visit"))
        .otherwise(pl.lit("unseen"))
    )
    return frame.select(named.alias("segment"))["segment"].to_numpy().astype(str)


@dataclass(frozen=True)
class Trial:
    """Units whose outcome window is over, which of them were customers before, a fingerprint of the data."""

    units: Units
    is_customer: np.ndarray
    fingerprint: str


def read_trial(warehouse: Warehouse, experiment: Experiment, run_date: date, outcome_days: int) -> Trial:
    """Units of ``experiment``; NothingToDo while no outcome window is over."""
    frame = warehouse.query_file(
        "models/uplift_units/query.sql",
        {
            "experiment_id": experiment.experiment_id,
            "unit_id_kind": experiment.unit_id_kind,
            "run_date": run_date,
            "lookback_days": LOOKBACK_DAYS,
            "outcome_days": outcome_days,
        },
    )
    if frame["arm"].n_unique() < 2:
        ready = experiment.last_assigned + timedelta(days=outcome_days)
        raise NothingToDo(
            f"experiment {experiment.experiment_id}: no two arms whose {outcome_days} days after the assignment are over on "
            f"{run_date}; all are on {ready}"
        )
    derived = segments_of(frame)
    given = frame["segment"].to_numpy()
    odds = frame["propensity"].to_numpy().astype(np.float64) if experiment.is_randomised else None
    units = Units(
        FEATURES,
        features_of(frame),
        (frame["arm"] == "treatment").to_numpy().astype(np.float64),
        (frame["conversions_after"] > 0).to_numpy().astype(np.float64),
        odds,
        derived if frame["segment"].null_count() else given.astype(str),
    )
    fingerprint = hashlib.sha256(frame.write_csv().encode()).hexdigest()[:8]
    return Trial(units, (frame["conversions_before"] > 0).to_numpy(), fingerprint)
