"""What a person reads before ads are enabled and paused: the hashed bytes, and what is left in their ad groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tasks.act.approval_page import cell
from tasks.core.ad_changes import ENABLED, AdChange, AdState, AdStatusSet
from tasks.core.ad_rules import left_enabled
from tasks.core.policy import Policy

_HEAD = ("| campaign | ad group | ad | now | then | enabled in the group after it |", "| --- | --- | --- | --- | --- | ---: |")


@dataclass(frozen=True)
class AdSection:
    """What the page says about the ads of one account; ``ads`` are all of the account as they were loaded."""

    change_set: AdStatusSet
    ads: Sequence[AdState]
    expires_at: datetime
    policy: Policy

    @property
    def counted(self) -> tuple[str, Mapping[str, int]]:
        """Ads to enable and to pause."""
        on = sum(c.status_after == ENABLED for c in self.change_set.changes)
        return "Ads", {"to enable": on, "to pause": len(self.change_set.changes) - on}

    def markdown(self, *, has_reasons: bool) -> str:
        """Totals, table, why, what an answer does."""
        counts = " and ".join(f"{n} {way}" for way, n in self.counted[1].items())
        head = f"**{counts}** in account {self.change_set.account_id}, run date {self.change_set.run_date}. No budget changes."
        table = [*_HEAD, *(self._row(c) for c in self.change_set.changes)]
        why = ["**Why**", "", *self._reasons(), ""] if has_reasons else []
        facts = [f"- **{name}**: {text}" for name, text in self._facts().items()]
        return "\n".join([head, "", *table, "", *why, "**Before you answer**", "", *facts])

    def _row(self, change: AdChange) -> str:
        left = left_enabled(change.adgroup_id, self.ads, self.change_set.changes)
        cells = (change.campaign_id, change.adgroup_id, change.ad_id, change.status_before, change.status_after, str(len(left)))
        return "| " + " | ".join(cell(c) for c in cells) + " |"

    def _reasons(self) -> list[str]:
        """One line for the ads that are switched for the same reason."""
        ads: dict[str, list[str]] = {}
        for change in self.change_set.changes:
            ads.setdefault(change.reason, []).append(change.ad_id)
        return [f"- **{cell(', '.join(ids))}**: {cell(reason)}" for reason, ids in ads.items()]

    def _facts(self) -> dict[str, str]:
        change_set, policy = self.change_set, self.policy
        return {
            "Rules": "every ad group keeps an enabled ad; nothing is enabled in a campaign or ad group that a person paused; at "
            f"most {policy.max_ad_changes_per_day} ads an account are switched in 24 h. All of it is asked of the platform again "
            "before each switch.",
            "Data": f"up to {change_set.data_through_date}; decisions `{change_set.decisions_sha256[:12]}`.",
            "If approved": f"checked by the platform, switched once, read back, then watched for {policy.watch_days} days and "
            f"switched back if CAC rises by more than {policy.max_cac_breach_pct} % or an ad group falls silent.",
            "If rejected or unanswered": "nothing changes.",
            "Expires": f"{self.expires_at:%Y-%m-%d %H:%M} UTC. Proposed by {cell(change_set.author)}, who cannot approve it.",
            "Hash": f"`{change_set.sha256}` (`{change_set.change_set_id}`).",
        }
