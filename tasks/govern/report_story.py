"""The top of the report: a headline and plain answers to what was proposed, why, by whom approved, applied, working, to trust."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from tasks.core.money import MICROS
from tasks.govern import report_words as words
from tasks.govern.report_data import Model, Plan, Record, Report
from tasks.govern.report_facts import Realised, Totals, totals

# Beyond this gap between spend and planned spend, the comparison says more about other causes than about the plan.
_SPEND_GAP = 0.05
_NOT_APPLIED = {"proposed", "approved", "snapshot", "validated", "rejected", "expired"}


@dataclass(frozen=True)
class Answer:
    """A question, the answer in a word or two, the sentence behind it. ``mood``: good, wait, warn or bad."""

    question: str
    short: str
    text: str
    mood: str


def headline(report: Report) -> str:
    """The page in one line."""
    if report.plan is None:
        if report.decisions.height:
            return f"No budget change on {words.day(report.decisions['run_date'][0])}"
        if report.model is None:
            return "No model and no budget plan yet"
        is_failed = report.model.verdict == "FAIL"
        return "The model failed its review, so there is no plan" if is_failed else "A model, but no budget plan yet"
    sums = totals(report.plan)
    moved = sums.ups or sums.downs
    names = words.listed(words.channel_name(channel) for channel in moved)
    size, verb = (sums.up, "more for") if sums.ups else (sums.down, "less for")
    return f"{words.about(size, report.currency)} a day {verb} {names}: {status(report)[0]}"


def status(report: Report) -> tuple[str, str]:
    """Where the plan stands, in words, and its mood."""
    plan = report.plan
    if plan is None:
        return "no change", "wait"
    if report.is_advice:
        return "advice only", "wait"
    if plan.change_set["mode"] == "shadow":
        return "proposed only", "wait"
    if plan.state == "proposed" and plan.change_set["expires_at"].date() < report.run_date:
        return words.STATES["expired"]
    return words.STATES.get(plan.state, (plan.state.replace("_", " "), "warn"))


def answers(report: Report, realised: Realised | None) -> list[Answer]:
    """What a reader wants to know in the first five seconds, in that order."""
    found = [_what(report), _why(report)]
    if report.plan is not None:
        found += [_approved(report, report.plan), _applied(report, report.plan)]
        if not report.is_advice and report.plan.state not in _NOT_APPLIED:
            found.append(_working(report, report.plan, realised))
    found.append(_trust(report.model))
    return found


def _parts(moves: dict[str, int], currency: str) -> str:
    if len(moves) == 1:
        return words.channel_name(next(iter(moves)))
    return words.listed(f"{words.channel_name(channel)} ({words.about(micros, currency)})" for channel, micros in moves.items())


def _what(report: Report) -> Answer:
    question = "What was proposed?"
    if report.plan is None:
        if report.decisions.is_empty():
            what = "the model" if report.model else "what is known of the ads"
            return Answer(question, "Nothing yet", f"No budget plan has been made so far; this page shows {what}.", "wait")
        count = words.plural(report.decisions.height, "channel" if report.is_advice else "budget")
        day = words.day(report.decisions["run_date"][0])
        return Answer(question, "No change", f"The plan of {day} leaves all {count} as they are.", "wait")
    sums, currency = totals(report.plan), report.currency
    text = []
    if sums.downs:
        text.append(f"take {words.about(sums.down, currency)} a day from {_parts(sums.downs, currency)}")
    if sums.ups:
        text.append(f"give {words.about(sums.up, currency)} a day to {_parts(sums.ups, currency)}")
    sentence = " and ".join(text)
    what = "channel" if report.is_advice else "daily budget"
    count = words.plural(report.plan.proposals.height, what)
    step = f"{count}, none by more than {words.percent(sums.largest_step, 1)}." if sums.largest_step else f"{count}."
    return Answer(question, count.replace("daily ", ""), f"{sentence[:1].upper()}{sentence[1:]}: {step}", "good")


def _why(report: Report) -> Answer:
    if report.plan is None:
        return _why_nothing(report)
    sums, currency = totals(report.plan), report.currency
    gain = words.outcome_change(sums.mean, report.target, currency)
    digits = 1 if report.target == "new_customers" else 0
    text = f"{_costs(report.plan, sums, report)} Expected from the whole plan: {gain} a week"
    if sums.p05 is None or sums.p95 is None:
        return Answer("Why?", f"{gain} a week", f"{text}.", "warn")
    text += f" (90 % interval {words.signed(sums.p05, digits)} to {words.signed(sums.p95, digits)})."
    return Answer("Why?", f"{gain} a week", text, "good" if sums.p05 > 0 else "warn")


def _costs(plan: Plan, sums: Totals, report: Report) -> str:
    """What the next customer would cost after the step, where money goes and where it comes from; the plan's own medians."""
    cost = dict(plan.proposals.group_by("channel").agg(pl.col("marginal_cac_p50_micros").max()).iter_rows())
    currency = report.currency
    nxt = {"new_customers": "the next new customer", "revenue": f"the next {currency} of revenue"}[report.target]

    def said(channel: str) -> str:
        name = words.channel_name(channel)
        if cost[channel] is None:
            return f"no amount in {name}, which is full"
        return f"about {words.about(cost[channel], currency)} in {name}"

    up, down = words.listed(said(c) for c in sums.ups), words.listed(said(c) for c in sums.downs)
    target = words.about(plan.proposals["target_cac_micros"][0], currency)
    return f"After this step {nxt} would cost {', but '.join(filter(None, [up, down]))}; the target is {target}."


