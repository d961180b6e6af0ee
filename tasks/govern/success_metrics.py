"""Success metrics of the business and of the bandits. Pure functions of rows; what cannot be known says why instead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tasks.core.currencies import REMEDY
from tasks.core.money import MICROS, format_micros

ALL = "all"
Z90 = 1.6448536269514722  # half the width of a 90 % interval in standard errors
CAC_DAYS = 28  # whole weeks, and what plan-budgets holds the blended CAC over
FRESH_DAYS = 7  # the business may count a week late; what is older says nothing of today
FEWEST_DAYS = 8  # fewer days give no standard error worth showing
Row = Mapping[str, Any]
Window = tuple[date | None, date | None]


@dataclass(frozen=True)
class Metric:
    """One metric of one account (or of `all`); ``value`` is None where it cannot be known, and ``detail`` says why."""

    name: str
    unit: str
    value: float | None
    detail: str
    low: float | None = None
    high: float | None = None
    numerator: float | None = None
    denominator: float | None = None
    observations: int | None = None
    currency: str | None = None
    window: Window = (None, None)


def proportion(name: str, hits: int, of: int, detail: str, window: Window = (None, None)) -> Metric:
    """``hits`` of ``of`` > 0 with its Wilson (1927) 90 % interval, which is honest for few trials too."""
    share, z2 = hits / of, Z90**2
    middle, half = (share + z2 / (2 * of)), Z90 * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2))
    low, high = ((middle + sign * half) / (1 + z2 / of) for sign in (-1, 1))
    return Metric(name, "ratio", share, detail, max(low, 0.0), min(high, 1.0), float(hits), float(of), of, window=window)


@dataclass(frozen=True)
class Business:
    """The last four weeks of the business: ``problem`` says why they cannot be summed, else spend and customers are there."""

    end: date | None
    problem: str | None
    spend_micros: int = 0
    customers: float = 0.0
    currency: str | None = None

    @property
    def window(self) -> Window:
        """First and last day."""
        return (None, None) if self.end is None else (self.end - timedelta(days=CAC_DAYS - 1), self.end)


def business_of(daily: Sequence[Row], run_date: date) -> Business:
    """The four weeks that end with the newest day whose spend and new customers are known.

    ``daily``: rows of control/fidelity_daily, one a day with spend. A missing day is no zero.
    """
    known = {row["date"]: row for row in daily if row["new_customers"] is not None}
    end = max(known, default=None)
    if end is None:
        return Business(None, "no day has both spend and new customers; run ingest-ads and ingest-outcomes")
    if (run_date - end).days > FRESH_DAYS:
        return Business(end, f"spend and new customers are known until {end} only; run ingest-ads and ingest-outcomes")
    days = [end - timedelta(days=back) for back in range(CAC_DAYS - 1, -1, -1)]
    missing = [day for day in days if day not in known]
    if missing:
        some = ", ".join(map(str, missing[:3]))
        return Business(end, f"{len(missing)} of the {CAC_DAYS} days up to {end} lack spend or new customers: {some}; load them")
    rows = [known[day] for day in days]
    codes = {row["currency_code"] for row in rows}
    currency = codes.pop() if len(codes) == 1 and all(row["currencies"] == 1 for row in rows) else None
    return Business(
        end, None, sum(row["cost_micros"] for row in rows), float(sum(row["new_customers"] for row in rows)), currency
    )


def of_business(found: Business) -> list[Metric]:
    """New customers and blended CAC of four weeks, by what the business counted."""
    if found.problem is not None:
        return [
            Metric(name, unit, None, found.problem, window=found.window)
            for name, unit in (("new_customers", "customers"), ("blended_cac", "currency"))
        ]
    customers = Metric(
        "new_customers",
        "customers",
        found.customers,
        f"{found.customers:,.0f} new customers in {CAC_DAYS} days, as the business counted them",
        observations=CAC_DAYS,
        window=found.window,
    )
    return [customers, _blended_cac(found)]


def _blended_cac(found: Business) -> Metric:
    if found.currency is None:
        return Metric("blended_cac", "currency", None, f"spend in several currencies has no sum; {REMEDY}", window=found.window)
    if found.customers <= 0:
        text = f"no new customer in {CAC_DAYS} days, so there is nothing to divide spend by"
        return Metric("blended_cac", "currency", None, text, currency=found.currency, window=found.window)
    spend = found.spend_micros / MICROS
    return Metric(
        "blended_cac",
        "currency",
        spend / found.customers,
        f"{format_micros(found.spend_micros, found.currency)} over {found.customers:,.0f} new customers, whoever claims them",
        numerator=spend,
        denominator=found.customers,
        observations=CAC_DAYS,
        currency=found.currency,
        window=found.window,
    )


def hit_rate(row: Row | None) -> Metric:
    """Share of predicted periods whose outcome lay in the 90 % interval, by the newest evaluation; None if there is none."""
    name = "interval_hit_rate"
    if row is None:
        return Metric(
            name, "ratio", None, f"no prediction was held against what came in {FRESH_DAYS} days; run evaluate-fidelity"
        )
    window = (row["window_start_date"], row["window_end_date"])
    if row["periods"] == 0:
        return Metric(name, "ratio", None, f"no predicted period has a known outcome yet: {row['detail']}", window=window)
    what = "weeks" if row["basis"] == "model" else "change sets"
    text = f"{row['hits']} of {row['periods']} {what} came inside the predicted 90 % interval; evaluation of {row['run_date']}"
    if row["spend_micros"] and row["target"] == "new_customers" and row["predicted"] > 0 and row["realised"] > 0:
        came, told = (row["spend_micros"] / MICROS / row[of] for of in ("realised", "predicted"))
        text += f"; a customer cost {came:,.2f} {row['currency_code']}, predicted {told:,.2f}"
    if row["unknown_periods"]:
        text += f"; {row['unknown_periods']} more have no known outcome"
    return proportion(name, row["hits"], row["periods"], text, window)


def exploration_used(row: Row | None, target_pct: float, window: Window) -> Metric:
    """Share of the bandits' spend that explored, measured afterwards in spend; ``row`` of models/bandit_exploration."""
    name = "exploration_used"
    if row is None or not row["spend_micros"]:
        return Metric(name, "ratio", None, "no decision of a bandit with a choice has delivered yet", window=window)
    share = row["explore_spend_micros"] / row["spend_micros"]
    return Metric(
        name,
        "ratio",
        share,
        f"{share:.2%} of the spend of {row['decided_days']} decided days explored; the policy reserves {target_pct:g} %",
        numerator=row["explore_spend_micros"] / MICROS,
        denominator=row["spend_micros"] / MICROS,
        observations=row["decided_days"],
        window=window,
    )


