"""A person's word that a critical drift was looked at: planning goes on, and who said why stays on record."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import TYPE_CHECKING

from tasks.core import safety
from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.log import redact

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

TABLE = "control.drift_acknowledgements"
_CRITICAL = """
SELECT DISTINCT platform, account_id, dataset, segment, column_name
FROM control.drift_reports
WHERE run_date = @run_date AND platform = @platform AND account_id = @account_id AND verdict = 'critical'
ORDER BY dataset, segment, column_name
"""


def acknowledge(warehouse: Warehouse, *, run_date: date, account: str, why: str, actor: str, days: int) -> list[str]:
    """Let the critical columns of ``account`` (``platform:account``) on ``run_date`` pass for ``days`` run dates; their names.

    Only the columns that are critical on that day: the next one blocks again. JobError if there is none.
    """
    import polars as pl

    platform, colon, account_id = account.partition(":")
    if not colon or not account_id:
        raise JobError(f"--acknowledge {account!r} is not of the form platform:account, for example google_ads:1234567890")
    params = {"run_date": run_date, "platform": platform, "account_id": account_id}
    critical = warehouse.query(_CRITICAL, params)
    if critical.is_empty():
        raise JobError(f"there is no critical drift of {account} on {run_date} in control.drift_reports; nothing to acknowledge")
    until, text = run_date + timedelta(days=days - 1), redact(why.strip())
    rows, names = [], []
    for row in critical.iter_rows(named=True):
        key = "\n".join((*(str(value) for value in row.values()), run_date.isoformat(), until.isoformat()))
        names.append(f"{row['column_name']} of {row['segment']} ({row['dataset']})")
        rows.append(
            {
                "acknowledgement_id": hashlib.sha256(key.encode()).hexdigest(),
                "run_date": run_date,
                **row,
                "until_date": until,
                "why": text,
                "actor": actor,
                "acknowledged_at": utc_now(),
            }
        )
    frame = pl.DataFrame(rows, schema=load_contract(TABLE).polars_schema())
    warehouse.insert_new("control.drift_acknowledgements", frame)
    safety.record(
        warehouse,
        run_date=run_date,
        platform=platform,
        account_id=account_id,
        kind="drift_acknowledged",
        severity="warning",
        detail=f"critical drift of {', '.join(names)} does not stop plans up to {until}, by {actor}: {text}",
    )
    return names
