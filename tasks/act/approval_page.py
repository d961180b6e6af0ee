"""The Markdown a person reads before deciding. Pure text from proposals; money in the account's currency."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tasks.core import caps
from tasks.core.changeset import ChangeSet
from tasks.core.money import format_micros
from tasks.core.policy import Policy

_HEAD = (
    "| channel | budget (campaigns) | before | after | change | customers a week (90 %) | P(CAC ≤ target) | buffer |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
)


# What ends a cell or starts markup: links, images, tags, code, emphasis, struck text. `_` inside of words does neither.
_SPECIAL = re.compile(r"[\\`*~\[\]<>|]")


def _cell(text: str) -> str:
    """Text that cannot break out of its table cell or become markup; characters that only turn or hide others are left out."""
    visible = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cf") or c.isspace())
    return _SPECIAL.sub(lambda m: "\\" + m.group(), " ".join(visible.split()))


def _row(proposal: Mapping[str, Any], currency: str) -> str:
    before, after = proposal["amount_before_micros"], proposal["amount_after_micros"]
    campaigns = ", ".join(proposal["campaign_ids"])
    mean, low, high = (proposal[f"expected_new_customers_{k}"] for k in ("mean", "p05", "p95"))
    # Probability and buffer are what an increase has to have; of a decrease they say nothing.
    is_increase = after > before
    buffer = "–" if proposal["buffer_pct"] is None or not is_increase else f"{proposal['buffer_pct']:+.0f} %"
    cells = (
        proposal["channel"],
        f"{proposal['budget_id']} ({campaigns})",
        format_micros(before, currency),
        format_micros(after, currency),
        f"{100 * (after - before) / before:+.1f} %",
        f"{mean:+.1f} ({low:+.1f} to {high:+.1f})",
        f"{100 * proposal['p_cac_le_target']:.0f} %" if is_increase else "–",
        buffer,
    )
    return "| " + " | ".join(_cell(c) for c in cells) + " |"


def _reasons(proposals: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for the budgets that move for the same reason."""
    budgets: dict[str, list[str]] = {}
    for p in proposals:
        flags = "; beyond the spend seen so far" if p["is_extrapolated"] else ""
        budgets.setdefault(f"{p['reason']} (bound by {p['binding_constraint']}{flags})", []).append(p["budget_id"])
    return [f"- **{_cell(', '.join(ids))}**: {_cell(reason)}" for reason, ids in budgets.items()]


def subject(change_set: ChangeSet) -> str:
    """One line for the list of required actions."""
    ups = sum(c.delta_micros > 0 for c in change_set.changes)
    downs = len(change_set.changes) - ups
    return f"Budgets of {change_set.platform} {change_set.account_id} on {change_set.run_date}: {ups} up, {downs} down"


def body(
    change_set: ChangeSet,
    proposals: Sequence[Mapping[str, Any]],
    *,
    expires_at: datetime,
    verdict: str,
    policy: Policy,
    used_micros: int,
) -> str:
    """The whole page: totals, table, why, risk, caps, data, what an answer does.

    ``proposals`` are rows of ``control.budget_proposals``; ``used_micros`` is what moved in the last 24 h by the ledger and the
    loaded change log.
    """
    currency = change_set.currency_code
    up = sum(max(c.delta_micros, 0) for c in change_set.changes)
    down = sum(max(-c.delta_micros, 0) for c in change_set.changes)
    size = up + down
    cap = caps.daily_cap_micros(change_set.account_daily_budget_micros, policy)
    increases = [p for p in proposals if p["amount_after_micros"] > p["amount_before_micros"]]
    lowest = min((p["p_cac_le_target"] for p in increases), default=None)
    risk = (
        "No budget rises."
        if lowest is None
        else f"The least certain increase has P(marginal CAC ≤ target) = {100 * lowest:.0f} %; the policy asks for at least "
        f"{100 * float(policy.min_probability):.0f} %."
    )
    extrapolated = [p["budget_id"] for p in proposals if p["is_extrapolated"]]
    if extrapolated:
        risk += f" Budgets {', '.join(extrapolated)} go beyond the highest daily spend seen."
    gain = sum(p["expected_new_customers_mean"] for p in proposals)
    used, allowed = format_micros(used_micros + size, currency), format_micros(cap, currency)
    total = (
        f"**{len(change_set.changes)} budget changes** for account {change_set.account_id}, run date {change_set.run_date}: "
        f"{format_micros(up, currency)} a day more and {format_micros(down, currency)} less, "
        f"{format_micros(up - down, currency)} net; expected {gain:+.1f} new customers a week."
    )
    facts = {
        "Risk": f"{risk} Target CAC {format_micros(change_set.target_cac_micros, currency)}.",
        "Caps": f"each change ≤ {policy.step_cap_pct} % of its budget; in 24 h {used} of {allowed} "
        f"({policy.daily_cap_pct} % of the account's daily budget) would be used.",
        "Data": f"up to {change_set.data_through_date}; model {change_set.mmm_run_id}, health verdict **{_cell(verdict)}**.",
        "If approved": f"checked by the platform, applied once, read back, then watched for {policy.watch_days} days and rolled "
        f"back if CAC rises by more than {policy.max_cac_breach_pct} %.",
        "If rejected or unanswered": "nothing changes.",
        "Expires": f"{expires_at:%Y-%m-%d %H:%M} UTC. Proposed by {_cell(change_set.author)}, who cannot approve it.",
        "Hash": f"`{change_set.sha256}` (`{change_set.change_set_id}`).",
    }
    table = [*_HEAD, *(_row(p, currency) for p in proposals)]
    below = [f"- **{name}**: {text}" for name, text in facts.items()]
    return "\n".join([total, "", *table, "", "**Why**", "", *_reasons(proposals), "", "**Before you answer**", "", *below])