def exploration_roi(days: Sequence[Row], window: Window) -> Metric:
    """Value that exploration brought over what it cost, less one; ``days`` of models/metrics_exploration of one account.

    What it taught is not in it. The interval is that of a ratio of sums over days (Cochran 1977, section 2.11).
    """
    name = "exploration_roi"
    codes = {row["currency_code"] for row in days}
    spend = sum(row["explore_spend_micros"] for row in days)
    if not spend:
        return Metric(name, "ratio", None, "no explored day is mature yet: conversions still arrive", window=window)
    if len(codes) > 1:
        return Metric(name, "ratio", None, "several currencies have no sum; look at models.bandit_rewards", window=window)
    revenue = sum(row["explore_revenue_micros"] for row in days)
    if not revenue and sum(row["explore_conversions"] for row in days) > 0:
        text = "the platform gives its conversions no value, so what exploration earned is not known"
        return Metric(name, "ratio", None, text, currency=next(iter(codes)), window=window)
    roas = revenue / spend
    half = None
    if len(days) >= FEWEST_DAYS:
        squares = sum((row["explore_revenue_micros"] - roas * row["explore_spend_micros"]) ** 2 for row in days)
        half = Z90 * math.sqrt(squares * len(days) / (len(days) - 1)) / spend
    other, earned = (sum(row[f"other_{what}_micros"] for row in days) for what in ("spend", "revenue"))
    text = f"1 of spend on exploration brought {roas:.2f} by the platform's count"
    text += f"; on the leaders of the same days {earned / other:.2f}" if other else ""
    return Metric(
        name,
        "ratio",
        roas - 1,
        text + "; what it taught is not counted",
        None if half is None else roas - 1 - half,
        None if half is None else roas - 1 + half,
        revenue / MICROS,
        spend / MICROS,
        len(days),
        next(iter(codes)),
        window,
    )
