"""`make bench`: every benchmark in a process of its own, then one table of the bars of DESIGN §8 against what was measured.

`.venv/bin/python -m tests.bench [--only gate …] [--json]`

A missed bar is said and is no failure of the command: a machine that does other things misses bars that the code meets, which is
why processor seconds stand beside wall seconds where a benchmark has them. The exit code is 1 only if a benchmark itself broke.
The bar of the whole loop is not measured here: `make run` prints its seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BENCHES = {
    "start": (ROOT / ".venv" / "bin" / "python", HERE / "bench_start.py"),
    "dags": (ROOT / ".venv-airflow" / "bin" / "python", ROOT / "tests" / "dags" / "bench_dag_files.py"),
    "gate": (ROOT / ".venv" / "bin" / "python", HERE / "bench_gate.py"),
    "warehouse": (ROOT / ".venv" / "bin" / "python", HERE / "bench_warehouse.py"),
    "ingest": (ROOT / ".venv" / "bin" / "python", HERE / "bench_ingest.py"),
    "mmm": (ROOT / ".venv" / "bin" / "python", HERE / "bench_mmm.py"),
    "ga4": (ROOT / ".venv" / "bin" / "python", HERE / "bench_ga4.py"),
    "identity": (ROOT / ".venv" / "bin" / "python", HERE / "bench_identity.py"),
    "bandit": (ROOT / ".venv" / "bin" / "python", HERE / "bench_bandit.py"),
}
# How much a benchmark's peak may grow from the smallest to the largest number of rows and still count as flat.
FLAT_GROWTH = 1.25
# Why no id in the data leads from one event of a person to another (docs/decisions/0009-identity.md).
UNKNOWABLE = ("consent_refused", "never_signed_in", "signed_in_elsewhere")


@dataclass(frozen=True)
class Bar:
    """One bar: ``ratio`` is measured / bar, or bar / measured where more is better, so at most 1 meets it."""

    what: str
    bar: str
    measured: str
    ratio: float
    remark: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the bar is met."""
        return self.ratio <= 1


def _seconds(what: str, bar: float, measured: float, remark: str = "") -> Bar:
    return Bar(what, f"≤ {bar:g} s", f"{measured:.3g} s", measured / bar, remark)


def start_bars(result: dict[str, Any]) -> Iterator[Bar]:
    """Start of `--help` and of the slowest light job."""
    bar, commands, slowest = result["bar"], result["commands"], result["slowest_light_job"]
    yield _seconds("aelp2 --help", bar["help_s"], result["help_s"], f"{commands['--help']['cpu_s']:.2f} s of processor")
    used = f"aelp2 {slowest}, {commands[slowest]['cpu_s']:.2f} s of processor"
    yield _seconds("start of a light job", bar["light_job_s"], result["light_job_s"], used)


def dag_bars(result: dict[str, Any]) -> Iterator[Bar]:
    """Own import cost of the dearest DAG file."""
    dearest = max(result["seconds"], key=lambda name: result["seconds"][name])
    yield _seconds("own cost of a DAG file", result["bar_s"], result["seconds"][dearest], dearest)


def gate_bars(result: dict[str, Any]) -> Iterator[Bar]:
    """Rows per second and whether the peak of memory grows with the rows."""
    wanted, rate = result["bar"]["rows_per_s"], result["rows_per_s"]
    yield Bar("pandera gate", f"≥ {wanted / 1e6:g} M rows/s", f"{rate / 1e6:.1f} M rows/s", wanted / rate)
    peaks = {int(rows): peak for rows, peak in result["peak_mb_by_rows"].items()}
    few, many = min(peaks), max(peaks)
    if few < many:
        growth = peaks[many] / peaks[few]
        remark = f"{peaks[few]} MB at {few / 1e6:g} M rows, {peaks[many]} MB at {many / 1e6:g} M"
        yield Bar("memory of the gate, flat in rows", f"≤ {FLAT_GROWTH:g} ×", f"{growth:.2f} ×", growth / FLAT_GROWTH, remark)


def warehouse_bars(result: dict[str, Any]) -> Iterator[Bar]:
    """Load and merge, and the aggregate."""
    bar = result["bar"]
    used = f"{result['load_and_merge_cpu_s']:.0f} s of processor, {result['load_rows_per_s'] / 1e3:.0f} k rows/s loaded"
    yield _seconds(f"load + merge {result['rows'] / 1e6:g} M ad rows", bar["load_and_merge_s"], result["load_and_merge_s"], used)
    used = f"{result['aggregate_cpu_s']:.2f} s of processor, {result['aggregate_groups']} groups"
    yield _seconds("weekly × channel aggregate", bar["aggregate_s"], result["aggregate_s"], used)


def ingest_bars(result: dict[str, Any]) -> Iterator[Bar]:
    """From decoded API pages to the merged table, and whether memory grows with the rows."""
    wanted, (few, many) = result["bar_rows_per_s"], result["runs"]
    rate = few["rows_per_s"]
    used = f"{few['rows_per_cpu_s'] / 1e3:.0f} k rows per second of processor"
    yield Bar(
        "decoded API pages to merged table", f"≥ {wanted / 1e3:g} k rows/s", f"{rate / 1e3:.0f} k rows/s", wanted / rate, used
    )
    growth = many["peak_mb"] / few["peak_mb"]
    remark = f"{few['peak_mb']:.0f} MB at {few['rows'] / 1e6:g} M rows, {many['peak_mb']:.0f} MB at {many['rows'] / 1e6:g} M"
    yield Bar("memory of a load, flat in rows", f"≤ {FLAT_GROWTH:g} ×", f"{growth:.2f} ×", growth / FLAT_GROWTH, remark)


