"""Rows of `models.attribution_weekly` and of the cross-check against the marketing-mix model. Pure but for one read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.money import MICROS
from tasks.core.segments import whole
from tasks.measure.attribution import METHODS, Floats, Method, Paths, attribute

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

CHECKED: tuple[Method, ...] = ("markov_1", "last")
# Media channels of the ad platforms → channel group of the visits they bring (tasks/core/channel_groups.yaml). Parts of a
# split channel bring visits of the same group. docs/how-to/experiments-and-mmm.md shows the table; a test compares.
GROUP_OF_CHANNEL = {
    "SEARCH_BRAND": "Paid Search",
    "SEARCH_NONBRAND": "Paid Search",
    "YOUTUBE": "Paid Video",
    "DEMAND_GEN": "Display",  # tagged with a display medium; Google's own tag would say cross-network
    "PMAX": "Cross-network",
    "META": "Paid Social",
    "LINKEDIN": "Paid Social",
    "TIKTOK": "Paid Social",
    "REDDIT": "Paid Social",
    "X": "Paid Social",
}


@dataclass(frozen=True)
class Window:
    """Whose journeys, which days (``end`` is not included), in which currency."""

    property_id: str
    start: date
    end: date
    currency_code: str

    @property
    def week(self) -> date:
        """Monday of the last week."""
        return self.end - timedelta(weeks=1)


@dataclass(frozen=True)
class Shares:
    """Share of conversions by channel (C,) and its bootstrap replicates (R, C)."""

    mean: Floats
    replicates: Floats

    @property
    def low(self) -> Floats:
        """(C,) 5th percentile."""
        return np.asarray(np.quantile(self.replicates, 0.05, axis=0))

    @property
    def high(self) -> Floats:
        """(C,) 95th percentile."""
        return np.asarray(np.quantile(self.replicates, 0.95, axis=0))


def paths_of(rows: pl.DataFrame) -> Paths:
    """Columns path (`a > b`), conversions, value_micros, null_journeys as :class:`Paths`, channels sorted by name."""
    split = rows["path"].str.split(" > ")
    channels = sorted(set(split.explode()))
    index = {channel: number for number, channel in enumerate(channels)}
    return Paths(
        tuple(channels),
        tuple(np.array([index[channel] for channel in path]) for path in split),
        rows["conversions"].cast(pl.Float64).to_numpy(),
        rows["value_micros"].cast(pl.Float64).to_numpy() / MICROS,
        rows["null_journeys"].cast(pl.Float64).to_numpy(),
    )


def _normed(values: Floats) -> Floats:
    total = values.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(values, total, out=np.zeros_like(values), where=total > 0))


def conversion_shares(paths: Paths, replicates: int, seed: int) -> dict[Method, Shares]:
    """Share of conversions by method, with a Poisson bootstrap over journeys (Hanley & MacGibbon 2006).

    Every journey of a replicate counts Poisson(1) times, so a path of n journeys counts Poisson(n) times. The methods whose
    credits are a few milliseconds' work are replicated in full; chains of order 2 and 3 and the Shapley value with a fifth of the
    replicates, which is enough for a 90 % interval.
    """
    rng = np.random.default_rng(seed)
    drawn = [
        replace(paths, conversions=rng.poisson(paths.conversions).astype(float), nulls=rng.poisson(paths.nulls).astype(float))
        for _ in range(replicates)
    ]
    shares: dict[Method, Shares] = {}
    for method in METHODS:
        some = drawn[: max(20, replicates // 5)] if method in ("markov_2", "markov_3", "shapley") else drawn
        shares[method] = Shares(
            _normed(attribute(paths, method, seed=seed).conversions),
            _normed(np.stack([attribute(sample, method, seed=seed).conversions for sample in some])),
        )
    return shares


def attribution_rows(window: Window, paths: Paths, shares: Mapping[Method, Shares], seed: int) -> pl.DataFrame:
    """Rows of ``models.attribution_weekly``: method × channel."""
    now = utc_now()
    rows = []
    for method, share in shares.items():
        credit = attribute(paths, method, seed=seed)
        value = _whole(credit.value * MICROS)
        for number, channel in enumerate(paths.channels):
            rows.append(
                {
                    "property_id": window.property_id,
                    "week_start_date": window.week,
                    "window_start_date": window.start,
                    "window_end_date": window.end - timedelta(days=1),
                    "method": method,
                    "channel_group": channel,
                    "conversions": max(float(credit.conversions[number]), 0.0),
                    "value_micros": int(value[number]),
                    "currency_code": window.currency_code,
                    "share": float(np.clip(share.mean[number], 0, 1)),
                    "share_p05": float(np.clip(share.low[number], 0, 1)),
                    "share_p95": float(np.clip(share.high[number], 0, 1)),
                    "standard_error": float(credit.standard_error[number]),
                    "journeys": paths.journeys,
                    "loaded_at": now,
                }
            )
    return pl.DataFrame(rows, schema=load_contract("models.attribution_weekly").polars_schema())


def _whole(values: Floats) -> np.ndarray:
    """Integers that add up to the rounded total: the largest remainders are rounded up."""
    floor = np.floor(values).astype(np.int64)
    missing = round(float(values.sum())) - int(floor.sum())
    floor[np.argsort(floor - values, kind="stable")[:missing]] += 1
    return floor


@dataclass(frozen=True)
class ModelShares:
    """Shares of the incremental outcome among the groups a model knows: mean (G,), draws (D, G)."""

    run_id: str
    groups: tuple[str, ...]
    shares: Shares


def mmm_shares(warehouse: Warehouse, run_date: date) -> ModelShares | None:
    """The live model's shares at current spend, or None while no model is live."""
    from tasks.core.response import draws_by_channel, weekly_response

    live = warehouse.query_file(
        "models/live_mmm_run/query.sql", {"source": "platforms", "target": "new_customers", "run_date": run_date}
    )
    if live.is_empty():
        return None
    run_id = str(live["run_id"][0])
    draws = draws_by_channel(warehouse.query_file("control/plan_draws/query.sql", {"run_id": run_id}))
    spend = dict(
        warehouse.query(
            "SELECT channel, current_spend_micros FROM models.mmm_allocations WHERE run_id = @run_id", {"run_id": run_id}
        ).iter_rows()
    )
    group_of = {channel: GROUP_OF_CHANNEL.get(whole(channel)) for channel in draws}
    groups = tuple(sorted({group for group in group_of.values() if group}))
    outcome = np.stack(
        [sum(weekly_response(spend[c] / MICROS, d) for c, d in draws.items() if group_of[c] == group) for group in groups],
        axis=1,
    )
    return ModelShares(run_id, groups, Shares(_normed(outcome.mean(axis=0)), _normed(outcome)))


