"""Write dags/README.md, the DAG clock, from the DAG files themselves; `--check` only says whether it is up to date.

Needs no Airflow: it reads the files as text.
"""

import argparse
import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "dags" / "README.md"
_HEAD = """# DAG clock

Written by `scripts/dags_readme.py` from the docstrings and the schedules in this folder; a test compares. Times are UTC.
The run date of a run is the day of its logical date; data up to the day before counts as complete
(`plugins/aelp2_airflow/templates.py`).

| DAG | starts | stage | what it does | reads | writes | runbook |
| --- | --- | --- | --- | --- | --- | --- |
"""


def _schedule(call: ast.Call) -> str:
    """`cron("0 5 * * *")` → a clock time, `after(ADS_VALIDATED)` → what it waits for."""
    value = next(keyword.value for keyword in call.keywords if keyword.arg == "schedule")
    if isinstance(value, ast.Constant) and value.value is None:
        return "by hand, with a form" if any(keyword.arg == "params" for keyword in call.keywords) else "by hand"
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name):
        raise ValueError(f"schedule {ast.unparse(value)!r} is neither cron(…) nor after(…)")
    if value.func.id == "after":
        return "after " + ", ".join(f"`{ast.unparse(asset).lower()}`" for asset in value.args)
    expression = ast.literal_eval(value.args[0])
    minute, hour, _day, _month, weekday = expression.split()
    days = {"*": "daily", "1": "Mondays"}[weekday]
    return f"{days} {int(hour):02d}:{int(minute):02d}"


def touched(file: Path) -> tuple[str, str]:
    """What the docstring of a DAG file says it reads and writes."""
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    parts = re.fullmatch(r".*\*\*Reads\*\*(.+?)\*\*Writes\*\*(.+?)\*\*If it fails\*\*.+", doc, re.DOTALL)
    if parts is None:
        raise ValueError(f"{file.name}: its docstring lacks **Reads**, **Writes** or **If it fails**")
    reads, writes = (" ".join(part.split()) for part in parts.groups())
    return reads, writes


def row(file: Path) -> str:
    """The table row of one DAG file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    doc = ast.get_docstring(tree) or ""
    (dag,) = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "DAG"]
    tags = next(keyword.value for keyword in dag.keywords if keyword.arg == "tags")
    stage = ", ".join(re.findall(r"Tag\.(\w+)", ast.unparse(tags))).lower()
    sentence = " ".join(doc.split("\n\n")[1].split())
    reads, writes = touched(file)
    runbook = f"[{file.stem}](../docs/runbooks/{file.stem}.md)"
    return f"| `{file.stem}` | {_schedule(dag)} | {stage} | {sentence} | {reads} | {writes} | {runbook} |\n"


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(row(file) for file in sorted((ROOT / "dags").glob("*.py")))


def main() -> int:
    """Write the page, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 if the page is out of date")
    if parser.parse_args().check:
        if TARGET.read_text(encoding="utf-8") != page():
            sys.stderr.write(f"{TARGET} is out of date; run scripts/dags_readme.py\n")
            return 1
        return 0
    TARGET.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
