"""Bad rows never vanish: they are set aside in ``control.quarantine`` with the reason."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.log import redact

if TYPE_CHECKING:
    from tasks.core.warehouse.base import Warehouse

Row = Mapping[str, object]


def quarantine(
    warehouse: Warehouse,
    table: str,
    rows: Iterable[Row],
    check: str,
    reason: str | Callable[[Row], str],
    run_date: date,
) -> int:
    """Set ``rows`` meant for ``table`` aside; returns how many are new.

    ``reason`` is one sentence with the bad value, or a function of the row that gives it. The same row with the same reason
    is kept once however often it comes back. Text is redacted as in the logs.
    """
    import polars as pl

    now, by_id = utc_now(), {}
    for row in rows:
        why = redact(reason if isinstance(reason, str) else reason(row))
        text = redact(json.dumps({k: v for k, v in row.items() if k != "loaded_at"}, sort_keys=True, default=str))
        identity = hashlib.sha256("\x1f".join((table, text, why)).encode()).hexdigest()
        by_id[identity] = {
            "quarantine_id": identity,
            "table_name": table,
            "run_date": run_date,
            "check": check,
            "reason": why,
            "row_json": text,
            "quarantined_at": now,
        }
    if not by_id:
        return 0
    schema = load_contract("control.quarantine").polars_schema()
    return warehouse.insert_new("control.quarantine", pl.DataFrame(list(by_id.values()), schema=schema))