def _why_nothing(report: Report) -> Answer:
    if report.decisions.is_empty():
        return Answer("Why?", "No plan", "A plan needs a model that has passed its review; then plan-budgets makes one.", "wait")
    counts = report.decisions["constraint"].value_counts(sort=True).sort("count", "constraint", descending=[True, False])
    parts = [f"{words.constraint(row['constraint'])} ({row['count']})" for row in counts.iter_rows(named=True)]
    return Answer("Why?", "Held back", f"What held them back, and how many: {'; '.join(parts)}.", "wait")


def _approved(report: Report, plan: Plan) -> Answer:
    question, chosen = "Who approved it?", plan.change_set
    if report.is_advice:
        return Answer(
            question, "Not needed", "These are brought numbers: the plan is advice, and nothing can be applied.", "wait"
        )
    if chosen["mode"] == "shadow":
        return Answer(question, "Nobody was asked", "In shadow mode proposals are only written down.", "wait")
    if chosen["decision"] is None:
        until = words.when(chosen["expires_at"])
        if chosen["expires_at"].date() < report.run_date:
            return Answer(question, "Nobody", f"Nobody answered until {until}; unanswered means no.", "wait")
        return Answer(question, "Nobody yet", f"It waits for a person until {until}; unanswered means no.", "warn")
    who, at = words.person(chosen["approver"]), words.when(chosen["decided_at"])
    if chosen["decision"] == "approved":
        return Answer(question, who, f"{who} approved exactly these changes on {at}.", "good")
    if chosen["decision"] == "rejected":
        return Answer(question, "Rejected", f"{who} said no on {at}.", "wait")
    return Answer(question, "Nobody", f"Nobody answered in time; it expired on {at}.", "wait")


def _applied(report: Report, plan: Plan) -> Answer:
    question, rows = "Was it applied?", plan.proposals.height
    short, mood = status(report)
    if report.is_advice or plan.change_set["mode"] == "shadow" or plan.state in ("proposed", "rejected", "expired"):
        return Answer(question, "No", "Nothing was changed in the ad account.", "wait")
    if plan.applied_at is None:
        text = "Nothing was changed in the ad account" + (" so far." if plan.state in _NOT_APPLIED else ".")
        return Answer(question, "Not yet" if plan.state in _NOT_APPLIED else "No", f"{text} It stands as: {short}.", mood)
    text = f"{plan.applied_budgets} of {words.plural(rows, 'budget')} changed on {words.when(plan.applied_at)} and read back."
    event = next(row for row in reversed(plan.history.rows) if not row.change_id)
    if plan.state == "rolled_back":
        return Answer(
            question, "Undone", f"{text} Rolled back on {words.when(event.at)}: the earlier amounts are in force.", "bad"
        )
    if plan.state == "promoted":
        return Answer(question, "Yes, and kept", f"{text} Kept for good on {words.when(event.at)}.", "good")
    if plan.state in ("applied", "verified"):
        return Answer(question, "Yes", f"{text} It is being watched and undone if a safety check fails.", "good")
    return Answer(question, "Stopped", f"{text} Since {words.when(event.at)}: {short}.", "bad")


