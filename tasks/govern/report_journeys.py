"""Journeys of the website in the report: what is read, and what follows from it. Counted paths only, no person anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

_WEEKS_WINDOW_DAYS = 56  # older shares say nothing about a plan of today
_LEAST_SHARE = 0.01
METHODS = ("last", "markov_1", "shapley")
CHECKED = ("last", "markov_1", "mmm")


@dataclass(frozen=True)
class Journeys:
    """Frames as the query files give them; each is empty where its job has not run."""

    attribution: pl.DataFrame
    cross_check: pl.DataFrame


@dataclass(frozen=True)
class Shares:
    """Shares of the newest week of one property. ``properties``: how many there are in all.

    ``of_all``: methods × channels, of all conversions. ``of_paid``: methods and the model × paid channels, of what these bring
    together; empty without a live model. ``disagreements``: what the cross-check says of each channel where intervals are apart.
    """

    property_id: str
    properties: int
    first_day: date
    last_day: date
    conversions: float
    of_all: pl.DataFrame
    of_paid: pl.DataFrame
    disagreements: tuple[str, ...]


def read_journeys(warehouse: Warehouse, run_date: date) -> Journeys:
    """What the jobs of the website have left behind up to ``run_date``."""
    weeks = {"start_date": run_date - timedelta(days=_WEEKS_WINDOW_DAYS), "run_date": run_date}
    return Journeys(
        attribution=warehouse.query_file("models/report_attribution/query.sql", weeks),
        cross_check=warehouse.query_file("models/report_cross_check/query.sql", weeks),
    )


def shares(journeys: Journeys) -> Shares | None:
    """Attribution beside the model, or None before the first attribution."""
    found = journeys.attribution
    if found.is_empty():
        return None
    newest = found.filter(pl.col("week_start_date") == pl.col("week_start_date").max())
    property_id = _largest(newest.filter(pl.col("method") == "last"))
    of_all = newest.filter(pl.col("property_id") == property_id)
    checked = journeys.cross_check.filter(
        (pl.col("property_id") == property_id) & (pl.col("week_start_date") == of_all["week_start_date"][0])
    )
    return Shares(
        property_id=property_id,
        properties=newest["property_id"].n_unique(),
        first_day=of_all["window_start_date"][0],
        last_day=of_all["window_end_date"][0],
        conversions=float(of_all.filter(pl.col("method") == "last")["conversions"].sum()),
        of_all=of_all.filter(pl.col("share").max().over("channel_group") >= _LEAST_SHARE),
        of_paid=checked,
        disagreements=tuple(checked.filter("is_disagreeing")["detail"]),
    )


def _largest(frame: pl.DataFrame) -> str:
    """The property with the most conversions: shares of several cannot be added up."""
    sums = frame.group_by("property_id").agg(pl.col("conversions").sum())
    return str(sums.sort(["conversions", "property_id"], descending=[True, False])["property_id"][0])
