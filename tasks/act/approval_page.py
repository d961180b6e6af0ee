"""The Markdown a person reads before deciding. Pure text from proposals; money in the account's currency."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from tasks.core import caps
from tasks.core.changeset import AnySet, ChangeSet
from tasks.core.money import format_micros
from tasks.core.policy import Policy

_HEAD = (
    "| channel | budget (campaigns) | before | after | change | customers a week (90 %) | P(CAC ≤ target) | buffer |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
)


# What ends a cell or starts markup: links, images, tags, code, emphasis, struck text. `_` inside of words does neither.
_SPECIAL = re.compile(r"[\\`*~\[\]<>|]")


def cell(text: str) -> str:
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
    return "| " + " | ".join(cell(c) for c in cells) + " |"


def _reasons(proposals: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for the budgets that move for the same reason."""
    budgets: dict[str, list[str]] = {}
    for p in proposals:
        flags = "; beyond the spend seen so far" if p["is_extrapolated"] else ""
        budgets.setdefault(f"{p['reason']} (bound by {p['binding_constraint']}{flags})", []).append(p["budget_id"])
    return [f"- **{cell(', '.join(ids))}**: {cell(reason)}" for reason, ids in budgets.items()]


@dataclass(frozen=True)
class Section:
    """What the page says about one account.

    ``proposals`` are rows of ``control.budget_proposals``; ``used_micros`` is what moved in the last 24 h by the ledger and the
    loaded change log.
    """

    change_set: ChangeSet
    proposals: Sequence[Mapping[str, Any]]
    expires_at: datetime
    verdict: str
    policy: Policy
    used_micros: int

    def markdown(self, *, has_reasons: bool) -> str:
        """Totals, table, why, risk, caps, data, what an answer does."""
        table = [*_HEAD, *(_row(p, self.change_set.currency_code) for p in self.proposals)]
        why = ["**Why**", "", *_reasons(self.proposals), ""] if has_reasons else []
        facts = [f"- **{name}**: {text}" for name, text in self._facts().items()]
        return "\n".join([self._total(), "", *table, "", *why, "**Before you answer**", "", *facts])

    def _moved(self) -> tuple[int, int]:
        """Micros a day up and down, both positive."""
        deltas = [c.delta_micros for c in self.change_set.changes]
        return sum(max(d, 0) for d in deltas), sum(max(-d, 0) for d in deltas)

    @property
    def counted(self) -> tuple[str, Mapping[str, int]]:
        """Budgets up and down."""
        ups = sum(c.delta_micros > 0 for c in self.change_set.changes)
        return "Budgets", {"up": ups, "down": len(self.change_set.changes) - ups}

    def _total(self) -> str:
        (up, down), currency = self._moved(), self.change_set.currency_code
        return (
            f"**{len(self.change_set.changes)} budget changes** for account {self.change_set.account_id}, run date "
            f"{self.change_set.run_date}: {format_micros(up, currency)} a day more and {format_micros(down, currency)} less, "
            f"{format_micros(up - down, currency)} net; expected {self._gain()} new customers a week."
        )

    def _gain(self) -> str:
        """Mean and interval of all changes together; intervals do not add up, so rows that know no joint one give the mean."""
        mean, low, high = (self.proposals[0][f"set_new_customers_{k}"] for k in ("mean", "p05", "p95"))
        if mean is None or low is None or high is None:
            return f"{sum(p['expected_new_customers_mean'] for p in self.proposals):+.1f}"
        return f"{mean:+.1f} (90 %: {low:+.1f} to {high:+.1f})"

    def _risk(self) -> str:
        increases = [p for p in self.proposals if p["amount_after_micros"] > p["amount_before_micros"]]
        lowest = min((p["p_cac_le_target"] for p in increases), default=None)
        text = (
            "No budget rises."
            if lowest is None
            else f"The least certain increase has P(marginal CAC ≤ target) = {100 * lowest:.0f} %; the policy asks for at least "
            f"{100 * float(self.policy.min_probability):.0f} %."
        )
        extrapolated = [p["budget_id"] for p in self.proposals if p["is_extrapolated"]]
        return text + (f" Budgets {', '.join(extrapolated)} go beyond the highest daily spend seen." if extrapolated else "")

    def _facts(self) -> dict[str, str]:
        change_set, policy, currency = self.change_set, self.policy, self.change_set.currency_code
        cap = caps.daily_cap_micros(change_set.account_daily_budget_micros, policy)
        used, allowed = format_micros(self.used_micros + sum(self._moved()), currency), format_micros(cap, currency)
        return {
            "Risk": f"{self._risk()} Target CAC {format_micros(change_set.target_cac_micros, currency)}.",
            "Caps": f"each change ≤ {policy.step_cap_pct} % of its budget; in 24 h {used} of {allowed} "
            f"({policy.daily_cap_pct} % of the account's daily budget) would be used.",
            "Data": f"up to {change_set.data_through_date}; model {change_set.mmm_run_id}, health verdict "
            f"**{cell(self.verdict)}**.",
            "If approved": f"checked by the platform, applied once, read back, then watched for {policy.watch_days} days and "
            f"rolled back if CAC rises by more than {policy.max_cac_breach_pct} %.",
            "If rejected or unanswered": "nothing changes.",
            "Expires": f"{self.expires_at:%Y-%m-%d %H:%M} UTC. Proposed by {cell(change_set.author)}, who cannot approve it.",
            "Hash": f"`{change_set.sha256}` (`{change_set.change_set_id}`).",
        }


class AnySection(Protocol):
    """One account's part of the page, of any kind of change."""

    @property
    def change_set(self) -> AnySet:
        """What is asked about."""

    @property
    def counted(self) -> tuple[str, Mapping[str, int]]:
        """What is changed, and how many of them in which way."""

    def markdown(self, *, has_reasons: bool) -> str:
        """The text."""


def subject(sections: Sequence[AnySection]) -> str:
    """One line for the list of required actions."""
    first, total = sections[0].change_set, Counter[str]()
    for section in sections:
        total.update(section.counted[1])
    whose = f"{first.platform} {first.account_id}" if len(sections) == 1 else f"{len(sections)} accounts"
    counts = ", ".join(f"{total[way]} {way}" for way in sections[0].counted[1])
    return f"{sections[0].counted[0]} of {whose} on {first.run_date}: {counts}"


def body(sections: Sequence[AnySection], *, has_reasons: bool = True) -> str:
    """The whole page: one section an account, each under its name where there are several."""
    pages = [section.markdown(has_reasons=has_reasons) for section in sections]
    if len(pages) > 1:
        names = [f"{section.change_set.platform} {section.change_set.account_id}" for section in sections]
        pages = [f"## {cell(name)}\n\n{page}" for name, page in zip(names, pages, strict=True)]
        pages.insert(
            0,
            f"**{len(sections)} accounts, one answer**: it decides every change set below, each by its own hash. To decide an "
            "account by itself: the runbook of this DAG, param `account`.",
        )
    if not has_reasons:
        pages.append(
            "Why each change is made is left out to keep this page short: `aelp2 report` and "
            "`aelp2 request-approval --account …` tell it."
        )
    return "\n\n".join(pages)