def _working(report: Report, plan: Plan, realised: Realised | None) -> Answer:
    question = "Is it working?"
    newest = plan.watch.filter(pl.col("guardrail") == "verdict").tail(1)
    if newest.is_empty():
        return Answer(question, "Too early", "No day has been watched yet.", "wait")
    verdict: Record = newest.row(0, named=True)
    words_of, mood = words.WATCH_RESULTS[verdict["result"]]
    failed = plan.watch.filter(
        (pl.col("run_date") == verdict["run_date"]) & (pl.col("result") == "roll_back") & (pl.col("guardrail") != "verdict")
    )
    if verdict["result"] == "roll_back":
        names = words.listed(words.guardrail(name) for name in failed["guardrail"]) or "an earlier day"
        return Answer(question, "No", f"Breached: {names}. {_realised_sentence(report, realised)}".strip(), "bad")
    seen, wanted = int(verdict["value"] or 0), int(verdict["threshold"] or 0)
    held = f"Safety checks after {seen} of {words.plural(wanted, 'day')}: {words_of}."
    short = "No harm seen" if verdict["result"] == "promote" else "So far no harm"
    return Answer(question, short, f"{held} {_realised_sentence(report, realised)}".strip(), mood if seen >= wanted else "wait")


def _realised_sentence(report: Report, realised: Realised | None) -> str:
    if realised is None:
        return ""
    c = realised.customers
    text = (
        f"{c.realised:,.0f} new customers a day against {c.predicted:,.0f} predicted (usual range {c.usual_low:,.0f} to "
        f"{c.usual_high:,.0f}); each cost {words.about(realised.cac.realised * MICROS, report.currency)}, "
        f"{words.about(realised.cac.usual * MICROS, report.currency)} before."
    )
    if abs(realised.spend_gap) > _SPEND_GAP:
        side = "above" if realised.spend_gap > 0 else "below"
        text += f" Total spend ran {words.percent(abs(realised.spend_gap))} {side} plan, so other causes are at work too."
    return text


def _trust(model: Model | None) -> Answer:
    question = "Can I trust the model?"
    if model is None:
        return Answer(question, "No model", "No model has been fitted yet.", "wait")
    run = model.run
    unseen = ""
    if run["holdout_periods"] and run["holdout_mape"] is not None:
        period = words.plural(run["holdout_periods"], words.PERIODS.get(run["period_days"], "period"))
        unseen = f" It forecast the last {period}, which it had not seen, {words.percent(run['holdout_mape'], 1)} off on average."
    if not model.verdict:
        return Answer(question, "Not reviewed", f"Its health has not been judged yet, so no plan rests on it.{unseen}", "wait")
    fine = sum(check["result"] == "PASS" for check in model.checks)
    text = f"{fine} of {words.plural(len(model.checks), 'health check')} passed."
    doubtful = [words.CHECKS.get(c["check"], c["check"].replace("_", " ")) for c in model.checks if c["result"] != "PASS"]
    if doubtful:
        text += f" Look at: {words.listed(doubtful)}."
    if run["trust"] == "low":
        text += " It is the simple fallback model, which earns less trust."
    if run["left_out_channels"]:
        text += f" Not in it, though their spend counts in the blended CAC: {'; '.join(run['left_out_channels'])}."
    short, mood = {"PASS": ("Yes", "good"), "REVIEW": ("With care", "warn"), "FAIL": ("No", "bad")}[model.verdict]
    return Answer(question, short, text + unseen, mood)
