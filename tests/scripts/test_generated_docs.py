"""The generated pages are what the code says, and the tables they come from cannot drift from the code."""

import ast
import dataclasses
import re
from pathlib import Path

import dags_readme
import generate_docs  # scripts/ is on the path
import pytest

from tasks.cli import JOBS
from tasks.core.contracts import all_contracts
from tasks.core.policy import Policy
from tasks.core.settings import Settings, load_settings
from tasks.platforms import ADAPTERS, adapter_of

ROOT = Path(__file__).resolve().parents[2]


def read_outside_settings() -> set[str]:
    """AELP2_ variables in the code of jobs, plugin and scripts that are not settings of a job."""
    files = [file for folder in ("tasks", "plugins", "scripts") for file in sorted((ROOT / folder).rglob("*.py"))]
    named: set[str] = set().union(*(generate_docs.variables_in(file) for file in files if file.name != "generate_docs.py"))
    return (
        named - {row[0] for row in generate_docs.docstring_rows(Settings)} - {row[0] for row in generate_docs.credential_rows()}
    )


def test_pages_on_disk_are_what_the_code_says() -> None:
    """Every generated page is up to date; `make docs` writes them."""
    assert generate_docs.stale_pages(ROOT) == []


def test_check_names_the_stale_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Writing makes all pages; one changed by hand makes --check fail with its name, and writing mends it."""
    assert generate_docs.main([], tmp_path) == 0
    assert generate_docs.main(["--check"], tmp_path) == 0
    page = tmp_path / "docs/jobs.md"
    page.write_text(page.read_text(encoding="utf-8").replace("apply-changes", "apply-anything"), encoding="utf-8")
    capsys.readouterr()
    assert generate_docs.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err == "docs/jobs.md is out of date; run `make docs`\n"
    assert generate_docs.main([], tmp_path) == 0
    assert generate_docs.stale_pages(tmp_path) == []


def test_a_missing_page_is_stale(tmp_path: Path) -> None:
    """A page that was never written is named like one that is old."""
    assert list(generate_docs.PAGES) == generate_docs.stale_pages(tmp_path)


def test_the_dictionary_has_every_table_and_every_column() -> None:
    """No contract is left out, and a column stands in its own table's section with its meaning."""
    page = generate_docs.data_dictionary()
    sections = {part.split("\n", 1)[0]: part for part in page.split("\n### ")[1:]}
    contracts = all_contracts(views=True)
    assert sorted(contract.name for contract in contracts) == sorted(sections)
    for contract in contracts:
        for field in contract.fields:
            (row,) = [line for line in sections[contract.name].splitlines() if line.startswith(f"| `{field.name}` |")]
            cells = [cell.strip() for cell in row.replace("\\|", "¦").strip("|").split("|")]
            assert len(cells) == 7
            assert (cells[2] == "yes", cells[3], cells[5] == "yes") == (field.required, field.unit or "", field.pii)
            assert cells[6] == " ".join(field.description.split()).replace("|", "¦")


def test_the_table_of_settings_names_what_the_code_reads() -> None:
    """The docstring's table and the variables that load_settings reads are the same, in number and in name."""
    tree = ast.parse((ROOT / "tasks/core/settings.py").read_text(encoding="utf-8"))
    read = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and str(n.value).startswith("AELP2_")}
    read = {name for name in read if name.isidentifier()}
    rows = generate_docs.docstring_rows(Settings)
    assert sorted(read) == sorted(row[0] for row in rows)
    assert len(rows) == len(dataclasses.fields(Settings))


def test_the_defaults_in_the_table_are_the_defaults() -> None:
    """What the table gives as default is what an empty environment gives; words such as "none" stand for unset."""
    for name, _meaning, default in generate_docs.docstring_rows(Settings):
        field = {"AELP2_POLICY": "policy_path"}.get(name, name.removeprefix("AELP2_").lower())
        value = getattr(load_settings({}), field)
        if value is None:
            assert default in (
                "none",
                "Google's",
                "the platform's",
                "built-in defaults",
                "the one of all ad accounts",
                "from the configuration file",
            ), name
        else:
            assert str(value) == default, name


def test_the_table_of_rules_names_every_rule_of_a_policy() -> None:
    """Each field of Policy stands in its docstring's table, so that the settings page has them all."""
    named = [name for row in generate_docs.docstring_rows(Policy) for name in row[0].split(", ")]
    assert [field.name for field in dataclasses.fields(Policy)] == named


def test_every_credential_of_a_platform_is_on_the_page() -> None:
    """Each has a variable named after platform and field, and says where a person finds it."""
    page = generate_docs.settings_page()
    for platform in ADAPTERS:
        for field in adapter_of(platform).credential_fields:
            assert field.env == f"AELP2_{platform.upper()}_{field.name.upper()}"
            assert f"`{field.env}`" in page
            assert len(field.help.split()) >= 3, field.env


def test_variables_read_elsewhere_are_all_explained() -> None:
    """The settings page explains exactly the variables that jobs, plugin and scripts read beside the settings."""
    assert sorted(read_outside_settings()) == list(generate_docs.OTHER_VARIABLES)


@pytest.mark.parametrize("file", sorted((ROOT / "dags").glob("*.py")), ids=lambda f: f.stem)
def test_a_dag_names_no_table_that_its_jobs_do_not_touch(file: Path) -> None:
    """The tables a DAG's page says it reads and writes are among those of its jobs in the CLI's index."""
    text = file.read_text(encoding="utf-8")
    strings = {n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant)}
    jobs = [job for name, job in JOBS.items() if name in strings]
    if file.stem.endswith("_approval_daily"):  # the shared approval gate of the plugin adds the recording of the answer
        jobs.append(JOBS["record-approval"])
    assert jobs
    reads, writes = (set(re.findall(r"`([a-z0-9_]+\.[a-z0-9_]+)`", part)) for part in dags_readme.touched(file))
    assert reads - {table for job in jobs for table in job.reads} == set()
    assert writes - {table for job in jobs for table in job.writes} == set()
    assert reads | writes
