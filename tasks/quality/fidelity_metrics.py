"""How far predictions were from what came. Pure.

A period is a pair of a predicted outcome with its 90 % interval and the outcome that came; costs are those that were really paid,
so CAC and ROAS differ between prediction and reality by the outcome alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import NormalDist
from typing import Literal

from tasks.quality.fidelity_config import JUDGED

Z90 = NormalDist().inv_cdf(0.95)
Result = Literal["pass", "fail", "blocked", "info"]
Kind = Literal["holdout", "one_step", "change_set"]


@dataclass(frozen=True)
class Period:
    """Spend and amounts in currency units. ``realised`` and ``revenue`` are None where unknown.

    ``value`` is the revenue a unit of outcome was worth in the weeks before: what turns predicted customers into predicted ROAS
    (1 where the outcome is revenue itself). ``planned_spend`` differs from ``spend`` for change sets only.
    """

    start: date
    days: int
    kind: Kind
    ref: str
    mean: float
    p05: float
    p95: float
    realised: float | None
    spend: float | None
    revenue: float | None
    value: float | None
    planned_spend: float | None = None

    @property
    def end(self) -> date:
        """Last day."""
        return self.start + timedelta(days=self.days - 1)

    @property
    def sd(self) -> float:
        """Standard deviation of the prediction if it is normal."""
        return (self.p95 - self.p05) / (2 * Z90)

    @property
    def predicted_cac(self) -> float | None:
        """Spend per predicted outcome."""
        spend = self.spend if self.planned_spend is None else self.planned_spend
        return spend / self.mean if spend is not None and self.mean > 0 else None

    @property
    def realised_cac(self) -> float | None:
        """Spend per outcome that came; None without any."""
        return self.spend / self.realised if self.spend is not None and self.realised else None

    @property
    def predicted_roas(self) -> float | None:
        """Predicted revenue per spend."""
        spend = self.spend if self.planned_spend is None else self.planned_spend
        return self.mean * self.value / spend if spend and self.value is not None else None

    @property
    def realised_roas(self) -> float | None:
        """Revenue that came per spend."""
        return self.revenue / self.spend if self.spend and self.revenue is not None else None


@dataclass(frozen=True)
class Metric:
    """One figure with its verdict."""

    name: str
    result: Result
    value: float | None
    threshold: float | None
    detail: str


def mape(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    """Mean of |predicted / realised − 1|; None where a pair is not whole or nothing came."""
    errors = [abs(p / r - 1) if p is not None and r else None for p, r in pairs]
    known = [error for error in errors if error is not None]
    return sum(known) / len(known) if known and len(known) == len(errors) else None


def rmse(periods: Sequence[Period]) -> float | None:
    """Root mean square of predicted less realised outcome; None where one is unknown."""
    if not periods or any(one.realised is None for one in periods):
        return None
    return math.sqrt(sum((one.mean - one.realised) ** 2 for one in periods if one.realised is not None) / len(periods))


def ks(periods: Sequence[Period]) -> float | None:
    """Largest gap between what came and the predictive distribution of the same periods (the mean of their normals).

    Unlike between two samples, the prediction brings its own uncertainty: a model that is right and says how unsure it is comes
    out near what chance makes of so few periods, and one that is biased or too sure of itself does not.
    """
    if not periods or any(one.realised is None for one in periods):
        return None
    came = sorted(float(one.realised) for one in periods if one.realised is not None)
    gap = 0.0
    for place, value in enumerate(came):
        predicted = sum(_below(one, value) for one in periods) / len(periods)
        gap = max(gap, abs((place + 1) / len(came) - predicted), abs(place / len(came) - predicted))
    return gap


def _below(period: Period, value: float) -> float:
    """Predicted chance of an outcome up to ``value``."""
    if period.sd <= 0:
        return float(value >= period.mean)
    return NormalDist(period.mean, period.sd).cdf(value)


def coverage(periods: Sequence[Period]) -> float | None:
    """Share of periods whose outcome lies in the 90 % interval; None where one is unknown."""
    if not periods or any(one.realised is None for one in periods):
        return None
    return sum(one.p05 <= one.realised <= one.p95 for one in periods if one.realised is not None) / len(periods)


def measure(periods: Sequence[Period], target: str) -> dict[str, float | None]:
    """Every metric of the periods; None where data is missing. Revenue has no cost per customer."""
    error = rmse(periods)
    came = [one.realised for one in periods if one.realised is not None]
    mean = sum(came) / len(came) if came else 0.0
    found: dict[str, float | None] = {
        "mape_roas": mape([(one.predicted_roas, one.realised_roas) for one in periods]),
        "rmse": error,
        "nrmse": error / mean if error is not None and mean > 0 else None,
        "ks": ks(periods),
        "coverage_90": coverage(periods),
    }
    if target == "new_customers":
        found["mape_cac"] = mape([(one.predicted_cac, one.realised_cac) for one in periods])
    return found


def judge(
    periods: Sequence[Period], target: str, limits: dict[str, float], *, least: int, errors_only_below: int = 0
) -> list[Metric]:
    """Metrics with their verdicts and the summary ``verdict``: blocked if anything is, else failed if anything is.

    Fewer than ``least`` periods block everything; below ``errors_only_below`` the distributions are shown, not judged.
    """
    if len(periods) < least:
        detail = f"{len(periods)} periods with a prediction and an outcome that is due, {least} are needed"
        return [Metric("verdict", "blocked", None, None, detail)]
    metrics = []
    for name, value in sorted(measure(periods, target).items()):
        limit = limits.get(name)
        shown_only = name not in JUDGED or (len(periods) < errors_only_below and name in ("ks", "coverage_90"))
        metrics.append(_metric(name, value, None if shown_only else limit, periods))
    worst = next((r for r in ("blocked", "fail") if any(one.result == r for one in metrics)), "pass")
    named = [one.name for one in metrics if one.result == worst]
    text = {
        "blocked": f"cannot be told: {', '.join(named)}; load what is missing",
        "fail": f"predictions are too far from what came: {', '.join(named)}",
        "pass": f"{len(periods)} periods within the limits",
    }[worst]
    return [*metrics, Metric("verdict", worst, None, None, text)]  # type: ignore[arg-type]  # one of the three results


def _metric(name: str, value: float | None, limit: float | None, periods: Sequence[Period]) -> Metric:
    if value is None:
        gaps = [one.start.isoformat() for one in periods if None in (one.realised, one.spend)]
        where = f" of {', '.join(gaps)}" if gaps else ""
        return Metric(name, "blocked", None, limit, f"{name}: spend, outcome or revenue{where} is missing")
    if limit is None:
        return Metric(name, "info", value, None, f"{name} {value:.4g} over {len(periods)} periods; not judged")
    good = value >= limit if name == "coverage_90" else value <= limit
    word = "at least" if name == "coverage_90" else "at most"
    return Metric(
        name, "pass" if good else "fail", value, limit, f"{name} {value:.3g} over {len(periods)} periods; {word} {limit:g}"
    )
