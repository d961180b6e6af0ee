"""Stitching on the warehouse: edges of the days whose events are newer than their edges, then who is who of all days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from tasks.core.clock import utc_now
from tasks.core.forgotten import read_forgotten, without_forgotten
from tasks.identity.edges import edges_of
from tasks.identity.persons import name_persons
from tasks.identity.stitching import Limits, Stitching

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse.base import Warehouse

EDGES, NODES, CHANGES = "gaelp_users.identity_edges", "gaelp_users.identity_nodes", "gaelp_users.identity_person_changes"
MAX_DAYS_AT_ONCE = 7
_DAY = timedelta(days=1)
_KEY = ["id_kind", "id"]
_FACTS = ["person_id", "excluded_reason", "first_seen_at", "last_seen_at", "event_count"]


@dataclass(frozen=True)
class Stitched:
    """What one run did: days whose edges were made anew, ids and persons known now, rows written and deleted."""

    days: int
    ids: int
    persons: int
    excluded: int
    merged: int
    split: int
    written: int
    deleted: int


def stale_days(warehouse: Warehouse, start: date, run_date: date) -> list[date]:
    """Days in ``[start, run_date)`` with events that came after their edges were made, or with edges and no events."""
    import polars as pl

    days = warehouse.query_file("gaelp_users/identity_days/query.sql", {"start_date": start, "run_date": run_date})
    is_stale = pl.col("edges_at").is_null() | pl.col("events_at").is_null() | (pl.col("events_at") >= pl.col("edges_at"))
    return sorted(days.filter(is_stale)["event_date"])


def _runs(days: list[date]) -> Iterator[list[date]]:
    """``days`` in runs without a gap, short enough to be read at once."""
    run: list[date] = []
    for day in days:
        if run and (day != run[-1] + _DAY or len(run) == MAX_DAYS_AT_ONCE):
            yield run
            run = []
        run.append(day)
    if run:
        yield run


def refresh_edges(warehouse: Warehouse, days: list[date], salt: bytes) -> None:
    """Make the edges of ``days`` anew from their events."""
    import polars as pl

    forgotten, now = read_forgotten(warehouse), utc_now()
    for run in _runs(days):
        window = {"start_date": run[0], "end_date": run[-1] + _DAY}
        ga4 = warehouse.query_file("gaelp_users/identity_ga4_sightings/query.sql", window)
        server = warehouse.query_file("gaelp_users/identity_server_sightings/query.sql", window)
        sightings = pl.concat([ga4, server.with_columns(is_analytics_consented=pl.lit(True))], how="diagonal")
        edges = edges_of(without_forgotten(sightings, forgotten, salt))
        stamp = pl.lit(now).cast(pl.Datetime("us", "UTC")).alias("loaded_at")
        warehouse.replace_partitions(EDGES, edges.with_columns(stamp), partitions=run)


def stitch(warehouse: Warehouse, run_date: date, window_days: int, salt: bytes, limits: Limits) -> Stitched:
    """Bring edges, nodes and person changes up to ``run_date``; a second run writes nothing new."""
    import polars as pl

    start = run_date - window_days * _DAY
    with warehouse.exclusive("stitch-identities"):
        days = stale_days(warehouse, start, run_date)
        refresh_edges(warehouse, days, salt)
        links = warehouse.query_file("gaelp_users/identity_links/query.sql", {"start_date": start, "run_date": run_date})
        previous = warehouse.query(
            "SELECT id_kind, id, person_id, excluded_reason, first_seen_at, last_seen_at, event_count "
            "FROM gaelp_users.identity_nodes"
        )
        nodes, changes = name_persons(Stitching(links, limits).run(), previous, salt)
        _write_changes(warehouse, changes, run_date)
        written = _write_nodes(warehouse, nodes, previous)
        deleted = _delete_vanished(warehouse, nodes, previous)
    return Stitched(
        days=len(days),
        ids=nodes.height,
        persons=nodes["person_id"].drop_nulls().n_unique(),
        excluded=nodes["excluded_reason"].drop_nulls().len(),
        merged=changes.filter(pl.col("change") == "merged").height,
        split=changes.filter(pl.col("change") == "split").height,
        written=written,
        deleted=deleted,
    )


def _write_changes(warehouse: Warehouse, changes: pl.DataFrame, run_date: date) -> None:
    """Before the nodes: if the run dies in between, the next one finds the same changes and they are there once."""
    import polars as pl

    stamp = pl.lit(utc_now()).cast(pl.Datetime("us", "UTC")).alias("found_at")
    if not changes.is_empty():
        warehouse.insert_new(CHANGES, changes.with_columns(stamp, pl.lit(run_date).alias("run_date")))


def _write_nodes(warehouse: Warehouse, nodes: pl.DataFrame, previous: pl.DataFrame) -> int:
    """Write the nodes that are new or changed; returns how many."""
    import polars as pl

    is_same = pl.all_horizontal(pl.col(fact).eq_missing(pl.col(f"{fact}_before")) for fact in _FACTS)
    changed = (
        nodes.join(previous.with_columns(is_known=pl.lit(True)), on=_KEY, how="left", suffix="_before")
        .filter(pl.col("is_known").is_null() | ~is_same)
        .select(
            *_KEY,
            *_FACTS,
            pl.col("last_seen_at").dt.date().alias("last_seen_date"),
            pl.lit(utc_now()).cast(pl.Datetime("us", "UTC")).alias("stitched_at"),
        )
    )
    return warehouse.merge(NODES, changed) if changed.height else 0


def _delete_vanished(warehouse: Warehouse, nodes: pl.DataFrame, previous: pl.DataFrame) -> int:
    """Delete ids that no event of the window carries any longer: too old, forgotten, or taken back by the source."""
    gone = previous.join(nodes, on=_KEY, how="anti")
    deleted = 0
    for (kind,), rows in gone.group_by("id_kind"):
        for part in rows.iter_slices(10_000):
            deleted += warehouse.delete(NODES, column="id", values=list(part["id"]), where={"id_kind": kind})
    return deleted