def cross_check_rows(
    window: Window, shares: Mapping[Method, Shares], channels: tuple[str, ...], model: ModelShares | None
) -> pl.DataFrame:
    """Rows of ``models.attribution_cross_check``: method × paid channel group that both sides know; none without a model."""
    schema = load_contract("models.attribution_cross_check").polars_schema()
    both = [group for group in (model.groups if model else ()) if group in channels]
    if model is None or len(both) < 2:
        return pl.DataFrame(schema=schema)
    theirs = [model.groups.index(group) for group in both]
    sides = {"mmm": Shares(_normed(model.shares.mean[theirs]), _normed(model.shares.replicates[:, theirs]))}
    ours = [channels.index(group) for group in both]
    sides |= {method: Shares(_normed(s.mean[ours]), _normed(s.replicates[:, ours])) for method, s in shares.items()}
    now, rows = utc_now(), []
    for method, side in sides.items():
        for number, group in enumerate(both):
            low, high = float(side.low[number]), float(side.high[number])
            model_low, model_high = float(sides["mmm"].low[number]), float(sides["mmm"].high[number])
            apart = high < model_low or low > model_high
            rows.append(
                {
                    "property_id": window.property_id,
                    "week_start_date": window.week,
                    "method": method,
                    "channel_group": group,
                    "share": float(side.mean[number]),
                    "share_p05": low,
                    "share_p95": high,
                    "is_disagreeing": apart,
                    "detail": _detail(method, group, low, high, model_low, model_high, apart),
                    "run_id": model.run_id,
                    "loaded_at": now,
                }
            )
    return pl.DataFrame(rows, schema=schema)


def _detail(method: str, group: str, low: float, high: float, model_low: float, model_high: float, apart: bool) -> str:
    said = f"{group}: {method} gives {low:.0%} to {high:.0%} of what the paid channels bring"
    if method == "mmm":
        return said
    verdict = "less than" if high < model_low else "more than" if low > model_high else "in line with"
    return f"{said}, {verdict} the model's {model_low:.0%} to {model_high:.0%}" + (
        "; trust the model, and a lift test over both" if apart else ""
    )
