"""How fast the local warehouse is: ten million ad rows loaded, merged again and summed by week and channel. Prints JSON.

`.venv/bin/python tests/bench/bench_warehouse.py [--rows 10000000]`

Everything goes through the product's own warehouse interface, as a job would: frames that are checked against the contract, one
transaction a chunk. ``load_s`` is a first load by ``replace_partitions`` in chunks of 100 days (as ``ingest-ads`` loads history),
``merge_s`` merges every row a second time with new numbers, the dearest case, and ``merge_window_s`` only the 30 days that Google
restates. Making the rows is not counted. ``cpu_s`` is the processor time of the same work, over all threads: on a machine that
does other things it is the steadier figure. The rates are rows of wall time.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if TYPE_CHECKING:
    import polars as pl

TABLE = "ads.ads_ad_performance"
ADS, CHUNK_DAYS, WINDOW_DAYS = 10_000, 100, 30
FIRST = date(2023, 1, 2)
WEEKLY = """
SELECT DATE_TRUNC(date, WEEK(MONDAY)) AS week_date, channel, SUM(cost_micros) AS cost_micros, SUM(clicks) AS clicks,
  SUM(conversions) AS conversions
FROM ads.ads_ad_performance
GROUP BY week_date, channel
ORDER BY week_date, channel
"""


def ad_rows(start: date, days: int, seed: int) -> pl.DataFrame:
    """Rows of ``ADS`` ads over ``days`` days: 40 accounts, 5 channels, all columns of the contract filled."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(seed)
    rows = days * ADS
    ad, day = np.tile(np.arange(ADS), days), np.repeat(np.arange(days), ADS)
    campaign = ad // 40
    hashes = pl.Series([f"{number:064x}" for number in random.integers(0, 2**63, ADS)])
    impressions = random.integers(0, 10_000, rows)
    clicks = random.binomial(impressions, 0.02)
    conversions = np.round(clicks * random.random(rows) * 0.1, 2)
    cost = clicks * random.integers(100_000, 3_000_000, rows)

    def same(value: object) -> pl.Series:
        return pl.repeat(value, rows, eager=True)

    return pl.DataFrame(
        {
            "platform": same("google_ads"),
            "account_id": pl.Series(1_000_000_000 + campaign % 40).cast(pl.String),
            "date": pl.Series(np.datetime64(start) + day).cast(pl.Date),
            "campaign_id": pl.Series(campaign).cast(pl.String),
            "adgroup_id": pl.Series(ad // 4).cast(pl.String),
            "ad_id": pl.Series(ad).cast(pl.String),
            "name_hash": hashes.gather(ad),
            "channel": pl.Series(np.array(["SEARCH", "YOUTUBE", "DEMAND_GEN", "PMAX", "DISPLAY"])[campaign % 5]),
            "is_brand": pl.Series(campaign % 7 == 0),
            "ad_status": same("ENABLED"),
            "impressions": impressions,
            "clicks": clicks,
            "cost_micros": cost,
            "conversions": conversions,
            "revenue_micros": (conversions * 60_000_000).astype(np.int64),
            "ctr": clicks / np.maximum(impressions, 1),
            "cvr": conversions / np.maximum(clicks, 1),
            "avg_cpc_micros": cost // np.maximum(clicks, 1),
            "currency_code": same("USD"),
            "timezone": same("America/New_York"),
            "attribution_window": same("30d_click"),
            "loaded_at": same(datetime(2026, 3, 1, 6, tzinfo=UTC)),
        }
    )


class Clock:
    """Adds up wall and processor seconds of the blocks it times."""

    def __init__(self) -> None:
        self.wall, self.cpu = 0.0, 0.0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Time one block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


def measure(folder: Path, rows: int) -> dict[str, object]:
    """Figures of loading, merging and summing ``rows`` rows in a fresh warehouse below ``folder``."""
    from tasks.core.warehouse.duckdb import DuckDBWarehouse

    warehouse = DuckDBWarehouse(folder / "bench.duckdb")
    chunks = rows // (ADS * CHUNK_DAYS)
    if chunks * ADS * CHUNK_DAYS != rows or not chunks:
        raise SystemExit(f"--rows must be a multiple of {ADS * CHUNK_DAYS}")
    load, merge, window = Clock(), Clock(), Clock()

    def each_chunk(what: str, clock: Clock, write: Callable[[pl.DataFrame, date], int], seed: int) -> None:
        for number in range(chunks):
            start = FIRST + timedelta(days=number * CHUNK_DAYS)
            frame = ad_rows(start, CHUNK_DAYS, seed + number)
            with clock():
                written = write(frame, start)
            if written != frame.height:
                raise SystemExit(f"{what}: {written} of {frame.height} rows were written")
            print(f"{what} {number + 1}/{chunks}: {clock.wall:.1f} s", file=sys.stderr, flush=True)

    def replace(frame: pl.DataFrame, start: date) -> int:
        days = [start + timedelta(days=n) for n in range(CHUNK_DAYS)]
        return warehouse.replace_partitions(TABLE, frame, partitions=days)

    each_chunk("load", load, replace, 1)
    each_chunk("merge", merge, lambda frame, _: warehouse.merge(TABLE, frame), 1001)
    restated = ad_rows(FIRST + timedelta(days=chunks * CHUNK_DAYS - WINDOW_DAYS), WINDOW_DAYS, 2001)
    with window():
        warehouse.merge(TABLE, restated)
    held = warehouse.query("SELECT COUNT(*) AS n FROM ads.ads_ad_performance")["n"][0]
    if held != rows:
        raise SystemExit(f"the table holds {held} rows instead of {rows}: merge does not replace by grain")
    aggregates = []
    for _ in range(5):
        aggregate = Clock()
        with aggregate():
            groups = warehouse.query(WEEKLY).height
        aggregates.append(aggregate)
    return {
        "load_s": round(load.wall, 2),
        "merge_s": round(merge.wall, 2),
        "load_and_merge_s": round(load.wall + merge.wall, 2),
        "load_and_merge_cpu_s": round(load.cpu + merge.cpu, 2),
        "load_rows_per_s": round(rows / load.wall),
        "merge_rows_per_s": round(rows / merge.wall),
        "merge_window_s": round(window.wall, 2),
        "merge_window_rows": restated.height,
        "aggregate_s": round(min(a.wall for a in aggregates), 3),
        "aggregate_cpu_s": round(min(a.cpu for a in aggregates), 3),
        "aggregate_rows_per_s": round(rows / min(a.wall for a in aggregates)),
        "aggregate_groups": groups,
        "file_mb": round((folder / "bench.duckdb").stat().st_size / 1e6),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="aelp2-bench-") as folder:
        figures = measure(Path(folder), rows)
    bar = {"load_and_merge_s": 30, "aggregate_s": 0.5, "rows": 10_000_000}
    print(json.dumps({"benchmark": "warehouse", "rows": rows, **figures, "bar": bar}, indent=2))


if __name__ == "__main__":
    main()
