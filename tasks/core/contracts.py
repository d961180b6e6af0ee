"""Table contracts: one YAML per table, from which every schema of the system is derived.

``include/sql/<dataset>/<table>/table.yaml`` → pandera (Polars) schema, BigQuery schema JSON, DuckDB DDL, data dictionary.
Nothing else in the project spells a column list out. A ``view.sql`` beside it makes it a view: its rows are those of the query.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from tasks.core.errors import JobError

if TYPE_CHECKING:
    import pandera.polars as pa
    import polars as pl

SQL_ROOT = Path(__file__).resolve().parents[2] / "include" / "sql"

FieldType = Literal["STRING", "INT64", "FLOAT64", "BOOL", "DATE", "TIMESTAMP"]
_DUCKDB_TYPES = {
    "STRING": "VARCHAR",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "BOOL": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMPTZ",
}
_BIGQUERY_TYPES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
# Back from what a warehouse calls a type; its own word where no contract has the type.
_FROM_DUCKDB = {physical: logical for logical, physical in _DUCKDB_TYPES.items()} | {"TIMESTAMP WITH TIME ZONE": "TIMESTAMP"}
_FROM_BIGQUERY = {physical: logical for logical, physical in _BIGQUERY_TYPES.items()}
_TABLE_KEYS = {"description", "owner", "grain", "partition", "cluster", "freshness_hours", "fields"}
_FIELD_KEYS = {"type", "required", "repeated", "unit", "min", "max", "enum", "pattern", "pii", "compressed", "description"}


@dataclass(frozen=True)
class Field:
    """One column of a contract.

    ``minimum``/``maximum`` are inclusive, ``pattern`` is an anchored regular expression, ``pii`` marks personal data that a
    policy tag must protect. ``compressed=False`` lets DuckDB write a column of ids as it is: where a table is made anew every
    day, half the time of writing is worth more than half the space.
    """

    name: str
    type: FieldType
    description: str
    required: bool = False
    repeated: bool = False
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    enum: tuple[str, ...] = ()
    pattern: str | None = None
    pii: bool = False
    compressed: bool = True

    def polars_dtype(self) -> pl.DataType:
        """The Polars dtype the column must have, e.g. ``Datetime('us', 'UTC')`` for TIMESTAMP."""
        import polars as pl

        scalar: pl.DataType = {
            "STRING": pl.String(),
            "INT64": pl.Int64(),
            "FLOAT64": pl.Float64(),
            "BOOL": pl.Boolean(),
            "DATE": pl.Date(),
            "TIMESTAMP": pl.Datetime("us", "UTC"),
        }[self.type]
        return pl.List(scalar) if self.repeated else scalar

    def duckdb_type(self) -> str:
        """The DuckDB column type, e.g. ``VARCHAR[]``."""
        return _DUCKDB_TYPES[self.type] + ("[]" if self.repeated else "")

    def type_name(self) -> str:
        """The type as a contract's reader would say it, e.g. ``STRING[]`` for a list."""
        return self.type + ("[]" if self.repeated else "")


@dataclass(frozen=True)
class TableContract:
    """A table: its meaning, its unique key (``grain``), its physical layout and its fields in order.

    ``view`` is the query of a view, which nobody writes; None for a table.
    """

    dataset: str
    table: str
    description: str
    owner: str
    grain: tuple[str, ...]
    fields: tuple[Field, ...]
    partition: str | None = None
    cluster: tuple[str, ...] = ()
    freshness_hours: int | None = None
    view: str | None = None

    @property
    def name(self) -> str:
        """``dataset.table``."""
        return f"{self.dataset}.{self.table}"

    @property
    def view_sha256(self) -> str:
        """SHA-256 of the view's text: another one and the view in the warehouse is an old one."""
        return hashlib.sha256((self.view or "").encode()).hexdigest()

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(field.name for field in self.fields)

    def polars_schema(self) -> dict[str, pl.DataType]:
        """Column name → Polars dtype, in order."""
        return {field.name: field.polars_dtype() for field in self.fields}

    def empty_frame(self) -> pl.DataFrame:
        """A frame with the contract's columns and no rows."""
        import polars as pl

        return pl.DataFrame(schema=self.polars_schema())

    def pandera_schema(self) -> pa.DataFrameSchema:
        """Strict pandera schema (Polars backend): dtypes, nulls, ranges, enums, patterns and the grain as unique key."""
        import pandera.polars as pa

        columns = {}
        for field in self.fields:
            checks = []
            if field.minimum is not None:
                checks.append(pa.Check.ge(field.minimum))
            if field.maximum is not None:
                checks.append(pa.Check.le(field.maximum))
            if field.enum:
                checks.append(pa.Check.isin(list(field.enum)))
            if field.pattern is not None:
                checks.append(pa.Check.str_matches(field.pattern))
            columns[field.name] = pa.Column(field.polars_dtype(), checks=checks, nullable=not field.required)
        return pa.DataFrameSchema(columns, strict=True, ordered=False, unique=list(self.grain), name=self.name)

    def bigquery_schema(self) -> list[dict[str, Any]]:
        """The schema as BigQuery's REST API and Terraform take it."""
        return [
            {
                "name": field.name,
                "type": _BIGQUERY_TYPES.get(field.type, field.type),
                "mode": "REPEATED" if field.repeated else "REQUIRED" if field.required else "NULLABLE",
                "description": field.description,
            }
            for field in self.fields
        ]

    def duckdb_ddl(self) -> str:
        """``CREATE TABLE IF NOT EXISTS`` for DuckDB with NOT NULL constraints; uniqueness is kept by the writers.

        A view is made anew and says in its comment which text made it.
        """
        if self.view is not None:
            from tasks.core.warehouse.dialect import to_duckdb

            name = f'"{self.dataset}"."{self.table}"'
            return f"CREATE OR REPLACE VIEW {name} AS {to_duckdb(self.view).sql};\nCOMMENT ON VIEW {name} IS '{self.view_sha256}'"
        columns = [
            f'"{f.name}" {f.duckdb_type()}{" NOT NULL" * f.required}{" USING COMPRESSION uncompressed" * (not f.compressed)}'
            for f in self.fields
        ]
        return f'CREATE TABLE IF NOT EXISTS "{self.dataset}"."{self.table}" (\n  ' + ",\n  ".join(columns) + "\n)"


