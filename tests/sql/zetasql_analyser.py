"""ZetaSQL, Google's own analyser and reference evaluator for BigQuery's SQL, over a catalog made from the table contracts.

The PyPI package runs it as WebAssembly. Compiling it takes about a minute, so wasmtime's cache is switched on: it keeps the
compiled module under ``.local/wasmtime-cache`` and the next start takes seconds. A fresh clone makes the folder itself.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
from collections.abc import Mapping
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
    settings = CACHE / "cache.toml"  # beside the cache's own folder: wasmtime removes files it does not know from that
    new = settings.with_suffix(f".{os.getpid()}")
    new.write_text(f'[cache]\ndirectory = "{CACHE.resolve() / "compiled"}"\n', encoding="utf-8")
    new.replace(settings)  # whole at any time: the other worker of a test run may be reading it
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


def _type(name: str, *, repeated: bool = False) -> Any:
    """ZetaSQL's type for a BigQuery type name."""
    from zetasql.api import TypeFactory
    from zetasql.types import TypeKind

    if name.startswith("ARRAY<"):
        return _type(name.removeprefix("ARRAY<").removesuffix(">"), repeated=True)
    kind = TypeFactory.create_simple_type(getattr(TypeKind, f"TYPE_{'DOUBLE' if name == 'FLOAT64' else name}"))
    return TypeFactory.create_array_type(kind) if repeated else kind


@functools.cache
def _language() -> Any:
    from zetasql.types import LanguageOptions, ResolvedNodeKind

    service()
    language = LanguageOptions.maximum_features()
    language.supported_statement_kinds = [
        getattr(ResolvedNodeKind, f"RESOLVED_{name}_STMT") for name in ("QUERY", "MERGE", "UPDATE", "DELETE", "INSERT")
    ]
    return language


def _options(parameters: Mapping[str, str] | None = None) -> Any:
    """Options with the types of ``parameters``; without them a parameter takes the type its place asks for."""
    from zetasql.types import AnalyzerOptions

    typed = [AnalyzerOptions.QueryParameter(name=name, type=_type(kind)) for name, kind in (parameters or {}).items()]
    return AnalyzerOptions(
        language_options=_language(),
        default_timezone="UTC",
        allow_undeclared_parameters=parameters is None,
        query_parameters=typed,
    )


@functools.cache
def catalog() -> Any:
    """Every contract table as ``dataset.table``, with BigQuery's built-in functions."""
    from zetasql.api import TableBuilder
    from zetasql.types import SimpleCatalog, ZetaSQLBuiltinFunctionOptions

    datasets: dict[str, list[Any]] = {}
    for contract in all_contracts(views=True):
        builder = TableBuilder(contract.table)
        for field in contract.fields:
            builder = builder.add_column(field.name, _type(field.type, repeated=field.repeated))
        datasets.setdefault(contract.dataset, []).append(builder.build())
    return SimpleCatalog(
        name="project",
        builtin_function_options=ZetaSQLBuiltinFunctionOptions(language_options=_language()),
        catalog=[SimpleCatalog(name=name, table=tables) for name, tables in datasets.items()],
    )


@functools.cache
def _registered() -> int:
    """The catalog's number at the service: handed over with each statement it would cost 0.2 s each time."""
    number: int = service().register_catalog(simple_catalog=catalog()).registered_id
    return number


def analyse(sql: str, parameters: Mapping[str, str] | None = None) -> Any:
    """The resolved statement of ``sql``; the analyser's error says what BigQuery would say.

    ``parameters`` are BigQuery type names by parameter; given, they must be all and fit where they are used.
    """
    asked = service().analyze(sql_statement=sql, options=_options(parameters), registered_catalog_id=_registered())
    return asked.resolved_statement


def _python(value: Any) -> Any:
    """A ZetaSQL value as the Python value that DuckDB gives for the same. The package hands no TIMESTAMP out: ask UNIX_MICROS."""
    epoch = dt.datetime.fromtimestamp(0, dt.UTC)
    for kind, plain in (
        ("int64_value", int),
        ("bool_value", bool),
        ("double_value", float),
        ("string_value", str),
        ("date_value", lambda days: epoch.date() + dt.timedelta(days=days)),
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
        table = query.execute().content.table_data
        rows = table.row if table is not None else []  # no row at all is no table
    return [tuple(_python(cell) for cell in row.cell) for row in rows]
