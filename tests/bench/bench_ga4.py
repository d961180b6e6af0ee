"""How fast GA4 events come in: two million synthetic events of the nested export, flattened, judged and written. Prints JSON.

`.venv/bin/python tests/bench/bench_ga4.py [--events 2000000]`

The events are those of the sandbox's persons at a sampling rate of one, so names, parameters and their number per event are the
export's own. ``flatten_s`` is the SQL that turns one export table into flat rows, ``judge_s`` the rules, hashes and row form that
follow, ``write_s`` the transaction into ga4.ga4_events. ``cpu_s`` is the processor time of the same work over all threads; on a
machine that does other things it is the steadier figure, and ``events_per_s_two_cores`` is events over half of it, what two idle
cores make if the work spreads over both. Making the events is not counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

HISTORY_DAYS, DAY = 120, date(2026, 3, 1)
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
    for part in ("flatten", "judge"):
        result[f"{part}_events_per_s"] = round(events / result[f"{part}_s"])
        result[f"{part}_events_per_s_two_cores"] = round(events / (result[f"{part}_cpu_s"] / 2))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