def type_from_duckdb(physical: str) -> str:
    """``VARCHAR[]`` → ``STRING[]``; a type that no contract has keeps DuckDB's word."""
    scalar = physical.removesuffix("[]")
    return _FROM_DUCKDB.get(scalar, scalar) + ("[]" if physical.endswith("[]") else "")


def type_from_bigquery(physical: str, mode: str | None) -> str:
    """``INTEGER``, ``REPEATED`` → ``INT64[]``; a type that no contract has keeps BigQuery's word."""
    return _FROM_BIGQUERY.get(physical, physical) + ("[]" if mode == "REPEATED" else "")


def _field(table: str, name: str, raw: Mapping[str, Any]) -> Field:
    unknown = set(raw) - _FIELD_KEYS
    if unknown:
        raise JobError(f"{table}.{name}: unknown key {sorted(unknown)}; allowed: {sorted(_FIELD_KEYS)}")
    if raw.get("type") not in get_args(FieldType):
        raise JobError(f"{table}.{name}: type {raw.get('type')!r} is not one of {list(get_args(FieldType))}")
    if not raw.get("description"):
        raise JobError(f"{table}.{name}: has no description; say what the column means")
    return Field(
        name=name,
        type=raw["type"],
        description=raw["description"],
        required=raw.get("required", False),
        repeated=raw.get("repeated", False),
        unit=raw.get("unit"),
        minimum=raw.get("min"),
        maximum=raw.get("max"),
        enum=tuple(raw.get("enum", ())),
        pattern=raw.get("pattern"),
        pii=raw.get("pii", False),
        compressed=raw.get("compressed", True),
    )


def parse_contract(name: str, raw: Mapping[str, Any], view: str | None = None) -> TableContract:
    """Build the contract of table ``name`` (``dataset.table``) from its parsed YAML; JobError names what is wrong.

    ``view`` is the text of its view.sql; a view of one table may say ``like: dataset.table`` instead of grain and fields.
    """
    if view is not None and "like" in raw:
        return _like(load_contract(raw["like"]), name, raw, view)
    unknown = set(raw) - _TABLE_KEYS
    missing = {"description", "owner", "grain", "fields"} - set(raw)
    if unknown or missing:
        raise JobError(f"{name}: table.yaml has unknown keys {sorted(unknown)} and lacks {sorted(missing)}")
    dataset, table = name.split(".")
    contract = TableContract(
        dataset=dataset,
        table=table,
        description=raw["description"],
        owner=raw["owner"],
        grain=tuple(raw["grain"]),
        fields=tuple(_field(name, field, spec) for field, spec in raw["fields"].items()),
        partition=raw.get("partition"),
        cluster=tuple(raw.get("cluster", ())),
        freshness_hours=raw.get("freshness_hours"),
        view=view,
    )
    if view is not None and (physical := {"partition", "cluster", "freshness_hours"} & set(raw)):
        raise JobError(f"{name}: a view has no {', '.join(sorted(physical))}; they are those of the tables it reads")
    by_name = {field.name: field for field in contract.fields}
    for column in (*contract.grain, *contract.cluster, *([contract.partition] if contract.partition else [])):
        if column not in by_name:
            raise JobError(f"{name}: grain, partition or cluster names {column!r}, which is not a field")
    for column in contract.grain:
        if not by_name[column].required:
            raise JobError(f"{name}: grain column {column!r} must be required")
    if contract.partition and by_name[contract.partition].type != "DATE":
        raise JobError(f"{name}: partition column {contract.partition!r} must be a DATE")
    return contract


def _like(other: TableContract, name: str, raw: Mapping[str, Any], view: str) -> TableContract:
    """The contract of a view that has the grain and the fields of ``other``."""
    if set(raw) != {"description", "owner", "like"}:
        raise JobError(f"{name}: a table.yaml with `like` has description and owner beside it, not {', '.join(sorted(raw))}")
    dataset, table = name.split(".")
    return TableContract(dataset, table, raw["description"], raw["owner"], other.grain, other.fields, view=view)


@functools.cache
def load_contract(name: str) -> TableContract:
    """Contract of ``dataset.table``; JobError if there is no such table."""
    import yaml

    dataset, _, table = name.partition(".")
    path = SQL_ROOT / dataset / table / "table.yaml"
    if not table or not path.is_file():
        raise JobError(f"no contract for table {name!r}: include/sql/{dataset}/{table}/table.yaml does not exist")
    view = path.with_name("view.sql")
    text = view.read_text(encoding="utf-8") if view.is_file() else None
    return parse_contract(name, yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader), text)


def all_contracts(*, views: bool = False) -> list[TableContract]:
    """Every table's contract, sorted by name; with ``views`` those of the views after them."""
    return [contract for contract in _contracts() if contract.view is None] + [
        contract for contract in _contracts() if views and contract.view is not None
    ]


def _contracts() -> list[TableContract]:
    return [load_contract(f"{p.parent.parent.name}.{p.parent.name}") for p in sorted(SQL_ROOT.glob("*/*/table.yaml"))]