def mmm_bars(result: dict[str, Any]) -> Iterator[Bar]:
    """Our sampling against the library's default settings in the same run, and its diagnostics."""
    diagnostics = "; ".join(
        f"{name}: R-hat {result[f'{name}_r_hat_max']:.3f}, ESS {result[f'{name}_ess_min']:.0f}" for name in ("ours", "default")
    )
    what = f"MMM {result['weeks']} weeks × {result['channels']} channels"
    bar, measured = f"≤ {result['default_s']:.3g} s (PyMC-Marketing's defaults)", f"{result['ours_s']:.3g} s"
    yield Bar(what, bar, measured, result["ours_s"] / result["default_s"], diagnostics)


def ga4_bars(result: dict[str, Any]) -> Iterator[Bar]:
    """Events per second from the events table to sessions and touchpoints; beside it, from the nested export to flat rows."""
    wanted, rate = result["bar_events_per_s"], result["sessions_events_per_s"]
    idle, flatten = (result[f"{part}_events_per_s{cores}"] for part, cores in (("sessions", "_two_cores"), ("flatten", "")))
    yield Bar(
        "GA4 events to sessions and touchpoints, cold",
        f"≥ {wanted / 1e6:g} M events/s",
        f"{rate / 1e6:.2f} M events/s",
        wanted / rate,
        f"{result['sessions_cpu_s']:.1f} s of processor, which two idle cores do at {idle / 1e6:.2f} M events/s; the "
        f"nested export is flattened before, at {flatten / 1e6:.2f} M events/s",
    )


def identity_bars(result: dict[str, Any]) -> Iterator[Bar]:
    """Pairwise precision and recall, of events and of ids."""
    world, first = result["world"], result["world"]["first_run"]
    whole = world["true_pairs_of_events"]
    unknowable = ", ".join(f"{whole[why]:.1%} {why.replace('_', ' ')}" for why in UNKNOWABLE)
    for name, wanted in result["bar"].items():
        for pairs in ("pairs_of_events", "pairs_of_ids"):
            measured = world[pairs][name]
            used = (
                f"{world['events'] / 1e6:.2g} M events stitched in {first['wall_s']:.1f} s, {first['cpu_s']:.1f} s of processor"
            )
            if (name, pairs) == ("recall", "pairs_of_events"):
                used = f"of what can be known; {world[pairs]['recall_of_all']:.3f} of all, of which nobody can know {unknowable}"
            yield Bar(
                f"stitching, {name} of {pairs.replace('_', ' ')}", f"≥ {wanted:g}", f"{measured:.4f}", wanted / measured, used
            )


def bandit_bars(result: dict[str, Any]) -> Iterator[Bar]:
    """Conversions against plain MABWiser Thompson sampling on the same seeds, where arms stay and where the best one changes."""
    wanted = result["bar"]["ratio"]
    for name, world in result["worlds"].items():
        mean, low, high = world["ratio_to_mabwiser"]["ours"]
        won = {who: numbers[0] for who, numbers in world["conversions"].items()}
        used = (
            f"95 % interval {low:.3f} to {high:.3f}, {result['seeds']} seeds; {won['ours']:.0f} against {won['mabwiser']:.0f} of "
        )
        used += f"{world['oracle']:.0f}; successes told early {won['mabwiser_early']:.0f}"
        yield Bar(f"bandit, {name}", f"≥ {wanted:g} × MABWiser", f"{mean:.3f} ×", wanted / mean, used)


BARS: dict[str, Callable[[dict[str, Any]], Iterator[Bar]]] = {
    "start": start_bars,
    "dags": dag_bars,
    "gate": gate_bars,
    "warehouse": warehouse_bars,
    "ingest": ingest_bars,
    "mmm": mmm_bars,
    "ga4": ga4_bars,
    "identity": identity_bars,
    "bandit": bandit_bars,
}


def run_bench(name: str) -> dict[str, Any] | None:
    """The JSON of one benchmark, or None if it broke; what it says on stderr goes on to ours."""
    python, script = BENCHES[name]
    begun = time.monotonic()
    print(f"[bench] {name}: {script.relative_to(ROOT)}", file=sys.stderr, flush=True)
    if not python.exists():
        print(f"[bench] {name}: {python.relative_to(ROOT)} is missing; `make setup` makes it", file=sys.stderr)
        return None
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([str(python), str(script)], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env, check=False)
    print(f"[bench] {name}: {time.monotonic() - begun:.0f} s, exit code {done.returncode}", file=sys.stderr, flush=True)
    result: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return result


def table(bars: list[Bar]) -> str:
    """The bars as aligned lines."""
    rows = [("", "what", "bar", "measured", "of bar", "")]
    rows += [("met" if b.is_met else "MISSED", b.what, b.bar, b.measured, f"{b.ratio:.0%}", b.remark) for b in bars]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def main() -> int:
    """Run the benchmarks asked for and print the table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--only", nargs="+", choices=list(BENCHES), default=list(BENCHES), help="run these only")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    asked = parser.parse_args()
    load, results, bars = os.getloadavg()[0], {}, []
    for name in asked.only:
        results[name] = run_bench(name)
        bars += list(BARS[name](found)) if (found := results[name]) is not None else []
    broken = [name for name, result in results.items() if result is None]
    if asked.json:
        lines = [asdict(bar) | {"is_met": bar.is_met} for bar in bars]
        print(json.dumps({"bars": lines, "results": results, "load_at_start": round(load, 2)}, indent=2))
    else:
        print(table(bars))
    missed = [bar.what for bar in bars if not bar.is_met]
    busy = f"; the machine's load was {load:.1f} on {os.cpu_count()} cores when this began"
    print(f"[bench] bars missed: {', '.join(missed) or 'none'}{busy}", file=sys.stderr)
    for name in broken:
        print(f"[bench] {name} broke; its own words are above", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
