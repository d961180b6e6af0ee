"""The report's tables and pictures, put into one HTML page."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
from markupsafe import Markup

from tasks.core.log import redact
from tasks.core.money import MICROS
from tasks.govern import report_ads as ads
from tasks.govern import report_arm_charts as arm_charts
from tasks.govern import report_arms as arms
from tasks.govern import report_charts as charts
from tasks.govern import report_facts as facts
from tasks.govern import report_flow
from tasks.govern import report_journey_charts as journey_charts
from tasks.govern import report_journeys as journeys
from tasks.govern import report_metrics as success
from tasks.govern import report_others as others
from tasks.govern import report_readiness as readiness
from tasks.govern import report_story as story
from tasks.govern import report_trust as trust
from tasks.govern import report_words as words
from tasks.govern.report_data import Model, Plan, Report

_FEWEST_DAYS = 7


def render(report: Report) -> str:
    """The whole page as text. No script, no address of anywhere: it can be mailed."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    environment.filters |= {name: word for name, word in vars(words).items() if inspect.isfunction(word)}
    model, plan = report.model, report.plan
    realised = facts.realised(report)
    channels = facts.channels(model, plan) if model else []
    return environment.get_template("report.html.j2").render(
        report=report,
        words=words,
        model=model,
        plan=plan,
        currency=report.currency,
        outcome=words.OUTCOMES[report.target],
        period=_period(model),
        headline=story.headline(report),
        status=story.status(report),
        answers=story.answers(report, realised),
        totals=facts.totals(plan) if plan else None,
        reasons=_reasons(plan),
        realised=realised,
        watched=_watched(plan),
        channels=channels,
        curves=_curves(report, model, channels) if model else [],
        bars=_bars(report, channels),
        fit=charts.fit(model.fit, outcome=_unit(report)) if model and model.fit.height else None,
        cac=_cac(report),
        came=_came(report),
        trust=_trust(report),
        metrics={} if report.is_advice else success.facts(report.metrics),
        ready=_ready(report),
        arms=_arms(report),
        ads=_ads(report),
        others=_others(report),
    )


def _clean(value: Any) -> Any:
    """Every text that goes into the page: what looks like a token, an address or a phone number stays out (M14)."""
    return redact(value) if type(value) is str else value  # not our own Markup, where digits of a path look like numbers


def _period(model: Model | None) -> str:
    return words.PERIODS.get(model.run["period_days"], "period") if model else "week"


def _unit(report: Report) -> str:
    """What the y axes count."""
    return "new customers" if report.target == "new_customers" else f"revenue, {report.currency}"


def _reasons(plan: Plan | None) -> list[tuple[str, str]]:
    """(channel, why) of the proposals; budgets of a channel mostly share their reason, which is told once."""
    if plan is None:
        return []
    pairs = ((row["channel"], row["reason"]) for row in plan.proposals.iter_rows(named=True))
    return list(dict.fromkeys(pairs))


def _watched(plan: Plan | None) -> dict[str, Any] | None:
    """The verdict of each day of the watch, and the guardrails of the newest day."""
    if plan is None or plan.watch.is_empty():
        return None
    newest = plan.watch["run_date"].max()
    order = pl.col("result").replace_strict({"roll_back": 0, "keep_watching": 1, "promote": 2}, return_dtype=pl.Int8)
    verdicts = plan.watch.filter(pl.col("guardrail") == "verdict")
    rest = plan.watch.filter((pl.col("guardrail") != "verdict") & (pl.col("run_date") == newest)).sort(order, "guardrail")
    return {"verdicts": verdicts.to_dicts(), "newest": newest, "guardrails": rest.to_dicts()}


def _curves(report: Report, model: Model, channels: list[facts.Channel]) -> list[tuple[facts.Channel, Markup]]:
    pictures = []
    for channel in channels:
        curve = model.curves.filter(pl.col("channel") == channel.row["channel"])
        if curve.is_empty():
            continue
        spends = {"current": channel.current, "optimal": channel.optimal}
        if channel.is_moved:
            spends["proposed"] = channel.proposed
        picture = charts.response_curve(
            curve,
            [(kind, spend / MICROS, facts.outcome_at(curve, spend)) for kind, spend in spends.items()],
            name=words.channel_name(channel.row["channel"]),
            currency=report.currency,
            outcome=_unit(report),
            period=_period(model),
        )
        pictures.append((channel, picture))
    return pictures


