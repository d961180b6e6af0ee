"""Deleting a person: every row that holds one of the person's ids, and a keyed hash so that no load brings them back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from tasks.core.clock import utc_now
from tasks.core.contracts import TableContract, all_contracts, load_contract
from tasks.core.errors import Refused
from tasks.core.forgotten import forgotten_hash
from tasks.core.identifiers import COOKIE_KIND, COOKIE_PERSON, PERSON_KIND, IdColumn, columns_of, holds_rows, id_columns
from tasks.core.redaction import hash_name

if TYPE_CHECKING:
    from tasks.core.warehouse.base import Warehouse

FORGOTTEN, NODES, EDGES = "gaelp_users.forgotten_ids", "gaelp_users.identity_nodes", "gaelp_users.identity_edges"
VALUES_AT_ONCE = 5_000
Id = tuple[str, str]


@dataclass(frozen=True)
class Target:
    """Rows to delete: those whose ``column`` holds one of ``values`` (and whose kind is ``where``)."""

    column: IdColumn
    values: tuple[str, ...]
    where: dict[str, str]


def with_whole_persons(warehouse: Warehouse, ids: set[Id]) -> set[Id]:
    """``ids``, the persons they belong to (kind ``person_id``), and all other ids of these persons.

    A shared id has no person, so forgetting it takes nobody else along.
    """
    nodes = warehouse.query("SELECT id_kind, id, person_id FROM gaelp_users.identity_nodes WHERE person_id IS NOT NULL")
    persons = {person for kind, value, person in nodes.iter_rows() if (kind, value) in ids}
    others = {(kind, value) for kind, value, person in nodes.iter_rows() if person in persons}
    return ids | others | {(PERSON_KIND, person) for person in persons}


def targets(ids: set[Id]) -> list[Target]:
    """What to delete where. The tables of who is who come last: a run that dies before can still be done again."""
    found = []
    for column in id_columns():
        for kind in sorted({kind for kind, _ in ids}):
            if column.holds(kind):
                values = tuple(sorted(value for other, value in ids if other == kind))
                found.append(Target(column, values, {column.kind_column: kind} if column.kind_column else {}))
    return sorted(found, key=lambda target: (target.column.table == NODES, target.column.table == EDGES))


def _parts(values: tuple[str, ...]) -> Iterator[list[str]]:
    for start in range(0, len(values), VALUES_AT_ONCE):
        yield list(values[start : start + VALUES_AT_ONCE])


def count_rows(warehouse: Warehouse, target: Target) -> int:
    """Rows of the target now."""
    table, column, narrowed = target.column.table, target.column.column, ""
    params: dict[str, object] = {}
    for kind_column, kind in target.where.items():
        narrowed = f" AND {kind_column} = @id_kind"
        params["id_kind"] = kind
    sql = f"SELECT COUNT(*) AS n FROM {table} WHERE {column} IN UNNEST(@ids){narrowed}"  # noqa: S608  # names of a contract
    return sum(int(warehouse.query(sql, params | {"ids": part})["n"][0]) for part in _parts(target.values))


def delete_rows(warehouse: Warehouse, target: Target) -> int:
    """Delete the target; returns how many rows there were."""
    return sum(
        warehouse.delete(target.column.table, column=target.column.column, values=part, where=target.where)
        for part in _parts(target.values)
    )


def remember(warehouse: Warehouse, ids: Iterable[Id], salt: bytes, why: str, run_date: date) -> int:
    """Keep a keyed hash of each id; returns how many are new."""
    import polars as pl

    now = utc_now()
    rows = [
        {"id_kind": kind, "id_hash": forgotten_hash(kind, value, salt), "run_date": run_date, "why": why, "forgotten_at": now}
        for kind, value in sorted(ids)
    ]
    return warehouse.insert_new(FORGOTTEN, pl.DataFrame(rows, schema=load_contract(FORGOTTEN).polars_schema()))


def forget(
    warehouse: Warehouse, ids: set[Id], *, salt: bytes, why: str, run_date: date, max_ids: int, do_delete: bool
) -> dict[str, int]:
    """Rows by table that hold one of ``ids``; with ``do_delete`` they are gone and remembered as forgotten.

    Refused if there are more ids than ``max_ids``. First the hashes, then the rows: from then on no load brings them back. Rows
    set aside as JSON go too.
    """
    if len(ids) > max_ids:
        raise Refused(f"{len(ids):,} ids would be forgotten, over --max-ids {max_ids:,}; look who they are before you raise it")
    if do_delete:
        remember(warehouse, ids, salt, why, run_date)
    ids = ids | {(PERSON_KIND, f"{COOKIE_PERSON}{value}") for kind, value in ids if kind == COOKIE_KIND}
    rows = {
        contract.name: forget_rows_as_json(warehouse, contract, ids, salt, do_delete=do_delete)
        for contract in all_contracts()
        if holds_rows(contract)
    }
    for target in targets(ids):
        found = delete_rows(warehouse, target) if do_delete else count_rows(warehouse, target)
        rows[target.column.table] = rows.get(target.column.table, 0) + found
    return rows


def forget_rows_as_json(warehouse: Warehouse, contract: TableContract, ids: set[Id], salt: bytes, *, do_delete: bool) -> int:
    """Rows of a table that keeps rows as JSON in which one of ``ids`` stands anywhere; with ``do_delete`` they are gone.

    A load sets rows aside with the hash of a cookie instead of the cookie, so that hash counts as the cookie.
    """
    (key,) = contract.grain
    wanted = {value for _, value in ids} | {str(hash_name(value, salt)) for kind, value in ids if kind == COOKIE_KIND}
    days = warehouse.query(f"SELECT DISTINCT {contract.partition} AS day_date FROM {contract.name}")["day_date"]  # noqa: S608  # of a contract
    found = 0
    for day in days.sort():  # a day at a time: the table may be large
        sql = f"SELECT {key} AS row_key, reason, row_json FROM {contract.name} WHERE {contract.partition} = @day_date"  # noqa: S608  # the same
        rows = warehouse.query(sql, {"day_date": day})
        hits = tuple(key for key, reason, text in rows.iter_rows() if wanted & {*_words(reason), *_texts(json.loads(text))})
        found += len(hits)
        if do_delete:
            for part in _parts(hits):
                warehouse.delete(contract.name, column=key, values=part)
    return found


def _words(text: str) -> list[str]:
    """The words of a sentence, without the punctuation around them."""
    return [word.strip("\"'`.,;:()[]{}<>") for word in re.split(r"[\s=,;'\"]+", text)]


def _texts(value: object) -> Iterator[str]:
    """Every text and number of parsed JSON, however deep."""
    if isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    else:
        yield str(value)


def sweep(warehouse: Warehouse, run_date: date, days: int, *, do_delete: bool) -> dict[str, int]:
    """Rows by table with ids of people that are older than ``days``; with ``do_delete`` they are gone."""
    before = run_date - timedelta(days=days)
    tables = [c for c in all_contracts() if c.partition and (list(columns_of(c)) or holds_rows(c))]
    return {contract.name: sweep_table(warehouse, contract, before, do_delete=do_delete) for contract in tables}


def sweep_table(warehouse: Warehouse, contract: TableContract, before: date, *, do_delete: bool) -> int:
    """Rows of one table before the day ``before``; with ``do_delete`` they are gone."""
    sql = (
        f"SELECT {contract.partition} AS day_date, COUNT(*) AS n FROM {contract.name} "  # noqa: S608  # names of a contract
        f"WHERE {contract.partition} < @before_date GROUP BY day_date"
    )
    found = warehouse.query(sql, {"before_date": before})
    if do_delete and found.height:
        warehouse.replace_partitions(contract.name, contract.empty_frame(), partitions=list(found["day_date"]))
    return int(found["n"].sum())
