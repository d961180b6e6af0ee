"""How well and how fast who is who is told from a million events of known people: prints JSON.

`.venv/bin/python tests/bench/bench_identity.py [--events 1000000]`

The people (tests/identity/people_world.py) share devices, lose cookies, refuse consent, copy links; bots, kiosks and a call
centre are among them. Their events are written to a DuckDB warehouse, which is not counted; then `aelp2 stitch-identities` runs
twice as a process of its own, cold. Precision and recall are of pairs: of events (each takes the person of its first id that has
one), and of ids. ``recall`` is of what the person's own consented events can tell at all, ``recall_of_all`` of everything, and
``true_pairs_of_events`` says what became of all of them (docs/decisions/0009-identity.md). The
second world has over three times as many people on shared devices; where at most one of them signs in, no event shows that they
are several, so its pairs of events are no bar.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import polars as pl  # noqa: E402  # the path above comes first
from identity.people_world import START, World, make_world, score_events, score_ids, true_pairs  # noqa: E402  # the path above comes first

from tasks.core.contracts import load_contract  # noqa: E402  # the path above comes first
from tasks.core.warehouse.duckdb import DuckDBWarehouse  # noqa: E402  # the path above comes first

RUN_DATE = "2026-04-15"
BAR = {"precision": 0.99, "recall": 0.95}


def _stored(warehouse: DuckDBWarehouse, table: str, frame: pl.DataFrame, **constants: object) -> None:
    """Append ``frame`` with ids, days and constants filled in as the loads do."""
    full = frame.drop("truth").with_columns(
        pl.col("event_at").dt.cast_time_unit("us"),
        pl.col("event_at").dt.date().alias("event_date"),
        pl.int_range(pl.len()).cast(pl.String).str.zfill(64).alias("event_id"),
        pl.lit(START).cast(pl.Datetime("us", "UTC")).alias("loaded_at"),
        *(pl.lit(value).alias(name) for name, value in constants.items()),
    )
    schema = load_contract(table).polars_schema()
    warehouse.append(table, full.select(pl.col(column).cast(schema[column]) for column in full.columns))


def _run(path: Path) -> dict[str, float]:
    """Wall and processor seconds and peak MiB of one run of the job."""
    code = "from tasks.cli import main; main()"
    salt = path.with_name("salt")
    env = {**os.environ, "AELP2_DUCKDB_PATH": str(path), "AELP2_NAME_SALT_FILE": str(salt), "PYTHONPATH": str(ROOT)}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, "stitch-identities", "--run-date", RUN_DATE], env=env, check=True, stdout=sys.stderr
    )
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "peak_mb": round(after.ru_maxrss / 1024)}


def one_world(world: World, folder: Path) -> dict[str, object]:
    """Store the world, run the job twice, score what it wrote."""
    warehouse = DuckDBWarehouse(folder / "w.duckdb")
    web = {"property_id": "1", "event_name": "page_view", "is_session_engaged": True, "engagement_seconds": 1.0}
    _stored(warehouse, "ga4.ga4_events", world.web, **web, is_ads_consented=True, is_intraday=False)
    crm = {"source": "crm", "event_name": "purchase", "content_sha256": "0" * 64, "is_ads_consented": True}
    _stored(warehouse, "gaelp_users.server_events", world.server, **crm)
    first, second = _run(folder / "w.duckdb"), _run(folder / "w.duckdb")
    persons = warehouse.query("SELECT id_kind, id, person_id AS person FROM gaelp_users.identity_nodes")
    excluded = warehouse.query(
        "SELECT excluded_reason, COUNT(*) AS ids FROM gaelp_users.identity_nodes "
        "WHERE excluded_reason IS NOT NULL GROUP BY excluded_reason ORDER BY excluded_reason"
    )
    return {
        "events": world.events.height,
        "people": world.events["truth"].n_unique() - 1,
        "ids": persons.height,
        "left_out": dict(excluded.iter_rows()),
        "pairs_of_events": {k: round(v, 4) for k, v in asdict(score_events(world.events, persons)).items()},
        "true_pairs_of_events": {k: round(v, 4) for k, v in true_pairs(world.events, persons).items()},
        "pairs_of_ids": {k: round(v, 4) for k, v in asdict(score_ids(world.events, persons)).items()},
        "first_run": first,
        "second_run": second,
    }


def main() -> None:
    """Both worlds; one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    events = parser.parse_args().events
    results: dict[str, object] = {"benchmark": "identity", "bar": BAR}
    for name, sharing in (("world", 0.01), ("world_of_shared_devices", 0.033)):
        with tempfile.TemporaryDirectory() as folder:
            results[name] = one_world(make_world(events, sharing=sharing), Path(folder))
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
