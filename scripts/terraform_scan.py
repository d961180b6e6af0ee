#!/usr/bin/env python
# /// script
# requires-python = "==3.12.*"
# dependencies = ["checkov==3.3.30"]
# ///
"""Policy scan of ``terraform/`` by checkov, offline; exit 1 on a finding or on a skip without a reason.

A rule that does not fit is skipped where it does not fit, in the block, and says why: ``#checkov:skip=CKV_GCP_80:reason``.
checkov pins half of PyPI, so the script has an environment of its own from ``terraform_scan.py.lock``: ``make terraform-scan``.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TERRAFORM = ROOT / "terraform"
_SKIP = re.compile(r"checkov:skip=(\w+)(?::(.*))?")
SHORTEST_REASON = 20


def unexplained(folder: Path) -> list[str]:
    """Skips that say no reason, or one too short to be one, with file and line."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {rule} is skipped without a reason"
        for path in sorted(folder.rglob("*.tf"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for rule, reason in _SKIP.findall(line)
        if len(reason.strip()) < SHORTEST_REASON
    ]


def scanned(folder: Path) -> dict[str, list[dict[str, object]]]:
    """checkov's answer: ``passed_checks``, ``failed_checks`` and ``skipped_checks``."""
    command = [sys.executable, "-m", "checkov.main", "--directory", folder, "--framework", "terraform"]
    ran = subprocess.run([*command, "--output", "json", "--skip-download"], capture_output=True, text=True, check=False)
    try:
        answer = json.loads(ran.stdout)
    except json.JSONDecodeError:
        sys.exit(f"checkov failed: {(ran.stderr or ran.stdout).strip()[-2000:]}")
    results: dict[str, list[dict[str, object]]] = answer["results"]
    if results.get("parsing_errors"):
        sys.exit(f"checkov cannot read {results['parsing_errors']}")
    return results


def main() -> None:
    """Scan and print what is wrong."""
    results = scanned(TERRAFORM)
    found = unexplained(TERRAFORM)
    for check in results["failed_checks"]:
        start = check["file_line_range"][0]  # type: ignore[index]
        found.append(f"terraform{check['file_path']}:{start}: {check['check_id']} {check['check_name']} ({check['resource']})")
    for line in found:
        print(line)
    passed = len(results["passed_checks"])
    if not passed:
        sys.exit("checkov checked nothing")
    skips = Counter(str(check["check_id"]) for check in results["skipped_checks"])
    told = ", ".join(f"{rule} × {count}" for rule, count in sorted(skips.items())) or "none"
    print(f"terraform policies: {passed} passed, {len(results['failed_checks'])} failed; skipped with a reason: {told}")
    if found:
        sys.exit(1)


if __name__ == "__main__":
    main()
