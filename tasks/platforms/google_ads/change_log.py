"""The account's change log: 30 days back, 10,000 events an answer at most; a full answer is asked for again in halves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tasks.core.errors import JobError
from tasks.platforms.base import AccountChange
from tasks.platforms.google_ads import queries
from tasks.platforms.google_ads.enums import enum_name, last_part
from tasks.platforms.google_ads.reporting import Labels

Ask = Callable[[str], list[Any]]
_SECOND = timedelta(seconds=1)
# Resource type → where its event holds the status, and the enum of it.
_STATUS_OF = {
    "CAMPAIGN": ("campaign", "CampaignStatus"),
    "AD_GROUP": ("ad_group", "AdGroupStatus"),
    "AD_GROUP_AD": ("ad_group_ad", "AdGroupAdStatus"),
}


def read_events(ask: Ask, start: datetime, end: datetime, limit: int = queries.CHANGE_LIMIT) -> list[Any]:
    """Every event of ``start`` ≤ time < ``end`` (naive wall-clock times of the account, whole seconds), oldest first.

    An answer of exactly ``limit`` rows may have been cut off: the range is split and asked for again. JobError if one second
    alone fills an answer.
    """
    rows = ask(queries.changes(start, end))
    if len(rows) < limit:
        return rows
    seconds = int((end - start) / _SECOND)
    if seconds <= 1:
        raise JobError(
            f"{len(rows)} changes within the second {start}: the API cannot return them all; export the change history by hand"
        )
    middle = start + timedelta(seconds=seconds // 2)
    return [*read_events(ask, start, middle, limit), *read_events(ask, middle, end, limit)]


def to_change(event: Any, labels: Labels, timezone: str) -> AccountChange:
    """One event; the e-mail address of who made it becomes a salted hash."""
    # An hour of each autumn comes twice. The later one is taken: a change then counts an hour too long against the rolling caps,
    # never too short.
    local = datetime.fromisoformat(event.change_date_time).replace(tzinfo=ZoneInfo(timezone), fold=1)
    paths = tuple(event.changed_fields.paths)
    kind = enum_name("ChangeEventResourceType", event.change_resource_type)
    has_amount = kind == "CAMPAIGN_BUDGET" and any(last_part(p.replace(".", "/")) == "amount_micros" for p in paths)

    def amount(resource: Any) -> int | None:
        budget = resource.campaign_budget
        return int(budget.amount_micros) if has_amount and budget.HasField("amount_micros") else None

    message = _STATUS_OF.get(kind) if any(last_part(p.replace(".", "/")) == "status" for p in paths) else None

    def status(resource: Any) -> str | None:
        changed = getattr(resource, message[0]) if message else None
        return enum_name(message[1], changed.status) if message and changed is not None and changed.status else None

    return AccountChange(
        change_event_id=event.resource_name,
        changed_at=local.astimezone(UTC),
        resource_type=kind,
        resource_id=last_part(event.change_resource_name),
        operation=enum_name("ResourceChangeOperation", event.resource_change_operation),
        changed_fields=paths,
        client_type=enum_name("ChangeClientType", event.client_type),
        actor_hash=labels.hash(event.user_email.lower()),
        amount_before_micros=amount(event.old_resource),
        amount_after_micros=amount(event.new_resource),
        status_before=status(event.old_resource),
        status_after=status(event.new_resource),
    )
