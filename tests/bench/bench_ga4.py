"""How fast GA4 events come in and become sessions: prints JSON.

`.venv/bin/python tests/bench/bench_ga4.py [--events 2000000]`

Two million synthetic events of the nested export, those of the sandbox's persons at a sampling rate of one, so that names,
parameters and their number per event are the export's own:

- ``flatten`` is the SQL that turns one export table into flat rows, ``judge`` the rules, hashes and row form that follow,
  ``write`` the transaction into ga4.ga4_events;
- ``sessions`` is `aelp2 build-journeys` as a process of its own, cold, from ga4.ga4_events to journey_sessions,
  persistent_touchpoints, paths and steps. It reads the events twice over (the second time on other cookies), on thirty days, with
  every cookie, user id and click known to be of a person.

``cpu_s`` is the processor time of the same work over all threads; on a machine that does other things it is the steadier
figure, and ``events_per_s_two_cores`` is events over half of it, what two idle cores make if the work spreads over both. Making
the events is not counted.
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
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

HISTORY_DAYS, DAY = 120, date(2026, 3, 1)
SESSION_DAYS, COPIES = 30, 2
BAR_EVENTS_PER_S = 1_000_000


def write_events(folder: Path, events: int) -> None:
    """One export table of ``events`` events, dated to one day."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from tasks.lab.ga4_export import Ga4Export, export_table
    from tasks.lab.market import Market
    from tasks.lab.world import load_world

    world = load_world("acme")
    people = world.people.model_copy(update={"sampling_rate": 1.0})
    market = Market(world.model_copy(update={"people": people}), 7, date(2025, 1, 6), HISTORY_DAYS)
    market.run_to(HISTORY_DAYS)
    export, tables, rows = Ga4Export(market, folder), [], 0
    for day in reversed(range(HISTORY_DAYS)):
        tables.append(export_table(export.events(day), f"{DAY:%Y%m%d}", is_intraday=False))
        rows += tables[-1].num_rows
        if rows >= events:
            break
    table = pa.concat_tables(tables).slice(0, events)
    start = int(datetime.combine(DAY, datetime.min.time(), tzinfo=UTC).timestamp())
    since_midnight = pc.subtract(
        table["event_timestamp"], pc.multiply(pc.divide(table["event_timestamp"], 86_400_000_000), 86_400_000_000)
    )
    moved = pc.add(since_midnight, start * 1_000_000)
    table = table.set_column(table.schema.get_field_index("event_timestamp"), "event_timestamp", moved)
    export.path.mkdir(parents=True)
    pq.write_table(table, export.path / f"events_{DAY:%Y%m%d}.parquet", row_group_size=122_880)


def timed(result: dict[str, Any], name: str, work: Callable[[], Any]) -> Any:
    """What ``work`` gives; its seconds go into ``result``."""
    wall, cpu = time.perf_counter(), time.process_time()
    done = work()
    result[f"{name}_s"] = round(time.perf_counter() - wall, 3)
    result[f"{name}_cpu_s"] = round(time.process_time() - cpu, 3)
    return done


def spread(path: Path) -> int:
    """Lay the events of the one day on thirty, COPIES times, and name the persons; returns how many events there are."""
    import duckdb

    from tasks.core.contracts import load_contract

    event = "FLOOR(HASH(user_pseudo_id, session_id, copy) / 2**40)::BIGINT"
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone='UTC'")
        connection.execute(
            f"""CREATE TEMP TABLE spread AS SELECT * EXCLUDE (copy) REPLACE (
                user_pseudo_id || '.' || copy AS user_pseudo_id, event_id || '.' || copy AS event_id,
                SHA256(user_id_hash || copy) AS user_id_hash, SHA256(transaction_id_hash || copy) AS transaction_id_hash,
                event_date - ({event} % {SESSION_DAYS})::INTEGER AS event_date,
                event_at - INTERVAL (({event} % {SESSION_DAYS})) DAY AS event_at
            ) FROM ga4.ga4_events, (SELECT UNNEST(RANGE({COPIES})) AS copy)"""
        )
        connection.execute("DELETE FROM ga4.ga4_events")
        connection.execute("INSERT INTO ga4.ga4_events BY NAME FROM spread")
        connection.execute("CREATE SCHEMA IF NOT EXISTS gaelp_users")
        connection.execute(load_contract("gaelp_users.identity_nodes").duckdb_ddl())
        for kind in ("user_pseudo_id", "user_id_hash", "gclid"):
            connection.execute(
                f"""INSERT INTO gaelp_users.identity_nodes BY NAME SELECT '{kind}' AS id_kind, {kind} AS id,
                    MD5(MIN(user_pseudo_id)) AS person_id, MIN(event_at) AS first_seen_at, MAX(event_at) AS last_seen_at,
                    MAX(event_date) AS last_seen_date, COUNT(*) AS event_count, MAX(loaded_at) AS stitched_at
                    FROM spread WHERE {kind} IS NOT NULL GROUP BY {kind}"""
            )
        ((events,),) = connection.execute("SELECT COUNT(*) FROM ga4.ga4_events").fetchall()
    return int(events)


def build_journeys(path: Path) -> dict[str, float]:
    """Wall and processor seconds and peak MiB of one cold run of the job."""
    env = {**os.environ, "AELP2_DUCKDB_PATH": str(path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from tasks.cli import main; main()", "build-journeys"]
    os.sync()  # what was made for the measurement is on the disk before it begins
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*command, "--run-date", str(DAY + timedelta(days=1))], env=env, check=True, stdout=sys.stderr)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"sessions_s": round(wall, 3), "sessions_cpu_s": round(cpu, 3), "sessions_peak_mb": round(after.ru_maxrss / 1024)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    events = parser.parse_args().events

    from tasks.core.warehouse.duckdb import DuckDBWarehouse
    from tasks.ingest.ga4_rows import judge
    from tasks.ingest.ga4_source import FolderSource

    result: dict[str, Any] = {"events": events, "bar_events_per_s": BAR_EVENTS_PER_S}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_events(folder, events)
        source = FolderSource(folder)
        (table,) = source.tables()
        flat = timed(result, "flatten", lambda: source.flat(table))
        judged = timed(result, "judge", lambda: judge(flat, table, b"s" * 32, datetime(2026, 3, 2, tzinfo=UTC)))
        warehouse = DuckDBWarehouse(folder / "w.duckdb")
        timed(result, "write", lambda: warehouse.replace_partitions("ga4.ga4_events", judged.rows, partitions=[DAY]))
        result |= {
            "read": judged.read,
            "written": judged.rows.height,
            "quarantined": len(judged.refused),
            "duplicates": judged.duplicates,
        }
        result["sessions_events"] = spread(folder / "w.duckdb")
        result |= build_journeys(folder / "w.duckdb")
        result["sessions"] = warehouse.query("SELECT COUNT(*) AS n FROM gaelp_users.journey_sessions")["n"][0]
    for part, number in (("flatten", events), ("judge", events), ("sessions", result["sessions_events"])):
        result[f"{part}_events_per_s"] = round(number / result[f"{part}_s"])
        result[f"{part}_events_per_s_two_cores"] = round(number / (result[f"{part}_cpu_s"] / 2))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
