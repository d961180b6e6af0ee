"""Per platform and account: how the credentials stand, and how fresh the data is. Nothing secret is in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

from tasks.core.errors import JobError, TryAgain
from tasks.core.log import redact
from tasks.ingest.onboard_access import Standing, check, check_secret
from tasks.ingest.onboard_store import FILE
from tasks.platforms import has_credentials

if TYPE_CHECKING:
    from tasks.core.settings import Settings
    from tasks.core.warehouse import Warehouse
    from tasks.ingest.onboard_access import Verdict

_WORDS = {Standing.NONE: "missing", Standing.RIGHT: "present"}


def status_lines(
    platforms: list[str], settings: Settings, warehouse: Warehouse, *, store: str, online: bool, today: date
) -> Iterator[str]:
    """A line for each platform and one for each of its accounts; what cannot be asked of one hides no other."""
    frame = warehouse.query_file("control/onboard_status/query.sql")
    stored = {(row["platform"], row["account_id"]): row for row in frame.iter_rows(named=True)}
    for platform in platforms:
        verdict, said = _credentials(platform, settings, store=store, online=online)
        yield f"{platform}: credentials {said}"
        reached = verdict.access.accounts if verdict and verdict.access else ()
        own = {account_id for name, account_id in stored if name == platform} | {a.account_id for a in reached}
        for account_id in sorted(own):
            yield f"  {account_id}: {_data(stored.get((platform, account_id)), today)}"


def _credentials(platform: str, settings: Settings, *, store: str, online: bool) -> tuple[Verdict | None, str]:
    """A file on this machine counts first: it is what jobs here sign in with."""
    is_here = has_credentials(settings, platform)
    if not is_here and store == FILE:
        return None, "missing"
    if not online:
        return None, "present, not checked" if is_here else "not looked for in Secret Manager"
    try:
        verdict = check(platform, settings) if is_here else check_secret(platform, settings)
    except TryAgain as error:
        said = "the platform does not answer" if is_here else redact(str(error))
        return None, f"not checked: {said}"
    except JobError as error:
        return None, f"not checked: {redact(str(error))}"
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
