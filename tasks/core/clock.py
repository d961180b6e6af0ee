"""The one place that reads the clock. Logic never does: it takes ``--run-date``; stamps (``_at``) come from here."""

import os
from datetime import UTC, datetime


def is_simulated() -> bool:
    """True if ``AELP2_NOW`` stands in for the clock."""
    return bool(os.environ.get("AELP2_NOW"))


def utc_now() -> datetime:
    """Now in UTC, or the instant named by ``AELP2_NOW`` (ISO 8601 with offset), which tests and simulated days set."""
    override = os.environ.get("AELP2_NOW")
    if not override:
        return datetime.now(UTC)
    instant = datetime.fromisoformat(override)
    if instant.tzinfo is None:
        raise ValueError(f"AELP2_NOW={override!r} has no offset; write for example 2026-03-01T06:00:00+00:00")
    return instant.astimezone(UTC)
