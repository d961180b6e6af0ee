"""How fast the gate's schema check is and that its memory does not grow with rows: prints JSON.

`.venv/bin/python tests/bench/bench_gate.py [--rows 1000000 10000000]`

Twelve columns of ads.ads_campaign_performance, in chunks as the gate reads them, each chunk made anew and dropped. Every size
runs in a process of its own, so that its peak is its own. ``rows_per_s`` counts the time inside the pandera check only: what a
warehouse takes to deliver the rows is measured by the load benchmark.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

COLUMNS = (
    "platform", "account_id", "date", "campaign_id", "channel", "is_brand", "impressions", "clicks", "cost_micros", "conversions",
    "revenue_micros", "currency_code",
)  # fmt: skip


def one_size(rows: int) -> dict[str, float]:
    """Rows per second and peak MiB of checking ``rows`` rows in this process."""
    import numpy as np
    import polars as pl

    from tasks.core.contracts import load_contract
    from tasks.quality.table_checks import CHUNK_ROWS, row_schema, schema_failures

    contract = load_contract("ads.ads_campaign_performance")
    narrow = dataclasses.replace(contract, fields=tuple(f for f in contract.fields if f.name in COLUMNS))
    schema = row_schema(narrow)
    random = np.random.default_rng(7)
    seconds, done = 0.0, 0
    while done < rows:
        size = min(CHUNK_ROWS, rows - done)
        number = np.arange(done, done + size)
        chunk = pl.DataFrame(
            {
                "platform": pl.repeat("google_ads", size, eager=True),
                "account_id": pl.Series(1_000_000_000 + number % 40).cast(pl.String),
                "date": pl.repeat(date(2026, 1, 1) + timedelta(days=done // CHUNK_ROWS), size, eager=True),
                "campaign_id": pl.Series(number).cast(pl.String),
                "channel": pl.repeat("YOUTUBE", size, eager=True),
                "is_brand": pl.repeat(False, size, eager=True),
                "impressions": random.integers(0, 100_000, size),
                "clicks": random.integers(0, 1000, size),
                "cost_micros": random.integers(0, 10**9, size),
                "conversions": random.random(size),
                "revenue_micros": random.integers(0, 10**9, size),
                "currency_code": pl.repeat("EUR", size, eager=True),
            }
        )
        start = time.perf_counter()
        failures = schema_failures(schema, chunk)
        seconds += time.perf_counter() - start
        if failures:
            raise SystemExit(f"the benchmark's rows break the contract: {failures}")
        done += size
    return {"rows_per_s": rows / seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    """Run every size in its own process and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one_size(arguments.one)))
        return
    results = {}
    for rows in arguments.rows:
        child = [sys.executable, __file__, "--one", str(rows)]
        results[rows] = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    summary = {
        "benchmark": "gate",
        "columns": len(COLUMNS),
        "rows_per_s": round(max(result["rows_per_s"] for result in results.values())),
        "rows_per_s_by_rows": {rows: round(result["rows_per_s"]) for rows, result in results.items()},
        "peak_mb_by_rows": {rows: round(result["peak_mb"]) for rows, result in results.items()},
        "bar": {"rows_per_s": 5_000_000, "columns": 12},
    }
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
