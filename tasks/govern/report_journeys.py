"""Journeys of the website in the report: what is read, and what follows from it. Counted paths only, no person anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from tasks.govern.report_flow import Way

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

_WEEKS_WINDOW_DAYS = 56  # older shares say nothing about a plan of today
_LEAST_SHARE = 0.01
_PATHS_WINDOW_DAYS = 28
_TOUCHES = 3
_WAYS = 12
_MATURITY_WINDOW_DAYS = 28
_CURVES = 3
_UPLIFT_WINDOW_DAYS = 91  # a finished experiment stays of use for a quarter
_EXPERIMENTS = 3
_BEST_SHARE = 0.3
METHODS = ("last", "markov_1", "shapley")
CHECKED = ("last", "markov_1", "mmm")


@dataclass(frozen=True)
class Journeys:
    """Frames as the query files give them; each is empty where its job has not run."""

    attribution: pl.DataFrame
    cross_check: pl.DataFrame
    paths: pl.DataFrame
    maturity: pl.DataFrame
    uplift: pl.DataFrame


@dataclass(frozen=True)
class Ways:
    """The most frequent first touches of converted journeys of one property, and the part of all they make up."""

    property_id: str
    days: int
    ways: tuple[Way, ...]  # with most conversions first
    converted: float
    journeys: float
    converted_share: float
    journeys_share: float


@dataclass(frozen=True)
class Maturity:
    """One curve: share of the final conversions that has arrived by lag day, and the first days with half and with 95 % of it.

    ``day_95`` is None where the curve does not come that far.
    """

    name: tuple[str, str, str]  # source, account, conversion action
    rows: pl.DataFrame
    conversions: float
    day_50: int | None
    day_95: int | None


@dataclass(frozen=True)
class Uplift:
    """The newest Qini curve of an experiment; what treating about the best three tenths wins of a thousand people."""

    experiment_id: str
    day: date
    is_causal: bool
    rows: pl.DataFrame
    best_share: float
    won: float
    won_p05: float
    won_p95: float
    won_random: float
    is_better: bool  # the area between curve and random order is above zero even at the low end of its interval


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

    def start(days: int) -> date:
        return run_date - timedelta(days=days)

    weeks = {"start_date": start(_WEEKS_WINDOW_DAYS), "run_date": run_date}
    days = {"start_date": start(_PATHS_WINDOW_DAYS), "run_date": run_date}
    estimates = {"start_date": start(_MATURITY_WINDOW_DAYS), "run_date": run_date}
    fits = {"start_date": start(_UPLIFT_WINDOW_DAYS), "run_date": run_date}
    return Journeys(
        attribution=warehouse.query_file("models/report_attribution/query.sql", weeks),
        cross_check=warehouse.query_file("models/report_cross_check/query.sql", weeks),
        paths=warehouse.query_file("models/report_paths/query.sql", days),
        maturity=warehouse.query_file("ga4/report_maturity/query.sql", estimates),
        uplift=warehouse.query_file("models/report_uplift/query.sql", fits),
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


def ways(journeys: Journeys) -> Ways | None:
    """The first three touches that most conversions had in common, or None without any conversion in the window."""
    if not journeys.paths["conversions"].sum():
        return None
    property_id = _largest(journeys.paths)
    touches = pl.col("path").str.split(" > ").list.head(_TOUCHES)
    counted = (
        journeys.paths.filter(pl.col("property_id") == property_id)
        .group_by(touches.list.join(" > ").alias("way"))
        .agg(pl.col("conversions", "null_journeys").cast(pl.Float64).sum())
        .sort(["conversions", "null_journeys", "way"], descending=[True, True, False])
    )
    top = counted.filter(pl.col("conversions") > 0).head(_WAYS)
    converted, others = float(counted["conversions"].sum()), float(counted["null_journeys"].sum())
    shown = float(top["conversions"].sum()), float(top["null_journeys"].sum())
    return Ways(
        property_id=property_id,
        days=_PATHS_WINDOW_DAYS,
        ways=tuple(Way(tuple(way.split(" > ")), bought, nothing) for way, bought, nothing in top.iter_rows()),
        converted=converted,
        journeys=converted + others,
        converted_share=shown[0] / converted,
        journeys_share=sum(shown) / (converted + others),
    )


def maturity(journeys: Journeys) -> list[Maturity]:
    """The newest curve of each source, of at most three conversion actions: those with the most conversions."""
    key = ("source", "account_id", "conversion_action_id")
    newest = journeys.maturity.filter(pl.col("run_date") == pl.col("run_date").max().over("source"))
    curves = []
    for name, rows in newest.group_by(key, maintain_order=True):
        curve = rows.sort("lag_days")
        curves.append(
            Maturity(
                name=(str(name[0]), str(name[1]), str(name[2])),
                rows=curve,
                conversions=float(curve["conversions"][0]),
                day_50=_first_day(curve, 0.5),
                day_95=_first_day(curve, 0.95),
            )
        )
    return sorted(curves, key=lambda curve: (-curve.conversions, curve.name))[:_CURVES]


def _first_day(curve: pl.DataFrame, share: float) -> int | None:
    reached = curve.filter(pl.col("share_mean") >= share)["lag_days"]
    return int(reached[0]) if reached.len() else None


def uplift(journeys: Journeys) -> list[Uplift]:
    """The newest curve of the experiments that were looked at last, at most three."""
    newest = journeys.uplift.filter(pl.col("date") == pl.col("date").max().over("experiment_id"))
    found = []
    for (experiment_id,), rows in newest.group_by(["experiment_id"], maintain_order=True):
        curve = rows.sort("share")
        best = curve.sort((pl.col("share") - _BEST_SHARE).abs(), "share").row(0, named=True)
        found.append(
            Uplift(
                experiment_id=str(experiment_id),
                day=best["date"],
                is_causal=best["effect_kind"] == "causal",
                rows=curve,
                best_share=best["share"],
                won=1000 * best["gain"],
                won_p05=1000 * best["gain_p05"],
                won_p95=1000 * best["gain_p95"],
                won_random=1000 * best["gain_random"],
                is_better=best["qini_p05"] > 0,
            )
        )
    return sorted(found, key=lambda one: (-one.day.toordinal(), one.experiment_id))[:_EXPERIMENTS]
