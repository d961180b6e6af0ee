"""What of the contracts is out already: ``include/sql/released.json``, the tables as the last release made them.

A table in BigQuery takes new columns, and only nullable or repeated ones; it loses none and changes no type or partition, and the
rows that are there keep their grain. A required column may become nullable.
Whatever else a table.yaml changes is a new table with suffix ``_v2``. The file is written by the release, never by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tasks.core.contracts import SQL_ROOT, TableContract

PATH = SQL_ROOT / "released.json"
Released = Mapping[str, Mapping[str, Any]]


def as_released(contracts: Iterable[TableContract]) -> dict[str, dict[str, Any]]:
    """The tables of ``contracts`` as the file keeps them: grain, partition, and the columns with type and mode."""
    return {
        contract.name: {
            "grain": list(contract.grain),
            "partition": contract.partition,
            "columns": {field["name"]: f"{field['type']} {field['mode']}" for field in contract.bigquery_schema()},
        }
        for contract in contracts
        if contract.view is None
    }


def released() -> Released:
    """The tables as the last release made them."""
    found: Released = json.loads(PATH.read_text(encoding="utf-8"))
    return found


def rendered(tables: Released) -> str:
    """The file's text, one line a table."""
    lines = [f"{json.dumps(name)}: {json.dumps(table)}" for name, table in sorted(tables.items())]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def incompatible_changes(before: Released, now: Released) -> list[str]:
    """What cannot be done to a table that is out, each with what to do instead."""
    found = []
    for name, old in before.items():
        new = now.get(name)
        if new is None:
            found.append(
                f"{name} is gone; its rows would be: keep the contract, or take the table out of released.json knowingly"
            )
            continue
        found += [
            f"{name}: {key} was {old[key]} and is {new[key]}; make a new table {name}_v2"
            for key in ("grain", "partition")
            if old[key] != new[key]
        ]
        for column, kind in old["columns"].items():
            if column not in new["columns"]:
                found.append(f"{name}.{column} is gone; make a new table {name}_v2")
            elif new["columns"][column] not in (kind, kind.replace(" REQUIRED", " NULLABLE")):
                found.append(f"{name}.{column} was {kind} and is {new['columns'][column]}; make a new table {name}_v2")
        found += [
            f"{name}.{column} is new and required; BigQuery adds nullable columns only: leave `required` out"
            for column, kind in new["columns"].items()
            if column not in old["columns"] and kind.endswith(" REQUIRED")
        ]
        kept = [column for column in old["columns"] if column in new["columns"]]
        if list(new["columns"])[: len(kept)] != kept:
            found.append(f"{name}: columns that are out changed their order; a new column stands last, as BigQuery puts it")
    return found
