"""Stands where `aelp2` stands in the tests of the scheduler: writes down each call and ends as the test asks.

The folder ``RECORDING_DIR`` holds ``calls.jsonl`` (what was called, by whom) and ``<run date>.json`` (command → exit code). While
there is a ``<run date>.hold`` no job ends.
Of the jobs' own rules it knows one, the one the gate relies on: without a recorded approval nothing after the gate works.
"""

import json
import os
import sys
import time
from pathlib import Path

_ACCOUNTS = (("google_ads", "1"), ("meta", "2"), ("x", "3"))
_NEEDS_APPROVAL = {"snapshot-budgets", "validate-changes", "apply-changes", "verify-changes"}


def main() -> int:
    """Record the call; the exit code."""
    command, *rest = sys.argv[1:]
    options = {rest[i][2:]: rest[i + 1] for i in range(0, len(rest) - 1, 2)}
    folder = Path(os.environ["RECORDING_DIR"])
    run_date = options["run-date"]
    with (folder / "calls.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"command": command, "actor": os.environ["AELP2_ACTOR"], **options}) + "\n")
    while (folder / f"{run_date}.hold").exists():
        time.sleep(0.1)
    asked = folder / f"{run_date}.json"
    codes = json.loads(asked.read_text(encoding="utf-8")) if asked.exists() else {}
    if command == "list-accounts":
        lines = [["ingest-ads", "--run-date", run_date, "--platform", p, "--account", a] for p, a in _ACCOUNTS]
        Path(os.environ["AELP2_XCOM_FILE"]).write_text(json.dumps(lines), encoding="utf-8")
    if (named := f"{command} {options.get('account', '')}") in codes:
        command = named
    if command in codes:
        sys.stderr.write(f"error: {command} was asked to fail\n")
        return int(codes[command])
    if command == "record-approval":
        (folder / f"{run_date}.{options['decision']}").touch()
    if command in _NEEDS_APPROVAL and not (folder / f"{run_date}.approved").exists():
        sys.stderr.write(f"error: {command}: no approval of this change set is recorded\n")
        return 4
    if command == "request-approval":
        question = {
            "subject": f"Budget changes of {run_date}",
            "body": "| campaign | before | after |\n| --- | --- | --- |\n| Search | 100 | 105 |",
            "sets": [{"change_set_id": f"set-{n}-{run_date}", "sha256": n * 64} for n in ("a", "b")],
        }
        Path(os.environ["AELP2_XCOM_FILE"]).write_text(json.dumps(question), encoding="utf-8")
    sys.stdout.write(f"{command} did its work for {run_date}\n")
    return 0


sys.exit(main())
