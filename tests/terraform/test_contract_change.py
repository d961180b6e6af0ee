"""What a changed contract breaks, seen in a copy of the whole tree: a lost field three tests, a new one none."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
APPROVALS = Path("include") / "sql" / "control" / "approvals" / "table.yaml"
CONTRACT = "tests/core/test_contracts.py::test_a_table_that_is_out_gets_new_columns_and_nothing_else"
TERRAFORM = "tests/terraform/test_tables.py::test_no_column_that_is_out_is_lost"
# What tests/sql asks of every statement (four minutes), asked of one that reads the table.
QUERY = Path("include") / "sql" / "control" / "metrics_approvals" / "query.sql"
ANALYSIS = """
import sys
from sql.zetasql_analyser import analyse
analyse(open(sys.argv[1], encoding="utf-8").read())
"""
SAME = "tests/terraform/test_tables.py::test_a_table_is_as_the_jobs_would_make_it[control.approvals]"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The tree without environments and caches; ZetaSQL's compiled module is shared, since compiling takes a minute."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    (tree / ".local").mkdir()
    (ROOT / ".local" / "wasmtime-cache").mkdir(parents=True, exist_ok=True)
    (tree / ".local" / "wasmtime-cache").symlink_to(ROOT / ".local" / "wasmtime-cache")
    return tree


def results(tree: Path, *tests: str) -> tuple[dict[str, str], str]:
    """Outcome by test, and pytest's whole output."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    ran = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    found = dict(re.findall(r"^(tests/\S+) (PASSED|FAILED|ERROR)", ran.stdout, re.MULTILINE))
    return found, ran.stdout + ran.stderr


def analysed(tree: Path) -> str:
    """What ZetaSQL says against the query over the contracts of the copy; nothing where it is right."""
    environment = {**os.environ, "PYTHONPATH": f"{tree}:{tree / 'tests'}"}
    command = [sys.executable, "-c", ANALYSIS, tree / QUERY]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False).stderr


def test_a_lost_field_breaks_the_contract_test_the_terraform_test_and_the_sql_analysis(copy: Path) -> None:
    """Without `expires_at` the column would be dropped with what is in it, and the queries that read it have nothing to read."""
    contract = copy / APPROVALS
    kept = [line for line in contract.read_text(encoding="utf-8").splitlines() if not line.startswith("  expires_at:")]
    contract.write_text("\n".join(kept) + "\n", encoding="utf-8")
    found, output = results(copy, CONTRACT, TERRAFORM)
    assert found == {CONTRACT: "FAILED", TERRAFORM: "FAILED"}, output
    assert "control.approvals.expires_at is gone; make a new table control.approvals_v2" in output
    assert "control.approvals.expires_at is gone: the provider would drop it with what is in it" in output
    assert "Unrecognized name: expires_at" in analysed(copy)


def test_a_new_field_needs_no_other_edit(copy: Path) -> None:
    """One line in table.yaml, and the plan has the column, as the jobs would make it; no test minds."""
    with (copy / APPROVALS).open("a", encoding="utf-8") as contract:
        contract.write("  remark: {type: STRING, description: What the person had to say.}\n")
    found, output = results(copy, CONTRACT, TERRAFORM, SAME)
    assert found == dict.fromkeys((CONTRACT, TERRAFORM, SAME), "PASSED"), output
    assert analysed(copy) == ""
    command = [sys.executable, copy / "scripts" / "released_contracts.py"]
    told = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, text=True, check=True)
    assert "new column control.approvals.remark" in told.stdout.splitlines()
