"""What the warehouse knows about ads and the sets that switch them, for the plan and for the page a person reads."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from tasks.core import ad_rules
from tasks.core.ad_changes import AdState, AdStatusSet
from tasks.core.caps import Violation
from tasks.core.changeset import parse
from tasks.core.ledger import Ledger
from tasks.core.transitions import FINAL

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

# Until a set has sent anything, its expiry or a refusal of the platform ends it.
_BEFORE_SENDING = ("", "proposed", "approved", "snapshot", "validated", "failed", "blocked")


def load_ads(warehouse: Warehouse, platform: str, account_id: str, run_date: date) -> list[AdState]:
    """Every ad of the account as it was loaded on ``run_date``; empty if nothing was."""
    frame = warehouse.query(
        "SELECT campaign_id, adgroup_id, ad_id, ad_status AS status, adgroup_status, campaign_status FROM ads.ad_statuses "
        "WHERE platform = @platform AND account_id = @account_id AND date = @run_date ORDER BY adgroup_id, ad_id",
        {"platform": platform, "account_id": account_id, "run_date": run_date},
    )
    return [AdState(**row) for row in frame.iter_rows(named=True)]


def held_ad_groups(warehouse: Warehouse, platform: str, account_id: str, now: datetime, *, but: str = "") -> dict[str, str]:
    """Ad group → the open live change set that switches ads in it, ``but`` left out.

    Two sets never touch one ad group at a time: together they could empty it, and their rollbacks would meet.
    """
    frame = warehouse.query(
        "SELECT change_set_id, canonical_json, expires_at FROM control.change_sets WHERE platform = @platform "
        "AND account_id = @account_id AND kind = 'ad_status' AND mode = 'live' ORDER BY created_at, change_set_id",
        {"platform": platform, "account_id": account_id},
    )
    histories = {h.change_set_id: h for h in Ledger(warehouse).histories(platform, account_id)}
    held: dict[str, str] = {}
    for change_set_id, text, expires_at in frame.iter_rows():
        history = histories.get(change_set_id)
        state = history.state if history else ""
        is_dead = now >= expires_at or state in ("failed", "blocked")
        if change_set_id == but or state in FINAL:
            continue
        if state in _BEFORE_SENDING and is_dead and not (history and history.has_intents):
            continue
        ad_set = parse(text)
        if isinstance(ad_set, AdStatusSet):
            held |= {change.adgroup_id: change_set_id for change in ad_set.changes}
    return held


def planned_violations(ad_set: AdStatusSet, ads: list[AdState], held: dict[str, str]) -> list[Violation]:
    """M13 and M7 of a set that is not begun, by the loaded statuses and the other open sets."""
    found = [v for change in ad_set.changes for v in ad_rules.change_violations(change, ads, ad_set.changes)]
    for adgroup_id in sorted({c.adgroup_id for c in ad_set.changes} & set(held)):
        detail = f"ad group {adgroup_id} is in the open change set {held[adgroup_id]}"
        found.append(Violation("M13", "other_set", detail))
    return found
