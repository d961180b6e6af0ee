"""Whether spend can be summed in one currency, and in words why not."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.core.warehouse.base import Warehouse

REMEDY = "run `aelp2 ingest-fx`"


def missing_rate(warehouse: Warehouse, currency: str, start: date, end: date) -> str | None:
    """Which spend of ``start`` ≤ day < ``end`` has no rate to ``currency``, with the remedy; None if all of it can be summed.

    Rates lead to the currency of the business's outcomes (ads.business_spend_daily); spend in ``currency`` itself needs none.
    """
    missing = warehouse.query_file("ads/fx_missing/query.sql", {"currency": currency, "start_date": start, "end_date": end})
    if missing.is_empty():
        return None
    first = missing.row(0, named=True)
    spans = ", ".join(f"{row['currency_code']} from {row['first_date']} ({row['days']} days)" for row in missing.to_dicts())
    return (
        f"no rate from {first['currency_code']} to {currency} for {first['first_date']}, so spend has no sum: {spans}; "
        f"{REMEDY} --start-date {first['first_date']} (docs/how-to/currencies.md)"
    )
