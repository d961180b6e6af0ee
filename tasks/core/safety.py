"""``control.safety_events``: what must never pass unseen. The same event of a day is one row."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import TYPE_CHECKING, Literal

import structlog

from tasks.core.clock import utc_now
from tasks.core.log import redact

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

TABLE = "control.safety_events"
Severity = Literal["info", "warning", "critical"]


def record(
    warehouse: Warehouse, *, run_date: date, platform: str, account_id: str, kind: str, severity: Severity, detail: str
) -> None:
    """Write the event and log it. ``detail`` says what happened and what to do, without personal data."""
    import polars as pl

    from tasks.core.contracts import load_contract

    text = redact(detail)
    key = "\n".join((run_date.isoformat(), platform, account_id, kind, text))
    event = {
        "event_id": hashlib.sha256(key.encode()).hexdigest(),
        "run_date": run_date,
        "platform": platform,
        "account_id": account_id,
        "kind": kind,
        "severity": severity,
        "detail": text,
        "happened_at": utc_now(),
    }
    warehouse.insert_new(TABLE, pl.DataFrame([event], schema=load_contract(TABLE).polars_schema()))
    write = {"info": "info", "warning": "warning", "critical": "error"}[severity]
    getattr(structlog.get_logger(source=__name__), write)(kind, platform=platform, account=account_id, detail=text)
