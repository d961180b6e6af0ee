"""The guardrails of a canary as pure functions of daily numbers.

Blended CAC is spend over new customers of the whole business. Days are noisy, so a breach is a statement with a confidence: the
one-sided lower bound of the CAC ratio (watch over baseline) lies above 1 + tolerance. New customers given spend are taken as
over-dispersed counts; the dispersion is Pearson's, estimated on the baseline (McCullagh and Nelder, Generalized Linear Models,
2nd ed. 1989, §4.5.2 and §6.2.3), and Var(log N) ≈ dispersion / N by the delta method.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from statistics import NormalDist
from typing import Literal

from tasks.core.errors import JobError
from tasks.core.money import MICROS

Result = Literal["keep_watching", "promote", "roll_back"]
# Google charges up to twice the average daily budget on one day (Google Ads Help, "About spending limits").
OVERDELIVERY = 2


@dataclass(frozen=True)
class Day:
    """A complete day of the business: spend in micros, new customers."""

    spend_micros: int
    new_customers: float


@dataclass(frozen=True)
class Guardrail:
    """What was measured, against which limit, what it asks for, and the numbers in words."""

    name: str
    value: float | None
    threshold: float | None
    result: Result
    detail: str


def dispersion(days: Sequence[Day]) -> float:
    """Pearson dispersion of new customers given spend, at least 1 (Poisson)."""
    spend, customers = sum(d.spend_micros for d in days), sum(d.new_customers for d in days)
    expected = [d.spend_micros * customers / spend for d in days]
    terms = [(d.new_customers - e) ** 2 / e for d, e in zip(days, expected, strict=True) if e > 0]
    return max(1.0, sum(terms) / (len(terms) - 1)) if len(terms) > 1 else 1.0


def blended_cac(baseline: Sequence[Day], watch: Sequence[Day], *, tolerance_pct: float, confidence: float) -> Guardrail:
    """Whether CAC rose by more than ``tolerance_pct`` with ``confidence``. JobError if the baseline cannot be measured.

    No new customer at all in the watch counts as half a customer: the bound stays finite and a silent business is a breach.
    """
    name = "blended_cac"
    spend_0, customers_0 = sum(d.spend_micros for d in baseline), sum(d.new_customers for d in baseline)
    if spend_0 <= 0 or customers_0 <= 0:
        raise JobError(
            f"{name}: the {len(baseline)} baseline days hold {spend_0} micros of spend and {customers_0:g} new customers"
        )
    base = spend_0 / customers_0 / MICROS
    limit = base * (1 + tolerance_pct / 100)
    spend = sum(d.spend_micros for d in watch)
    if spend <= 0:
        return Guardrail(name, None, limit, "keep_watching", f"no spend in {len(watch)} days of watch; baseline CAC {base:.2f}")
    customers = max(sum(d.new_customers for d in watch), 0.5)
    cac = spend / customers / MICROS
    phi = dispersion(baseline)
    error = math.sqrt(phi / customers + phi / customers_0)
    lowest = cac * math.exp(-NormalDist().inv_cdf(confidence) * error)
    numbers = (
        f"CAC {cac:.2f} over {len(watch)} days ({customers:g} new customers), at least {lowest:.2f} with {100 * confidence:g} % "
        f"confidence; baseline {base:.2f} over {len(baseline)} days; limit {limit:.2f}"
    )
    return Guardrail(name, lowest, limit, "roll_back" if lowest > limit else "promote", numbers)


def budget_spend(budget_id: str, amount_micros: int, daily_spend_micros: Sequence[int]) -> Guardrail:
    """No day may cost more than the platform may charge for the budget.

    ``amount_micros`` is the larger of the amounts before and after the change: on its day the earlier one held for some hours.
    """
    highest, limit = max(daily_spend_micros, default=0), OVERDELIVERY * amount_micros
    detail = f"highest day {highest / MICROS:.2f}, budget {amount_micros / MICROS:.2f}, at most {OVERDELIVERY} times that"
    result: Result = "roll_back" if highest > limit else "promote"
    return Guardrail(f"spend:{budget_id}", highest / MICROS, limit / MICROS, result, detail)


def longest_silence(spent: Sequence[date], start: date, end: date) -> int:
    """Longest run of days without spend in ``start`` ≤ day < ``end``; ``spent`` are the days with some."""
    edges = [start - timedelta(days=1), *sorted(spent), end]
    return max((later - earlier).days - 1 for earlier, later in pairwise(edges))


def delivery(budget_id: str, watch_micros: Sequence[int], days: int, silence: int | None) -> Guardrail:
    """A budget that spent before the change must spend after it, within the longest ``silence`` it had before.

    A campaign that rests at week-ends is silent for two days and well. ``silence`` is None if it did not spend before either.
    """
    after = sum(watch_micros)
    is_silent = silence is not None and after == 0 and days > 0
    result: Result = "promote" if not is_silent else "keep_watching" if days <= (silence or 0) else "roll_back"
    before = "nothing in the baseline" if silence is None else f"at most {silence} silent days in a row in the baseline"
    detail = f"{after / MICROS:.2f} spent in {days} days of watch, {before}"
    return Guardrail(f"delivery:{budget_id}", after / MICROS, 0.0, result, detail)


def verdict(guardrails: Sequence[Guardrail], days_seen: int, watch_days: int) -> Guardrail:
    """One breach rolls back; promotion needs every guardrail and the full watch."""
    bad = [g.name for g in guardrails if g.result == "roll_back"]
    waiting = [g.name for g in guardrails if g.result == "keep_watching"]
    result: Result = "promote"
    why = f"all {len(guardrails)} guardrails hold after {days_seen} of {watch_days} days"
    if bad:
        result, why = "roll_back", f"breached: {', '.join(bad)}"
    elif waiting:
        result, why = "keep_watching", f"not clear yet: {', '.join(waiting)}"
    elif days_seen < watch_days:
        result, why = "keep_watching", f"{days_seen} of {watch_days} days seen, all guardrails hold so far"
    return Guardrail("verdict", float(days_seen), float(watch_days), result, why)
