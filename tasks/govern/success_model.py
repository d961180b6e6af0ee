"""Success metrics of the marketing-mix model: what one more customer costs, and how much spend is where it should be. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from tasks.core.money import MICROS, format_micros
from tasks.core.response import ResponseDraws, marginal_response
from tasks.govern.success_metrics import Z90, Metric, Window

RECENT_DAYS = 14  # what plan-budgets calls present spend: whole weeks
TOLERANCE = 0.10  # of the optimum: two steps of the plan at its cap of 5 %, and there the response is nearly flat
OTHER_TOTAL = 0.25  # beyond that, the model's optimum of another total says too little of the present one
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Mix:
    """Present spend by channel of the model, micros over ``days``; ``problem`` says why there is none to go by."""

    spend_micros: Mapping[str, int]
    days: int
    currency: str | None
    window: Window
    problem: str | None = None

    @property
    def total_micros(self) -> int:
        """Spend of all channels, also of those the model does not know."""
        return sum(self.spend_micros.values())


def marginal_cac(mix: Mix, live: Row | None, draws: Mapping[str, ResponseDraws], run_date: date) -> Metric:
    """Cost of one more new customer if the present mix grows as it is: median and 90 % interval over joint draws."""
    name = "marginal_cac"
    problem = _without(mix, live)
    if live is None or problem is not None:
        return Metric(name, "currency", None, problem or "", window=mix.window)
    known = {channel: amount for channel, amount in mix.spend_micros.items() if channel in draws and amount > 0}
    if not known:
        text = f"run {live['run_id']} has no draws of a channel that spends now; fit again"
        return Metric(name, "currency", None, text, window=mix.window)
    total, periods = sum(known.values()), mix.days / live["period_days"]
    slopes = [marginal_response(amount / MICROS / periods, draws[c]) * (amount / total) for c, amount in known.items()]
    slope = np.sum(slopes, axis=0)
    cost = np.divide(1.0, slope, out=np.full_like(slope, np.inf), where=slope > 0)
    low, value, high = (float(q) for q in np.quantile(cost, (0.05, 0.5, 0.95), method="inverted_cdf"))
    age = (run_date - live["run_date"]).days
    text = f"run {live['run_id']}, {age} days old, at the present mix of {len(known)} channels"
    outside = [channel for channel in mix.spend_micros if channel not in known and mix.spend_micros[channel] > 0]
    text += f"; without {', '.join(sorted(outside))}, which the model does not know" if outside else ""
    if not math.isfinite(value):
        return Metric(name, "currency", None, f"more spend brings nothing, says {text}", window=mix.window)
    return Metric(
        name,
        "currency",
        value,
        text,
        low,
        high if math.isfinite(high) else None,
        observations=len(cost),
        currency=mix.currency,
        window=mix.window,
    )


def frontier_share(mix: Mix, live: Row | None, allocations: Sequence[Row]) -> Metric:
    """Share of spend in channels that spend within ``TOLERANCE`` of the model's optimum at the present total.

    ``allocations``: the live run's, at the total of its fit; the present total is split in the same proportions.
    """
    name = "frontier_share"
    problem = _without(mix, live)
    if live is None or problem is not None:
        return Metric(name, "ratio", None, problem or "", window=mix.window)
    best = {row["channel"]: row["optimal_spend_micros"] for row in allocations}
    if not sum(best.values()):
        return Metric(name, "ratio", None, f"run {live['run_id']} published no optimum; fit again", window=mix.window)
    inside = {channel: mix.spend_micros.get(channel, 0) for channel in best}
    scale = sum(inside.values()) / sum(best.values())
    present = scale * live["period_days"] / mix.days
    if abs(present - 1) > OTHER_TOTAL:
        text = f"spend is {present - 1:+.0%} against the total that run {live['run_id']} found its optimum for; fit again"
        return Metric(name, "ratio", None, text, window=mix.window)
    near = [c for c, spend in inside.items() if abs(spend - best[c] * scale) <= TOLERANCE * best[c] * scale]
    on = sum(inside[channel] for channel in near)
    off = {channel: inside[channel] / (best[channel] * scale) - 1 for channel in best if channel not in near and best[channel]}
    text = f"{len(near)} of {len(best)} channels within {TOLERANCE:.0%} of the optimum of run {live['run_id']}"
    if off:
        far = max(off, key=lambda channel: abs(off[channel]))
        text += f"; farthest {far}, {off[far]:+.0%}"
    outside = mix.total_micros - sum(inside.values())
    text += f"; {outside / mix.total_micros:.0%} of spend is in channels the model does not know" if outside else ""
    return Metric(
        name,
        "ratio",
        on / mix.total_micros,
        text,
        numerator=on / MICROS,
        denominator=mix.total_micros / MICROS,
        observations=len(best),
        currency=mix.currency,
        window=mix.window,
    )


def measured(tests: Sequence[Row], window: Window) -> Metric:
    """What one more customer cost where a lot decided: spend added by lift tests over customers it brought; not the model's.

    Tests are added up; their standard errors are taken as independent.
    """
    name = "marginal_cac_measured"
    if not tests:
        return Metric(name, "currency", None, "no lift test has measured it within a year; see docs/how-to/experiments.md")
    codes = {row["currency_code"] for row in tests}
    if len(codes) > 1:
        return Metric(name, "currency", None, f"lift tests in {', '.join(sorted(codes))} have no sum", window=window)
    spend, gain = sum(row["delta_x"] for row in tests), sum(row["delta_y"] for row in tests)
    half = Z90 * math.sqrt(sum(row["sigma"] ** 2 for row in tests))
    names, currency = ", ".join(row["experiment_id"] for row in tests), codes.pop()
    about = f"{format_micros(round(spend * MICROS), currency)} a week more in {names}"
    if gain <= 0 or spend <= 0:
        return Metric(name, "currency", None, f"{about} brought {gain:+,.1f} customers: no cost of one more", window=window)
    return Metric(
        name,
        "currency",
        spend / gain,
        f"{about} brought {gain:,.1f} customers a week, ± {half:,.1f}",
        spend / (gain + half),
        spend / (gain - half) if gain > half else None,
        spend,
        gain,
        len(tests),
        currency,
        window,
    )


def _without(mix: Mix, live: Row | None) -> str | None:
    """Why the model can say nothing of the present mix, or None."""
    if mix.problem is not None:
        return mix.problem
    if live is None:
        return "no marketing-mix run of new customers has passed its review; run fit-mmm and review-mmm"
    if mix.currency != live["currency_code"]:
        return f"spend is in {mix.currency}, run {live['run_id']} counts in {live['currency_code']}"
    return None
