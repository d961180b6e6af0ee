"""Per platform and account: how the credentials stand, and how fresh the data is. Nothing secret is in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

from tasks.core.errors import TryAgain
from tasks.ingest.onboard_access import Standing, check, is_stored

if TYPE_CHECKING:
    from tasks.core.settings import Settings
    from tasks.core.warehouse import Warehouse
    from tasks.ingest.onboard_access import Verdict

_WORDS = {Standing.NONE: "missing", Standing.RIGHT: "present"}


def status_lines(platforms: list[str], settings: Settings, warehouse: Warehouse, *, online: bool, today: date) -> Iterator[str]:
    """A line for each platform and one for each of its accounts."""
    frame = warehouse.query_file("control/onboard_status/query.sql")
    stored = {(row["platform"], row["account_id"]): row for row in frame.iter_rows(named=True)}
    for platform in platforms:
        verdict, said = _credentials(platform, settings, online=online)
        yield f"{platform}: credentials {said}"
        reached = verdict.access.accounts if verdict and verdict.access else ()
        own = {account_id for name, account_id in stored if name == platform} | {a.account_id for a in reached}
        for account_id in sorted(own):
            yield f"  {account_id}: {_data(stored.get((platform, account_id)), today)}"


def _credentials(platform: str, settings: Settings, *, online: bool) -> tuple[Verdict | None, str]:
    if not is_stored(platform, settings):
        return None, "missing"
    if not online:
        return None, "present, not checked"
    try:
        verdict = check(platform, settings)
    except TryAgain:
        return None, "present, not checked: the platform does not answer"
    said = _WORDS.get(verdict.standing, verdict.standing.value)
    if verdict.access is None:
        return verdict, said
    missing = f", lacks {', '.join(verdict.access.missing)}" if verdict.access.missing else ""
    return verdict, f"{said}; scopes {', '.join(verdict.access.granted) or 'not named'}{missing}"


def _data(row: dict[str, Any] | None, today: date) -> str:
    if row is None or row["last_load_at"] is None:
        return "never loaded"
    load = f"last load {row['last_load_at']:%Y-%m-%d %H:%M} UTC {row['last_status']}"
    if row["newest_date"] is None:
        return f"{load}, no rows"
    return f"{load}, {row['stored_rows']:,} rows, newest day {row['newest_date']}, lag {(today - row['newest_date']).days} days"
