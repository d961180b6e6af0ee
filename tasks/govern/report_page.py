"""The report's words, tables and pictures, put into one HTML page."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
from markupsafe import Markup

from tasks.core.money import MICROS, format_micros
from tasks.govern import report_charts as charts
from tasks.govern.report_data import Model, Report

_OUTCOMES = {"new_customers": "new customers", "revenue": "revenue"}
_PERIODS = {1: "day", 7: "week"}


def render(report: Report) -> str:
    """The whole page as text. No script, no address of anywhere: it can be mailed."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"amount": _amount, "signed": _signed, "pct": _pct, "when": _when}
    model = report.model
    currency = _currency(report)
    return environment.get_template("report.html.j2").render(
        report=report,
        currency=currency,
        model=model,
        outcome=_OUTCOMES[model.run["target"]] if model else "new customers",
        period=_PERIODS.get(model.run["period_days"], "period") if model else "week",
        verdict=_verdict(model),
        totals=_totals(report),
        story=_story(report),
        curves=_curves(report, currency),
        fit=Markup(charts.fit(model.fit, outcome=_OUTCOMES[model.run["target"]])) if model and model.fit.height else None,  # noqa: S704 - our own SVG
        bars=_bars(report, currency),
        cac=_cac(report, currency),
        realised=_realised(report),
    )


def _amount(micros: int | None, currency: str) -> str:
    return "–" if micros is None else format_micros(round(micros / 10_000) * 10_000, currency)


def _signed(value: float, digits: int = 1) -> str:
    return f"{value:+,.{digits}f}".replace("-", "−")


def _pct(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value * 100:.{digits}f} %"


def _when(value: datetime | date | None) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M UTC")
    return "–" if value is None else value.isoformat()


def _currency(report: Report) -> str:
    if report.proposals.height:
        return str(report.proposals["currency_code"][0])
    return str(report.model.run["currency_code"]) if report.model else ""


def _verdict(model: Model | None) -> Mapping[str, Any] | None:
    if model is None:
        return None
    rows = model.reviews.filter(pl.col("check") == "verdict")
    return rows.row(0, named=True) if rows.height else None


def _totals(report: Report) -> dict[str, Any]:
    """Sums over the proposals; intervals add as if the steps moved together, which is the wider reading."""
    p = report.proposals
    return {
        "count": p.height,
        "before": int(p["amount_before_micros"].sum()),
        "after": int(p["amount_after_micros"].sum()),
        "moved": int((p["amount_after_micros"] - p["amount_before_micros"]).abs().sum()),
        "mean": float(p["expected_new_customers_mean"].sum()),
        "p05": float(p["expected_new_customers_p05"].sum()),
        "p95": float(p["expected_new_customers_p95"].sum()),
    }


def _state(report: Report) -> str:
    set_events = [row.event for row in report.ledger if not row.change_id]
    return set_events[-1] if set_events else "proposed"


def _story(report: Report) -> str:
    """One paragraph that a marketing lead can forward."""
    if report.change_set is None:
        held = report.decisions.height
        if not held:
            return "No budget plan has been made yet; this page shows the model."
        return f"The plan of {report.decisions['run_date'][0]} leaves all {held} budgets as they are; the reasons are below."
    totals, chosen = _totals(report), report.change_set
    ups = report.proposals.filter(pl.col("amount_after_micros") > pl.col("amount_before_micros"))
    names = ", ".join(sorted(set(ups["channel"]))) or "no channel"
    text = (
        f"The plan of {chosen['run_date']} changes {totals['count']} daily budgets by "
        f"{_amount(totals['moved'], _currency(report))} in all, towards {names}. "
        f"Expected: {_signed(totals['mean'])} new customers per week "
        f"(90 % interval {_signed(totals['p05'])} to {_signed(totals['p95'])})."
    )
    if chosen["mode"] == "shadow":
        return text + " It was made in shadow mode: nothing was changed."
    if chosen["decision"] is None:
        return text + " Nobody has decided on it yet."
    if chosen["decision"] != "approved":
        return text + f" It was {chosen['decision']}; nothing was changed."
    return text + f" {chosen['approver']} approved it on {_when(chosen['decided_at'])}; it now stands as: {_state(report)}."


