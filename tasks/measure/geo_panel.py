"""The file of a geo experiment as arrays: checked as a whole, every problem told at once with the geo or day it is about."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.errors import JobError

Floats = NDArray[np.float64]

GROUPS = ("control", "treatment")
PERIODS = ("pre", "test", "cooldown")
SHOWN = 5  # problems told; the others are counted


@dataclass(frozen=True)
class GeoPanel:
    """G geos × T days or weeks. ``outcome`` and ``spend`` (G, T); ``treated`` (G,); ``period`` (T,) index into ``PERIODS``."""

    geos: tuple[str, ...]
    days: tuple[date, ...]
    step_days: int
    treated: NDArray[np.bool_]
    period: NDArray[np.int64]
    outcome: Floats
    spend: Floats

    def weeks(self, period: int) -> float:
        """Length of ``period`` in weeks."""
        return float((self.period == period).sum()) * self.step_days / 7

    @property
    def start(self) -> date:
        """First day of the test."""
        return self.days[int(np.argmax(self.period == 1))]

    @property
    def end(self) -> date:
        """Last day on which outcomes count, the cool-down included."""
        return self.days[-1] + timedelta(days=self.step_days - 1)


def read_panel(path: Path, outcome: str, spend: str, run_date: date) -> GeoPanel:
    """The panel in the CSV ``path``, whose columns ``outcome`` and ``spend`` count; JobError tells all that is wrong with it."""
    if not path.is_file():
        raise JobError(f"{path} does not exist")
    try:
        texts = pl.read_csv(path, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise JobError(f"{path.name} cannot be read as CSV: {error}; save it again as CSV (UTF-8)") from error
    needed = ("geo", "date", "group", "period", outcome, spend)
    if missing := [name for name in needed if name not in texts.columns]:
        raise JobError(
            f"{path.name} lacks the columns {', '.join(missing)}; it has {', '.join(texts.columns)}. Needed are geo, date, group "
            "(treatment or control), period (pre, test or cooldown), and the columns of --outcome-column and --spend-column"
        )
    frame = texts.select(
        pl.col("geo", "group", "period").str.strip_chars(),
        pl.col("date").str.strip_chars().str.to_date("%Y-%m-%d", strict=False),
        outcome=pl.col(outcome).str.strip_chars().cast(pl.Float64, strict=False),
        spend=pl.col(spend).str.strip_chars().cast(pl.Float64, strict=False),
    ).with_row_index("line", offset=2)
    _stop(path, _cells(frame, run_date))
    _stop(path, _shape(frame))
    return _arrays(path, frame)


def _stop(path: Path, problems: list[str]) -> None:
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise JobError(f"{path.name}: {'; '.join(problems[:SHOWN])}{more}")


def _cells(frame: pl.DataFrame, run_date: date) -> list[str]:
    if frame.is_empty():
        return ["it has a header and no rows"]
    wrong: tuple[tuple[pl.Expr, str], ...] = (
        (pl.col("geo").fill_null("") == "", "geo is empty"),
        (pl.col("date").is_null(), "date is no day such as 2026-03-01"),
        (pl.col("date") >= run_date, f"date is on or after the run date {run_date}, that day is not complete"),
        (~pl.col("group").is_in(GROUPS).fill_null(False), "group is neither treatment nor control"),
        (~pl.col("period").is_in(PERIODS).fill_null(False), "period is not pre, test or cooldown"),
        *(
            (~(pl.col(name).is_finite() & (pl.col(name) >= 0)).fill_null(False), f"{name} is not a number from zero up")
            for name in ("outcome", "spend")
        ),
    )
    return [f"row {line}: {what}" for bad, what in wrong for line in frame.filter(bad)["line"]]


def _shape(frame: pl.DataFrame) -> list[str]:
    """What keeps the rows from being one panel: doubles, holes, a geo in both groups, a day in two periods."""
    twice = frame.filter(pl.struct("geo", "date").is_duplicated()).unique(["geo", "date"], maintain_order=True)
    problems = [f"geo {geo} has {day} more than once" for geo, day in twice.select("geo", "date").iter_rows()]
    for key, value, what in (("geo", "group", "groups"), ("date", "period", "periods")):
        mixed = frame.group_by(key).agg(pl.col(value).n_unique().alias("n")).filter(pl.col("n") > 1).sort(key)
        problems += [f"{key} {name} is in several {what}" for name in mixed[key]]
    days = frame["date"].n_unique()
    short = frame.group_by("geo").agg(pl.col("date").n_unique().alias("n")).filter(pl.col("n") < days).sort("geo")
    problems += [f"geo {geo} has {n} of {days} days; write a row for each, 0 where nothing was" for geo, n in short.iter_rows()]
    return problems


def _arrays(path: Path, frame: pl.DataFrame) -> GeoPanel:
    ordered = frame.sort("geo", "date")
    geos = tuple(ordered["geo"].unique(maintain_order=True))
    days = tuple(ordered["date"].unique().sort())
    outcome, spend = (ordered[name].to_numpy().reshape(len(geos), len(days)) for name in ("outcome", "spend"))
    treated = (ordered["group"] == "treatment").to_numpy().reshape(outcome.shape)[:, 0]
    period = np.array([PERIODS.index(name) for name in ordered["period"].head(len(days))])
    problems = []
    gaps = {(after - before).days for before, after in itertools.pairwise(days)}
    if gaps not in ({1}, {7}):
        problems.append(f"the days are {sorted(gaps)} days apart; write daily or weekly rows without gaps")
    if (np.diff(period) < 0).any():
        problems.append("the periods must follow each other: pre, test, cooldown")
    if not {0, 1} <= set(period.tolist()):
        problems.append("both pre and test are needed")
    if treated.all() or not treated.any():
        problems.append("both treatment and control are needed")
    for late, name in ((False, "pre"), (True, "test")):
        empty = outcome[:, (period > 0) == late].sum(axis=1) <= 0
        problems += [f"geo {geo} has no outcome in the {name} period; join it with a neighbour" for geo in np.array(geos)[empty]]
    _stop(path, problems)
    return GeoPanel(geos, days, gaps.pop(), treated, period, outcome, spend)