def _bars(report: Report, channels: list[facts.Channel]) -> Markup | None:
    rows = [
        (words.channel_name(c.row["channel"]), kind, spend / MICROS)
        for c in channels
        for kind, spend in (("current", c.current), ("proposed", c.proposed), ("optimal", c.optimal))
        if report.plan or kind != "proposed"
    ]
    return charts.spend_bars(rows, currency=report.currency, period=_period(report.model)) if rows else None


def _cac(report: Report) -> Markup | None:
    """Blended CAC by day, with the target and with the limit of the watch."""
    plan = report.plan
    known = report.daily.drop_nulls("new_customers")
    if report.is_advice or known.height < _FEWEST_DAYS or not facts.has_one_currency(report):
        return None
    lines: list[tuple[str, float]] = []
    if plan and plan.proposals.height:
        lines.append(("target", plan.proposals["target_cac_micros"][0] / MICROS))
        limits = plan.watch.filter(pl.col("guardrail") == "blended_cac")["threshold"].drop_nulls()
        lines += [("limit of the watch", float(limits[-1]))] if limits.len() else []
    return charts.daily_cac(
        known,
        currency=report.currency,
        changed=facts.business_day(plan.applied_at, known) if plan and plan.applied_at else None,
        undone=facts.business_day(plan.ended_at, known) if plan and plan.ended_at else None,
        lines=lines,
    )


def _came(report: Report) -> dict[str, Any]:
    """Facts and pictures of who came because of the ads; a sheet has no website of its own, so nothing for an import."""
    if report.is_advice:
        return {}
    found: dict[str, Any] = {}
    if shares := journeys.shares(report.journeys):
        found["shares"] = shares
        found["all_picture"] = journey_charts.shares(shares.of_all, of_what="all conversions")
        if shares.of_paid.height:
            found["paid_picture"] = journey_charts.shares(shares.of_paid, of_what="what the paid channels bring")
    if ways := journeys.ways(report.journeys):
        found["ways"] = ways
        found["ways_picture"] = report_flow.picture(ways.ways, "First touches of the most frequent journeys and how they end")
    if curves := journeys.maturity(report.journeys):
        found["maturity"] = list(zip(journey_charts.CURVE_MOODS, curves, strict=False))  # there may be fewer than colours
        found["maturity_picture"] = journey_charts.maturity([curve.rows for curve in curves])
    if trials := journeys.uplift(report.journeys):
        found["uplift"] = [(trial, journey_charts.qini(trial.rows, name=trial.experiment_id)) for trial in trials]
    return found


def _trust(report: Report) -> dict[str, Any]:
    """Verdicts on data and predictions of the day; an import has neither."""
    if report.is_advice:
        return {}
    found: dict[str, Any] = {}
    if drift := trust.drift(report.trust):
        found["drift"] = drift
    evaluated = trust.fidelity(report.trust)
    if found or evaluated:
        found["fidelity"] = evaluated
    weeks = trust.predicted(report.trust, report.target)
    if weeks.height:
        found["picture"] = charts.fit(weeks, outcome=_unit(report))
    return found


def _ready(report: Report) -> dict[str, Any]:
    """The card of each account, of many the first ones; a sheet is not changed, so it needs no verdict."""
    if report.is_advice:
        return {}
    cards = readiness.cards(report.readiness, report.run_date, report.account)
    rest = cards[readiness.MOST_ACCOUNTS :]
    ready = sum(card.state == "ready" for card in rest)
    return {"cards": cards[: readiness.MOST_ACCOUNTS], "more": len(rest), "more_ready": ready} if cards else {}


def _arms(report: Report) -> dict[str, Any]:
    """Facts and pictures of the arms, and the exploration accounts."""
    if report.is_advice:
        return {}
    found: dict[str, Any] = {"target": float(report.policy.exploration_pct) / 100 if report.policy else None}
    if shown := arms.shown(report.bandits, report.account):
        found["shown"] = shown
        found["groups"] = [(group, arm_charts.cost_intervals(group)) for group in shown.groups]
    if explored := arms.exploration(report.bandits, report.run_date, report.account):
        found["explored"] = explored
    return found


def _ads(report: Report) -> dict[str, Any]:
    """The newest set of ads of each account, the others, and what the newest plans left alone."""
    if report.is_advice:
        return {}
    shown, rest = ads.shown(report.ads, report.account)
    held = ads.held(report.ads, report.account)
    return {"sets": shown, "rest": rest, "held": held} if shown or held else {}


def _others(report: Report) -> list[others.Found]:
    """Changes by others, account by account."""
    currencies = {(row["platform"], row["account_id"]): row["currency_code"] for row in report.readiness.accounts.to_dicts()}
    return [] if report.is_advice else others.found(report.others, currencies, report.account)