def _mark(curve: pl.DataFrame, label: str, spend_micros: float) -> dict[str, Any]:
    """A point on the curve, linear between its grid points."""
    grid, mean = curve["spend_micros"].to_list(), curve["outcome_mean"].to_list()
    spend = min(max(spend_micros, grid[0]), grid[-1])
    right = next(i for i, value in enumerate(grid) if value >= spend)
    left = max(right - 1, 0)
    share = 0.0 if grid[right] == grid[left] else (spend - grid[left]) / (grid[right] - grid[left])
    return {"label": label, "spend": spend / MICROS, "outcome": mean[left] + share * (mean[right] - mean[left])}


def _proposed(report: Report, model: Model, row: Mapping[str, Any]) -> float | None:
    """Spend per period of a channel after the proposed daily steps; None if the plan leaves the channel alone."""
    steps = report.proposals.filter(pl.col("channel") == row["channel"])
    if steps.is_empty():
        return None
    step = int((steps["amount_after_micros"] - steps["amount_before_micros"]).sum())
    return float(row["current_spend_micros"] + step * model.run["period_days"])


def _curves(report: Report, currency: str) -> list[dict[str, Any]]:
    model = report.model
    if model is None:
        return []
    draw = partial(
        charts.response_curve,
        currency=currency,
        outcome=_OUTCOMES[model.run["target"]],
        period=_PERIODS.get(model.run["period_days"], "period"),
    )
    pictures = []
    for row in model.allocations.iter_rows(named=True):
        curve = model.curves.filter(pl.col("channel") == row["channel"])
        if curve.is_empty():
            continue
        marks = [_mark(curve, "current", row["current_spend_micros"]), _mark(curve, "optimal", row["optimal_spend_micros"])]
        proposed = _proposed(report, model, row)
        if proposed is not None:
            marks.append(_mark(curve, "proposed", proposed))
        pictures.append({"row": row, "svg": Markup(draw(curve, marks))})  # noqa: S704 - our own SVG
    return pictures


def _bars(report: Report, currency: str) -> Markup | None:
    model = report.model
    if model is None or model.allocations.is_empty():
        return None
    rows = []
    for row in model.allocations.iter_rows(named=True):
        proposed = _proposed(report, model, row)
        spends = {
            "current": row["current_spend_micros"],
            "proposed": row["current_spend_micros"] if proposed is None else proposed,
            "optimal": row["optimal_spend_micros"],
        }
        rows += [{"channel": row["channel"], "kind": kind, "spend": spend / MICROS} for kind, spend in spends.items()]
    period = _PERIODS.get(model.run["period_days"], "period")
    return Markup(charts.spend_bars(rows, currency=currency, period=period))  # noqa: S704 - our own SVG


def _applied_at(report: Report) -> datetime | None:
    return next((row.at for row in report.ledger if row.event == "applied"), None)


def _cac(report: Report, currency: str) -> Markup | None:
    if report.source != "platforms" or report.daily.height < 7:
        return None
    applied = _applied_at(report)
    target = report.proposals["target_cac_micros"][0] / MICROS if report.proposals.height else None
    svg = charts.daily_cac(report.daily, currency=currency, applied=applied.date() if applied else None, target=target)
    return Markup(svg)  # noqa: S704 - our own SVG


def _realised(report: Report) -> dict[str, Any] | None:
    """New customers and CAC on the days since the change against the four weeks before, beside what was predicted."""
    applied = _applied_at(report)
    if applied is None:
        return None
    days = [(row["date"], float(row["new_customers"] or 0), row["cost_micros"]) for row in report.daily.iter_rows(named=True)]
    after = [day for day in days if day[0] >= applied.date()]
    before = [day for day in days if day[0] < applied.date()][-28:]
    if not after or len(before) < 2:
        return None
    usual = [customers for _, customers, _ in before]
    return {
        "days": len(after),
        "usual": statistics.mean(usual) * len(after),
        "usual_sd": statistics.stdev(usual) * len(after) ** 0.5,
        "predicted": _totals(report)["mean"] / 7 * len(after),
        "realised": sum(customers for _, customers, _ in after),
        "cac_before": _cac_micros(before),
        "cac_after": _cac_micros(after),
    }


def _cac_micros(days: Sequence[tuple[date, float, int]]) -> int | None:
    customers = sum(day[1] for day in days)
    return round(sum(day[2] for day in days) / customers) if customers else None
