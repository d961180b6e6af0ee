"""ZetaSQL, Google's own analyser and reference evaluator for BigQuery's SQL, over a catalog made from the table contracts.

The PyPI package runs it as WebAssembly. Compiling it takes about a minute, so wasmtime's cache is switched on: it keeps the
compiled module under ``.local/wasmtime-cache`` and the next start takes seconds.
"""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import Path
from typing import Any

from tasks.core.contracts import all_contracts

CACHE = Path(__file__).resolve().parents[2] / ".local" / "wasmtime-cache"


@functools.cache
def service() -> Any:
    """The one ZetaSQL process of this test session."""
    import zetasql.core.wasm_client as client
    from zetasql.core.local_service import ZetaSqlLocalService

    CACHE.mkdir(parents=True, exist_ok=True)
    settings = CACHE / "cache.toml"
    settings.write_text(f'[cache]\ndirectory = "{CACHE.resolve()}"\n', encoding="utf-8")
    plain = client.Config

    def cached() -> Any:
        config = plain()
        config.cache = str(settings)
        return config

    client.Config = cached
    try:
        return ZetaSqlLocalService.get_instance()  # the package's own helpers use the same one: it is compiled once
    finally:
        client.Config = plain


@functools.cache
def _options() -> Any:
    from zetasql.types import AnalyzerOptions, LanguageOptions

    service()
    language = LanguageOptions.maximum_features()
    return AnalyzerOptions(language_options=language, default_timezone="UTC", allow_undeclared_parameters=True)


@functools.cache
def catalog() -> Any:
    """Every contract table as ``dataset.table``, with BigQuery's built-in functions."""
    from zetasql.api import TableBuilder, TypeFactory
    from zetasql.types import SimpleCatalog, TypeKind, ZetaSQLBuiltinFunctionOptions

    kinds = {
        "STRING": TypeKind.TYPE_STRING,
        "INT64": TypeKind.TYPE_INT64,
        "FLOAT64": TypeKind.TYPE_DOUBLE,
        "BOOL": TypeKind.TYPE_BOOL,
        "DATE": TypeKind.TYPE_DATE,
        "TIMESTAMP": TypeKind.TYPE_TIMESTAMP,
    }
    datasets: dict[str, list[Any]] = {}
    for contract in all_contracts():
        builder = TableBuilder(contract.table)
        for field in contract.fields:
            kind = TypeFactory.create_simple_type(kinds[field.type])
            builder = builder.add_column(field.name, TypeFactory.create_array_type(kind) if field.repeated else kind)
        datasets.setdefault(contract.dataset, []).append(builder.build())
    options = _options().language_options
    return SimpleCatalog(
        name="project",
        builtin_function_options=ZetaSQLBuiltinFunctionOptions(language_options=options),
        catalog=[SimpleCatalog(name=name, table=tables) for name, tables in datasets.items()],
    )


def analyse(sql: str) -> Any:
    """The resolved statement of ``sql``; the analyser's error says what BigQuery would say."""
    from zetasql.api import Analyzer

    return Analyzer(_options(), catalog(), service()).analyze_statement(sql)


def _python(value: Any) -> Any:
    """A ZetaSQL value as the Python value that DuckDB gives for the same."""
    epoch = dt.datetime.fromtimestamp(0, dt.UTC)
    for kind, plain in (
        ("int64_value", int),
        ("bool_value", bool),
        ("double_value", float),
        ("string_value", str),
        ("date_value", lambda days: epoch.date() + dt.timedelta(days=days)),
        ("timestamp_value", lambda t: epoch + dt.timedelta(seconds=t.seconds or 0, microseconds=(t.nanos or 0) // 1000)),
        ("array_value", lambda array: [_python(element) for element in array.element]),
        ("struct_value", lambda struct: tuple(_python(field) for field in struct.field)),
    ):
        found = getattr(value, kind)
        if found is not None:
            return plain(found)
    return None


def evaluate(sql: str) -> list[tuple[Any, ...]]:
    """Rows of ``sql`` (no tables) by ZetaSQL's reference implementation."""
    from zetasql.api.prepared_query import PreparedQueryBuilder

    builder = PreparedQueryBuilder().set_sql(sql).set_analyzer_options(_options()).set_catalog(catalog()).set_service(service())
    with builder.prepare() as query:
        rows = query.execute().content.table_data.row
    return [tuple(_python(cell) for cell in row.cell) for row in rows]
