"""The live MMM run as curves of the optimiser, with the checks that refuse a model no plan should rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from tasks.core.errors import GateStop
from tasks.core.response import ResponseDraws, draws_by_channel, marginal_response, weekly_response
from tasks.core.segments import UNSPLIT, Split
from tasks.decide.optimiser import Curves, Floats

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

MAX_MODEL_AGE_DAYS = 14  # two weekly fits missed: the market may have moved away from the curves
PLATFORMS = "platforms"  # the MMM source that is the ad platforms themselves


@dataclass(frozen=True)
class LiveModel:
    """The reviewed run that is live for a source. ``split``: which of its channels are parts of one, and by which campaigns."""

    run_id: str
    run_date: date
    source: str
    target: str
    trust: str
    currency_code: str
    period_days: int
    window_start_date: date
    window_end_date: date
    curves: Curves
    split: Split = UNSPLIT


def curves_of(draws: Mapping[str, ResponseDraws], period_days: int) -> Curves:
    """Curves a day from draws a period: spend held at s a day is ``s · period_days`` a period."""
    channels = tuple(draws)

    def outcome(spend: Floats) -> Floats:
        return (
            np.stack([weekly_response(float(s) * period_days, draws[c]) for s, c in zip(spend, channels, strict=True)], axis=1)
            / period_days
        )

    def marginal(spend: Floats) -> Floats:
        return np.stack(
            [marginal_response(float(s) * period_days, draws[c]) for s, c in zip(spend, channels, strict=True)], axis=1
        )

    return Curves(channels, outcome, marginal)


def read_live_model(warehouse: Warehouse, source: str, target: str, run_date: date) -> LiveModel:
    """The live run of ``source`` that explains ``target``, with its curves.

    Raises GateStop if no run is live, or one of the platforms is older than ``MAX_MODEL_AGE_DAYS`` on ``run_date``. A brought
    table does not change by itself: fitted again it gives the same run, however long ago that was.
    """
    runs = warehouse.query_file("models/live_mmm_run/query.sql", {"source": source, "target": target, "run_date": run_date})
    option = ("" if source == PLATFORMS else f" --source {source}") + ("" if target == "new_customers" else f" --target {target}")
    if runs.is_empty():
        raise GateStop(
            f"no live MMM run of {target} for source {source}: none was reviewed PASS or REVIEW up to {run_date}; "
            f"run fit-mmm{option} and review-mmm{option}, and look at models.mmm_reviews if the review says FAIL"
        )
    run = runs.row(0, named=True)
    age = (run_date - run["run_date"]).days
    if source == PLATFORMS and age > MAX_MODEL_AGE_DAYS:
        raise GateStop(
            f"the live MMM run {run['run_id']} of source {source} is {age} days old, {MAX_MODEL_AGE_DAYS} are allowed; "
            f"run fit-mmm{option} and review-mmm{option} for {run_date}"
        )
    draws = draws_by_channel(warehouse.query_file("control/plan_draws/query.sql", {"run_id": run["run_id"]}))
    return LiveModel(
        run_id=run["run_id"],
        run_date=run["run_date"],
        source=source,
        target=run["target"],
        trust=run["trust"],
        currency_code=run["currency_code"],
        period_days=run["period_days"],
        window_start_date=run["window_start_date"],
        window_end_date=run["window_end_date"],
        curves=curves_of(draws, run["period_days"]),
        split=Split(tuple(run["split_channels"] or ()), tuple(run["remarketing_campaign_ids"] or ())),
    )
