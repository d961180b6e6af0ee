"""People who asked to be forgotten stay forgotten: every load drops what carries one of their ids.

Only keyed hashes of the ids are kept (``gaelp_users.forgotten_ids``), so the list itself tells nobody who was forgotten.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tasks.core.identifiers import KINDS, PERSON_KIND

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse.base import Warehouse


def forgotten_hash(kind: str, value: str, salt: bytes) -> str:
    """HMAC-SHA-256 of an id under the name salt; the words before it keep it apart from hashes of names."""
    return hmac.new(salt, f"forgotten\x1f{kind}\x1f{value}".encode(), hashlib.sha256).hexdigest()


def read_forgotten(warehouse: Warehouse) -> dict[str, set[str]]:
    """Kind → keyed hashes of the ids that must not come back."""
    found: dict[str, set[str]] = {}
    for kind, digest in warehouse.query("SELECT id_kind, id_hash FROM gaelp_users.forgotten_ids").iter_rows():
        found.setdefault(kind, set()).add(digest)
    return found


def is_forgotten(ids: Mapping[str, str], forgotten: dict[str, set[str]], salt: bytes) -> bool:
    """Whether one of ``ids`` (value by kind) must not come back."""
    return any(kind in forgotten and forgotten_hash(kind, value, salt) in forgotten[kind] for kind, value in ids.items())


def without_forgotten(frame: pl.DataFrame, forgotten: dict[str, set[str]], salt: bytes) -> pl.DataFrame:
    """The rows of ``frame`` in which no column named like a kind of id holds a forgotten one."""
    import polars as pl

    kept = frame
    for kind in (*KINDS, PERSON_KIND):
        digests = forgotten.get(kind)
        if not digests or kind not in frame.columns:
            continue
        values = [value for value in kept[kind].drop_nulls().unique() if forgotten_hash(kind, value, salt) in digests]
        kept = kept.filter(~pl.col(kind).is_in(values).fill_null(False))
    return kept
