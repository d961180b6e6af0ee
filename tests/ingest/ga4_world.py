"""Small GA4 export tables in Google's nested shape, made event by event."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest.ga4_load import Ga4Load, Result
from tasks.ingest.ga4_source import FolderSource

PROPERTY = "123456"
SALT = b"s" * 32
VALUE = pa.struct(
    [("string_value", pa.string()), ("int_value", pa.int64()), ("float_value", pa.float64()), ("double_value", pa.float64())]
)
SCHEMA = pa.schema(
    [
        ("event_date", pa.string()),
        ("event_timestamp", pa.int64()),
        ("event_name", pa.string()),
        ("event_params", pa.list_(pa.struct([("key", pa.string()), ("value", VALUE)]))),
        ("event_value_in_usd", pa.float64()),
        ("event_bundle_sequence_id", pa.int64()),
        ("user_id", pa.string()),
        ("user_pseudo_id", pa.string()),
        ("privacy_info", pa.struct([("analytics_storage", pa.string()), ("ads_storage", pa.string())])),
        ("device", pa.struct([("category", pa.string())])),
        ("geo", pa.struct([("country", pa.string())])),
        (
            "collected_traffic_source",
            pa.struct(
                [
                    ("manual_campaign_id", pa.string()),
                    ("manual_campaign_name", pa.string()),
                    ("manual_source", pa.string()),
                    ("manual_medium", pa.string()),
                    ("gclid", pa.string()),
                ]
            ),
        ),
        ("ecommerce", pa.struct([("transaction_id", pa.string())])),
        ("batch_event_index", pa.int64()),
        ("batch_page_id", pa.int64()),
        ("batch_ordering_id", pa.int64()),
    ]
)


def micros(day: date, hour: float = 12.0) -> int:
    """Microseconds since 1970 at ``hour`` UTC of ``day``."""
    return round((datetime.combine(day, datetime.min.time(), tzinfo=UTC).timestamp() + hour * 3600) * 1e6)


def param(key: str, value: str | int | float | None) -> dict[str, Any]:
    kinds = {str: "string_value", int: "int_value", float: "double_value"}
    cell = dict.fromkeys(("string_value", "int_value", "float_value", "double_value"))
    return {"key": key, "value": cell if value is None else cell | {kinds[type(value)]: value}}


def event(day: date, name: str = "page_view", user: str | None = "u1", *, hour: float = 12.0, **changes: Any) -> dict[str, Any]:
    """An event of session 1; ``params`` adds or (with None) removes parameters, other ``changes`` replace columns."""
    params = {"ga_session_id": 1, "ga_session_number": 1, "session_engaged": "1"} | changes.pop("params", {})
    row = {
        "event_date": f"{day:%Y%m%d}",
        "event_timestamp": micros(day, hour),
        "event_name": name,
        "event_params": [param(key, value) for key, value in params.items() if value is not None],
        "user_pseudo_id": user,
        "privacy_info": {"analytics_storage": "Yes", "ads_storage": "Yes"},
        "device": {"category": "mobile"},
        "geo": {"country": "Germany"},
        "batch_event_index": 1,
    }
    return row | changes


def purchase(
    day: date, user: str, order: str, value: float = 10.0, currency: str | None = "EUR", **changes: Any
) -> dict[str, Any]:
    params = {"transaction_id": order, "value": value, "currency": currency} | changes.pop("params", {})
    return event(day, "purchase", user, params=params, **changes)


def came(source: str | None, medium: str | None, campaign: str | None = None, gclid: str | None = None) -> dict[str, Any]:
    """collected_traffic_source of an event."""
    return {"manual_source": source, "manual_medium": medium, "manual_campaign_name": campaign, "gclid": gclid}


def write_table(root: Path, name: str, events: list[dict[str, Any]], property_id: str = PROPERTY) -> Path:
    """``root``/analytics_…/``name``.parquet with these events."""
    folder = root / f"analytics_{property_id}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{field.name: row.get(field.name) for field in SCHEMA} for row in events]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def load(root: Path, warehouse: DuckDBWarehouse, run_date: date, **wish: Any) -> Result:
    """Run the load on the folder; the result of its one property."""
    (result,) = Ga4Load(FolderSource(root), warehouse, SALT, run_date, **wish).run()
    if result.error is not None:
        raise result.error
    return result


def stored(warehouse: DuckDBWarehouse) -> pl.DataFrame:
    """Rows of ga4.ga4_events without the stamp of the load."""
    sql = "SELECT * FROM (SELECT event_date, event_id, event_name, user_pseudo_id, value_micros, currency_code, is_intraday, "
    return warehouse.query(f"{sql} source, medium FROM ga4.ga4_events) AS e ORDER BY event_date, event_id")
