"""How long a command takes from the shell's Enter to its end when it has nothing heavy to do. Prints JSON.

`.venv/bin/python tests/bench/bench_start.py [--repeats 7]`

Each command runs as a whole process, as a pod or a local task runs it: interpreter, imports, work, exit. The smallest wall time
of several runs counts, since everything that disturbs a run makes it longer; ``cpu_s`` is the smallest processor time, which a
busy machine disturbs less. ``--help`` answers from the index without importing any job; the light jobs import their module, and
those with a query open an empty warehouse, translate the SQL and read.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HELP = ("--help",)
LIGHT = (
    ("jobs",),
    ("kill", "--help"),
    ("plan-budgets", "--help"),
    ("verify-ledger",),
    ("kill", "--status"),  # of the warehouse that the one before has made: it looks into none that is not there
    ("promote-changes", "--run-date", "2026-03-01"),
)


def one_run(line: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Wall and processor seconds of one process; it must end well."""
    begun = time.perf_counter()
    process = subprocess.Popen(line, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)  # so that Popen does not wait for it again
    process.stderr.close()
    if process.returncode:
        raise SystemExit(f"{' '.join(line)} ended with code {process.returncode}: {said.decode()}")
    return wall, used.ru_utime + used.ru_stime


def measure(arguments: tuple[str, ...], env: dict[str, str], repeats: int) -> dict[str, float]:
    """The best of ``repeats`` runs; one more run before them fills the caches of the disk."""
    line = [str(Path(sys.executable).with_name("aelp2")), *arguments]
    one_run(line, env)
    runs = [one_run(line, env) for _ in range(repeats)]
    return {"wall_s": round(min(wall for wall, _ in runs), 3), "cpu_s": round(min(cpu for _, cpu in runs), 3)}


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory(prefix="aelp2-bench-") as folder:
        env = {key: value for key, value in os.environ.items() if not key.startswith("AELP2_")}
        env |= {"AELP2_DUCKDB_PATH": f"{folder}/w.duckdb", "AELP2_NAME_SALT_FILE": f"{folder}/salt"}
        commands = {" ".join(arguments): measure(arguments, env, repeats) for arguments in (HELP, *LIGHT)}
    light = {name: figures["wall_s"] for name, figures in commands.items() if name != "--help"}
    slowest = max(light, key=lambda name: light[name])
    summary = {
        "benchmark": "start",
        "help_s": commands["--help"]["wall_s"],
        "light_job_s": light[slowest],
        "slowest_light_job": slowest,
        "commands": commands,
        "bar": {"help_s": 0.5, "light_job_s": 1.5},
    }
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
