"""One small interface to the warehouse; BigQuery and DuckDB behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.core.warehouse.base import Warehouse

if TYPE_CHECKING:
    from tasks.core.settings import Settings

__all__ = ["Warehouse", "open_warehouse"]


def open_warehouse(settings: Settings) -> Warehouse:
    """The warehouse that ``settings.backend`` names."""
    if settings.backend == "bigquery":
        from tasks.core.warehouse.bigquery import BigQueryWarehouse

        return BigQueryWarehouse(settings)
    from tasks.core.warehouse.duckdb import DuckDBWarehouse

    return DuckDBWarehouse(settings.duckdb_path)
