"""Which columns of which tables hold ids of people, told from the contracts.

A column named like a kind of id (``email_sha256``, ``gclid``) holds ids of that kind, ``person_id`` and ``…_person_id`` persons,
and a pair ``…id_kind`` / ``…id`` the kind and the id. A column ``row_json`` holds whole rows of other tables, ids included.
Tests hold every contract against these rules, so a new table is found by deletion and retention without being listed anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tasks.core.contracts import TableContract, all_contracts

# Who: an id the person gave or got by signing in. Their order is the one in which an event's person is looked up.
STRONG_KINDS = ("user_id_hash", "email_sha256", "phone_sha256")
COOKIE_KIND = "user_pseudo_id"
CLICK_KINDS = ("gclid", "fbclid", "ttclid", "li_fat_id")
KINDS = (*STRONG_KINDS, COOKIE_KIND, *CLICK_KINDS)
# Google hands one gbraid or wbraid to many people on purpose: they are no ids of a person and never stitched or forgotten.
AGGREGATE_KINDS = ("gbraid", "wbraid")
PERSON_KIND = "person_id"
COOKIE_PERSON = "cookie:"  # before a cookie: the person of visits on a cookie that nobody knows the person of
ROW_JSON = "row_json"


@dataclass(frozen=True)
class IdColumn:
    """A column that holds ids: of ``kind``, or of the kind that ``kind_column`` says row by row."""

    table: str
    column: str
    kind: str | None
    kind_column: str | None = None

    def holds(self, kind: str) -> bool:
        """Whether ids of ``kind`` may stand in the column."""
        return kind == self.kind or (self.kind_column is not None and kind in (*KINDS, PERSON_KIND))


def columns_of(contract: TableContract) -> Iterator[IdColumn]:
    """The id columns of one table."""
    names = set(contract.columns)
    for name in contract.columns:
        if name in KINDS:
            yield IdColumn(contract.name, name, name)
        elif name == PERSON_KIND or name.endswith(f"_{PERSON_KIND}"):
            yield IdColumn(contract.name, name, PERSON_KIND)
        elif (name == "id" or name.endswith("_id")) and f"{name}_kind" in names:
            yield IdColumn(contract.name, name, None, f"{name}_kind")


def holds_rows(contract: TableContract) -> bool:
    """Whether the table keeps whole rows of other tables as JSON."""
    return ROW_JSON in contract.columns


def id_columns() -> list[IdColumn]:
    """Every column of every table that holds ids of people."""
    return [column for contract in all_contracts() for column in columns_of(contract)]
