"""Success metrics of the ledger: decisions, approvals, rollbacks, completeness of one account. Pure functions of its rows."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from tasks.core.ledger import Row, SetHistory
from tasks.govern.reconciliation import is_receipt
from tasks.govern.success_metrics import Metric, Window

DAYS = 28
_ANSWERS = ("approved", "rejected")
_MUTATIONS = ("mutate_intended", "applied")
_TROUBLE = ("breached", "failed", "rollback_intended")
Approvals = Mapping[str, Mapping[str, Any]]


def histories_of(rows: Iterable[Row], until: datetime) -> dict[tuple[str, str], list[SetHistory]]:
    """(platform, account) → its change sets with their rows before ``until``, in the order of the chain."""
    grouped: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in rows:
        if row.at < until and row.change_set_id:
            grouped.setdefault((row.platform, row.account_id), {}).setdefault(row.change_set_id, []).append(row)
    return {key: [SetHistory(name, tuple(found)) for name, found in sets.items()] for key, sets in grouped.items()}


def time_to_decision(histories: Iterable[SetHistory], since: datetime, window: Window) -> Metric:
    """Median hours from the proposal to a person's answer, of answers since ``since``; silence is no answer."""
    hours, expired = [], 0
    for history in histories:
        proposed = history.find("proposed")
        answer = next((found for event in _ANSWERS if (found := history.find(event))), None)
        silence = history.find("expired")
        expired += silence is not None and silence.at >= since
        if proposed and answer and answer.at >= since:
            hours.append((answer.at - proposed.at).total_seconds() / 3600)
    rest = f"; {expired} expired unanswered" if expired else ""
    if not hours:
        return Metric("time_to_decision", "hours", None, f"nobody answered a proposal in {DAYS} days{rest}", window=window)
    text = f"median of {len(hours)} answers, the slowest took {max(hours):.1f} h{rest}"
    return Metric("time_to_decision", "hours", statistics.median(hours), text, observations=len(hours), window=window)


def without_approval(histories: Sequence[SetHistory], approvals: Approvals, problems: Sequence[str]) -> Metric:
    """Live changes that no person had approved: must be 0. Counted over the whole ledger, each change once.

    A change is approved if, before it was sent, the ledger has ``approved`` for the same set and hash, and control.approvals
    holds that hash, not yet expired. A ledger that does not verify proves no 0.
    """
    name = "changes_without_approval"
    changes: dict[tuple[str, str], tuple[Row, bool]] = {}
    for history in histories:
        for row in history.rows:
            if row.change_id and row.event in _MUTATIONS:
                changes.setdefault((row.change_set_id, row.change_id), (row, _is_approved(history, row, approvals)))
    bad = [row for row, is_approved in changes.values() if not is_approved]
    if problems and not bad:
        return Metric(name, "changes", None, f"the ledger does not verify, so nobody can tell: {problems[0]}")
    text = f"{len(changes)} live changes, each approved before" if changes else "nothing was changed yet"
    if bad:
        some = ", ".join(row.change_id for row in bad[:3])
        text = f"{len(bad)} of {len(changes)} live changes without an approval before them, first {some}; stop with aelp2 kill"
    text += f"; the ledger does not verify: {problems[0]}" if problems else ""
    return Metric(name, "changes", float(len(bad)), text, observations=len(changes))


def _is_approved(history: SetHistory, change: Row, approvals: Approvals) -> bool:
    """True if a person's answer on the hash stands before ``change``, in the ledger and in the table of approvals."""
    told = any(
        row.event == "approved" and not row.change_id and row.sha256 == change.sha256 and row.seq < change.seq
        for row in history.rows
    )
    answer = approvals.get(history.change_set_id)
    return told and answer is not None and answer["sha256"] == change.sha256 and change.at < answer["expires_at"]


def completeness(counts: Mapping[str, Any] | None, receipts: int, window: Window) -> Metric:
    """Changes that are ours and matched over all that happened in the account; ``receipts``: ours by the ledger."""
    name = "changefeed_completeness"
    if counts is None:
        text = f"{receipts} changes of ours were not reconciled yet; run reconcile-changes"
        return Metric(name, "ratio", None, text if receipts else "nobody changed anything", window=window)
    ours, every = counts["ours"], counts["changes"]
    text = f"{ours} of {every} changes are ours and in both logs"
    text += f"; {counts['out_of_band']} by others" if counts["out_of_band"] else ""
    text += f"; {counts['not_in_log']} of ours missing in the platform's log" if counts["not_in_log"] else ""
    late = receipts - ours - counts["not_in_log"]
    text += f"; {late} of ours not reconciled yet" if late > 0 else ""
    return Metric(name, "ratio", ours / every, text, None, None, float(ours), float(every), every, window=window)


def receipts_of(histories: Iterable[SetHistory], since: date) -> int:
    """Changes of budgets and ads that the ledger says we made since ``since``, rollbacks included."""
    return sum(is_receipt(row) and row.at.date() >= since for history in histories for row in history.rows)


def rollback_times(histories: Iterable[SetHistory], since: datetime, window: Window) -> list[Metric]:
    """Minutes from the first sign of trouble, or the first step back, to the set rolled back: median and longest."""
    minutes, still_open = [], []
    for history in histories:
        began = next((row for row in history.rows if row.event in _TROUBLE), None)
        ended = history.find("rolled_back")
        if ended and began and ended.at >= since:
            minutes.append((ended.at - began.at).total_seconds() / 60)
        elif began and not ended and history.state != "promoted":
            still_open.append(history.change_set_id)
    rest = f"; still open: {', '.join(still_open)}" if still_open else ""
    if not minutes:
        text = f"no change set was rolled back in {DAYS} days{rest}"
        return [Metric(name, "minutes", None, text, window=window) for name in ("rollback_time", "rollback_time_max")]
    text = f"{len(minutes)} change sets rolled back in {DAYS} days{rest}"
    return [
        Metric(name, "minutes", of(minutes), text, observations=len(minutes), window=window)
        for name, of in (("rollback_time", statistics.median), ("rollback_time_max", max))
    ]


def since_of(run_date: date) -> date:
    """First day of the window of the ledger's metrics."""
    return run_date - timedelta(days=DAYS - 1)
