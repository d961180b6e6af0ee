"""How fast decoded API pages become rows of the merged table, and how memory grows with them. Prints JSON.

`.venv/bin/python tests/bench/bench_ingest.py [--rows 1000000]`

Without ``--rows``: one process for each of ROWS, so that each has a peak of memory of its own.

The product's own path: an adapter of an HTTP platform (Reddit's, whose pages are made here instead of read), its normaliser, the
loader with its pieces, DuckDB. Making the pages is not counted. ``rows_per_s`` is of wall time, ``rows_per_cpu_s`` of processor
time over all threads, which is the steadier figure on a machine that does other things.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasks.platforms.base import Account
from tasks.platforms.columns import Column, frame_of
from tasks.platforms.http_platform import ACTIONS, BREAKDOWNS, Entity
from tasks.platforms.reddit import RedditPlatform

if TYPE_CHECKING:
    import polars as pl

ADS, PAGE_ROWS = 20_000, 10_000
ROWS = (1_000_000, 10_000_000)
BAR_ROWS_PER_S = 200_000
RUN_DATE = date(2026, 3, 1)
ACCOUNT = Account("reddit", "t2_bench", "0" * 64, "USD", "America/New_York", "ENABLED")


class Clock:
    """Seconds that count: what is spent on making pages is taken out."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def __enter__(self) -> Clock:
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self._began[0]
        self.cpu += time.process_time() - self._began[1]


class BenchPlatform(RedditPlatform):
    """An account of ADS ads that all serve every day; pages come out of memory."""

    def __init__(self, folder: Path) -> None:
        from tasks.core.settings import load_settings

        super().__init__(replace(load_settings({}), name_salt_file=folder / "salt"))
        self.making = Clock()
        self._day = [
            {
                "ad_id": str(7_000_000 + n),
                "impressions": 900 + n % 700,
                "clicks": n % 23,
                "spend": n % 97 * 10_000,
                "conversion_purchase_clicks": n % 5,
                "conversion_purchase_views": n % 2,
                "conversion_purchase_total_value": n % 7 * 11_500_000,
                "video_started": n % 300,
                "video_watched_100_percent": n % 80,
            }
            for n in range(ADS)
        ]
        groups = [Entity("adgroup", str(n), "campaign", str(n // 10), f"Group {n}", "ENABLED") for n in range(ADS // 20)]
        campaigns = [Entity("campaign", str(n), None, None, f"Campaign {n}", "ENABLED") for n in range(ADS // 200)]
        ads = [Entity("ad", str(7_000_000 + n), "adgroup", str(n // 20), f"Ad {n}", "ENABLED", f"t3_{n}") for n in range(ADS)]
        self._held = [*campaigns, *groups, *ads]

    def accounts(self) -> list[Account]:
        """One."""
        return [ACCOUNT]

    def _entities(self, account_id: str) -> list[Entity]:
        return self._held

    def _pages_of(self, day: date) -> Iterator[list[dict[str, Any]]]:
        for start in range(0, ADS, PAGE_ROWS):
            with self.making:
                page = [{**row, "date": day.isoformat()} for row in self._day[start : start + PAGE_ROWS]]
            yield page

    def _report(
        self, account: Account, start: date, end: date, breakdowns: Sequence[str], columns: Sequence[Column]
    ) -> pl.DataFrame:
        import polars as pl

        if "CAMPAIGN_ID" in breakdowns:  # the ads' rows are what is measured
            return frame_of([], columns, "campaigns")
        days = (start + timedelta(days=n) for n in range((end - start).days + 1))
        return pl.concat([frame_of(page, columns, "ads") for day in days for page in self._pages_of(day)])

    def _actions(self, account: Account, start: date, end: date) -> pl.DataFrame:
        return self.no_rows(ACTIONS)

    def _breakdowns(self, account: Account, start: date, end: date) -> pl.DataFrame:
        return self.no_rows(BREAKDOWNS)


def measure(rows: int) -> dict[str, float]:
    """Load ``rows`` rows of history into a warehouse of their own."""
    import os

    from tasks.core.warehouse.duckdb import DuckDBWarehouse
    from tasks.ingest.ads_load import Load, Wish, raise_failures

    os.environ["AELP2_NOW"] = datetime(RUN_DATE.year, RUN_DATE.month, RUN_DATE.day, 6, tzinfo=UTC).isoformat()
    with tempfile.TemporaryDirectory() as folder:
        platform = BenchPlatform(Path(folder))
        warehouse = DuckDBWarehouse(Path(folder) / "w.duckdb")
        with Clock() as whole:
            raise_failures(Load(platform, warehouse, Wish(RUN_DATE, days=28, history_days=rows // ADS)).run())
        landed = warehouse.query("SELECT COUNT(*) AS n FROM ads.ads_ad_performance")["n"][0]
        assert landed == rows, (landed, rows)
    wall, cpu = whole.wall - platform.making.wall, whole.cpu - platform.making.cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "wall_s": wall, "cpu_s": cpu, "rows_per_s": rows / wall, "rows_per_cpu_s": rows / cpu, "peak_mb": peak}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help=f"rows to load, a multiple of {ADS}")
    rows = parser.parse_args().rows
    if rows is None:
        runs = []
        for number in ROWS:
            command = [sys.executable, __file__, "--rows", str(number)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs.append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps({"bar_rows_per_s": BAR_ROWS_PER_S, "runs": runs}))
    elif rows % ADS or rows < ADS:
        raise SystemExit(f"--rows must be a multiple of {ADS}")
    else:
        print(json.dumps(measure(rows)))


if __name__ == "__main__":
    main()
