"""Person ids that stay the same from day to day, although groups of ids grow, join and fall apart.

A group keeps the person id of its oldest member that had one. If a person falls apart, the part with the oldest id keeps the
person id. What changes hands is written down.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_KEY = ["id_kind", "id"]


def new_person_id(id_kind: str, value: str, taken: set[str], salt: bytes) -> str:
    """A person id made of the oldest id of the person; another one if somebody else has it already.

    Keyed with the salt: whoever knows an e-mail address cannot work out whose rows are whose.
    """
    number = 0
    while True:
        text = f"person\x1f{id_kind}\x1f{value}\x1f{number}"
        person_id = hmac.new(salt, text.encode(), hashlib.sha256).hexdigest()[:32]
        if person_id not in taken:
            taken.add(person_id)
            return person_id
        number += 1


def name_persons(nodes: pl.DataFrame, previous: pl.DataFrame, salt: bytes) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(nodes with ``person_id``, changes).

    Args:
        nodes: id_kind, id, node (oldest first), group (number of the person's oldest id, null for nobody) and excluded_reason,
            as stitched today.
        previous: id_kind, id, person_id, first_seen_at, as written the last time.
        salt: the name salt.

    Returns:
        The nodes with ``person_id``, and change, person_id, other_person_id, id_count as in
        ``gaelp_users.identity_person_changes``.
    """
    import polars as pl

    before = previous.filter(pl.col("person_id").is_not_null()).select(*_KEY, pl.col("person_id").alias("old"), "first_seen_at")
    ages = before.group_by("old").agg(pl.col("first_seen_at").min().alias("age"))
    known = nodes.drop_nulls("group").join(before.select(*_KEY, "old"), on=_KEY)
    # Each old person goes to the group that holds its oldest id; of several a group takes the oldest. A cookie that withdrew its
    # consent leaves the person, so it comes last.
    holders = (
        known.sort(pl.col("excluded_reason").is_not_null(), "node")
        .unique("old", keep="first", maintain_order=True)
        .join(ages, on="old")
    )
    kept = holders.sort("age", "old").unique("group", keep="first", maintain_order=True).select("group", "old")
    taken = set(kept["old"])
    nameless = nodes.filter(pl.col("node") == pl.col("group")).join(kept, on="group", how="anti").sort("node")
    made = [new_person_id(kind, value, taken, salt) for kind, value in nameless.select(*_KEY).iter_rows()]
    names = pl.concat([kept, nameless.select("group", pl.Series("old", made, dtype=pl.String))]).rename({"old": "person_id"})
    named = nodes.join(names, on="group", how="left", maintain_order="left")
    return named, _changes(named.join(before.select(*_KEY, "old"), on=_KEY), set(names["person_id"]))


def _changes(moved: pl.DataFrame, in_use: set[str]) -> pl.DataFrame:
    """What became of each old person whose ids now belong to another."""
    import polars as pl

    pairs = (
        moved.filter(pl.col("person_id").is_not_null() & (pl.col("person_id") != pl.col("old")))
        .group_by("old", "person_id")
        .agg(pl.len().cast(pl.Int64).alias("id_count"))
        .sort("old", "person_id")
    )
    is_split = pl.col("old").is_in(list(in_use))
    return pairs.select(
        pl.when(is_split).then(pl.lit("split")).otherwise(pl.lit("merged")).alias("change"),
        pl.when(is_split).then("old").otherwise("person_id").alias("person_id"),
        pl.when(is_split).then("person_id").otherwise("old").alias("other_person_id"),
        "id_count",
    )
