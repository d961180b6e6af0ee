"""Write the pages that come from the code: data dictionary, jobs, settings, DAG clock; `--check` only compares.

Needs no Airflow and no warehouse: it reads contracts, SQL headers, the job index and docstrings.
"""

import argparse
import ast
import dataclasses
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dags_readme

from tasks.cli import JOBS, Job
from tasks.core.contracts import SQL_ROOT, Field, TableContract, all_contracts
from tasks.core.policy import Policy
from tasks.core.settings import Settings
from tasks.platforms import ADAPTERS, adapter_of
from tasks.quality.checks_file import load_checks

ROOT = Path(__file__).resolve().parents[1]
_NOTE = "Written by `scripts/generate_docs.py`; `make lint` compares. Change {source} instead of this page, then `make docs`.\n"
# What is read elsewhere than in Settings; a test holds the names against the code.
OTHER_VARIABLES = {
    "AELP2_APPROVERS": "user names, separated by commas, who may answer an approval; unset: everybody who may edit the DAG",
    "AELP2_BRAND_TERMS": "ingest-ads: words, separated by commas, that mark the own brand in campaign names, besides `brand`",
    "AELP2_CLI": "local runner: the `aelp2` program that tasks run",
    "AELP2_CLOCK_FILE": "local runner: file of the simulated clock, from which each job gets its AELP2_NOW",
    "AELP2_CONTROLS_URL": "ingest-outcomes: a second table with one column per influence other than media",
    "AELP2_DEFAULT_COUNTRY": "ingest-events: country of phone numbers without a code, two letters such as US",
    "AELP2_GKE_CLUSTER": "runner `gke`: name of the cluster that pods run in",
    "AELP2_GKE_LOCATION": "runner `gke`: region or zone of that cluster",
    "AELP2_GKE_PROJECT": "runner `gke`: project of that cluster",
    "AELP2_LOCAL_DIR": "local loop: folder of all local state; unset: `.local`",
    "AELP2_NOW": "the instant that stamps (`_at`) are taken from, ISO 8601 with offset, for simulated days; unset: the clock",
    "AELP2_PARSE_ONLY": "1: `aelp2` parses its arguments and runs nothing; the DAG tests prove the arguments of each pod so",
    "AELP2_RESPONSE_TIMEOUT_S": "local runner: seconds until an unanswered approval expires",
    "AELP2_RUNNER": "`local`: a process of this machine; `composer` or unset: a pod in Composer's cluster; `gke`: in another",
    "AELP2_SERVER_EVENTS_COLUMNS": "ingest-events: OURS=THEIRS pairs separated by spaces, as --column takes them",
    "AELP2_SERVER_EVENTS_SOURCE": "ingest-events: name of the system that reports the events; unset: server",
    "AELP2_WORK_DIR": "local runner: working directory of the jobs",
    "AELP2_XCOM_FILE": "file that a job writes its XCom to, as JSON; unset: none is written",
}


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def _table(header: list[str], rows: list[list[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(_cell(value) for value in line) + " |\n" for line in lines)


def _names(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" if re.fullmatch(r"[a-z0-9_.*-]+", name) else name for name in names) or "—"


def header_comment(sql: str) -> str:
    """The `--` lines at the head of a SQL file as one paragraph."""
    lines: list[str] = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)


def _allowed(field: Field) -> str:
    bounds = [
        f"≥ {field.minimum}" if field.minimum is not None else "",
        f"≤ {field.maximum}" if field.maximum is not None else "",
    ]
    pattern = f"matches `{field.pattern}`" if field.pattern else ""
    return ", ".join(part for part in (_names(field.enum) if field.enum else "", *bounds, pattern) if part)


def _touching(table: str) -> str:
    """Which jobs write and read ``table``."""

    def jobs(kind: str) -> list[str]:
        return [name for name, job in JOBS.items() if {table, f"{table.split('.')[0]}.*"} & set(getattr(job, kind))]

    return f"Written by {_names(jobs('writes'))}; read by {_names(jobs('reads'))}"


def _age(contract: TableContract) -> str:
    return f"at most {contract.freshness_hours} h old" if contract.freshness_hours is not None else "no bound on its age"


def _contract(contract: TableContract) -> str:
    facts = [
        f"owner {contract.owner}",
        f"one row per {_names(contract.grain)}",
        "a view"
        if contract.view is not None
        else f"partitioned by `{contract.partition}`"
        if contract.partition
        else "not partitioned",
        "" if contract.view is not None else f"clustered by {_names(contract.cluster)}" if contract.cluster else "not clustered",
        "" if contract.view is not None else _age(contract),
    ]
    rows: list[list[object]] = [
        [
            f"`{field.name}`",
            field.type + (" (list)" if field.repeated else ""),
            "yes" if field.required else "",
            field.unit or "",
            _allowed(field),
            "yes" if field.pii else "",
            field.description,
        ]
        for field in contract.fields
    ]
    about = "; ".join(fact for fact in facts if fact)
    checks = "".join(f"- `{c.name}` ({c.severity}): {_cell(c.remedy)}\n" for c in load_checks(contract.name))
    return (
        f"### {contract.name}\n\n{_cell(contract.description)}\n\n{about}. {_touching(contract.name)}.\n\n"
        + _table(["field", "type", "required", "unit", "allowed", "pii", "meaning"], rows)
        + (f"\nChecks, and what to do when one fails:\n\n{checks}" if checks else "")
        + "\n"
    )


def data_dictionary() -> str:
    """docs/data_dictionary.md: every table contract and every stored query."""
    parts = ["# Data dictionary\n\n", _NOTE.format(source="the table.yaml or .sql file under `include/sql`"), "\n"]
    parts.append(
        "Money is whole micros (millionths) of the account's currency. Dates are the account's own days; `_at` is UTC.\n\n"
    )
    contracts = all_contracts(views=True)
    for dataset in sorted({contract.dataset for contract in contracts}):
        parts.append(f"## {dataset}\n\n")
        parts += [_contract(contract) for contract in contracts if contract.dataset == dataset]
    parts.append("## Queries\n\n")
    queries = sorted(path for path in SQL_ROOT.glob("*/*/*.sql") if path.name not in ("checks.sql", "view.sql"))
    rows: list[list[object]] = [
        [f"`{path.relative_to(SQL_ROOT)}`", header_comment(path.read_text(encoding="utf-8"))] for path in queries
    ]
    return "".join(parts) + _table(["file", "what it gives"], rows)


def jobs_page() -> str:
    """docs/jobs.md: every command of the CLI by stage."""
    stages: dict[str, list[tuple[str, Job]]] = {}
    for name, job in JOBS.items():
        stages.setdefault(job.stage, []).append((name, job))
    parts = ["# Jobs\n\n", _NOTE.format(source="`tasks/cli.py`"), "\n"]
    parts.append(
        "`aelp2 COMMAND --help` shows the options and examples of each; `aelp2 jobs --json` gives this list to programs.\n\n"
    )
    for stage, jobs in stages.items():
        parts.append(f"## {stage}\n\n")
        rows: list[list[object]] = [
            [f"`{name}`", job.help, _names(job.reads), _names(job.writes), "**yes**" if job.mutates else "no"]
            for name, job in jobs
        ]
        parts.append(_table(["command", "what it does", "reads", "writes", "changes a live account"], rows) + "\n")
    return "".join(parts).rstrip("\n") + "\n"


def docstring_rows(owner: type) -> list[list[str]]:
    """Cells of the Markdown table in the docstring of ``owner``, without its header."""
    lines = [line.strip() for line in (inspect.getdoc(owner) or "").splitlines() if line.strip().startswith("|")]
    return [[cell.strip().replace("``", "`") for cell in line.strip("|").split("|")] for line in lines[2:]]


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default is not dataclasses.MISSING:
        return "none" if field.default in (None, ()) else str(field.default).lower()
    return "none"


def variables_in(file: Path) -> set[str]:
    """AELP2_ names that stand in the code of ``file`` as strings of their own."""
    constants = (n.value for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.Constant))
    return {value for value in constants if isinstance(value, str) and re.fullmatch(r"AELP2_[A-Z0-9_]+", value)}


def credential_rows() -> list[tuple[str, str, str]]:
    """(variable, platform, meaning) of what each adapter must be told to sign in."""
    return [
        (field.env, platform, field.help + ("" if field.required else "; optional"))
        for platform in ADAPTERS
        for field in adapter_of(platform).credential_fields
    ]


def settings_page() -> str:
    """docs/settings.md: environment variables of the jobs, rules of the policy file."""
    fields = {field.name: field for field in dataclasses.fields(Policy)}
    policy: list[list[object]] = []
    for names, meaning in docstring_rows(Policy):
        policy.append(
            [_names(names.split(", ")), meaning, ", ".join(dict.fromkeys(_default(fields[n]) for n in names.split(", ")))]
        )
    variables: list[list[object]] = [[f"`{name}`", meaning, default] for name, meaning, default in docstring_rows(Settings)]
    others: list[list[object]] = [[f"`{name}`", meaning] for name, meaning in OTHER_VARIABLES.items()]
    return (
        "# Settings\n\n"
        + _NOTE.format(source="the docstrings of `tasks/core/settings.py` and `tasks/core/policy.py`")
        + "\n## Environment of a job\n\nUnset means the safe thing: proposals only, on a local file.\n\n"
        + _table(["variable", "meaning", "default"], variables)
        + "\n## Budget rules\n\nThe YAML file that `AELP2_POLICY` names. It may tighten the caps, never loosen them.\n\n"
        + _table(["rule", "meaning", "default"], policy)
        + "\n## Credentials of the platforms\n\n`aelp2 onboard PLATFORM` takes them from here, once; no other job reads them.\n\n"
        + _table(["variable", "platform", "what it is"], [[f"`{name}`", *rest] for name, *rest in credential_rows()])
        + "\n## Read elsewhere\n\nVariables of single jobs, of tests and of what starts a job.\n\n"
        + _table(["variable", "meaning"], others)
    )


PAGES: dict[str, Callable[[], str]] = {
    "docs/data_dictionary.md": data_dictionary,
    "docs/jobs.md": jobs_page,
    "docs/settings.md": settings_page,
    "dags/README.md": dags_readme.page,
}


def stale_pages(root: Path) -> list[str]:
    """Pages under ``root`` that are missing or differ from what the code says."""
    return [
        name for name, page in PAGES.items() if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != page()
    ]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Write the stale pages, or with ``--check`` name them and return 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is out of date")
    check = parser.parse_args(arguments).check
    stale = stale_pages(root)
    for name in stale:
        if check:
            sys.stderr.write(f"{name} is out of date; run `make docs`\n")
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(PAGES[name](), encoding="utf-8")
            print(f"wrote {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
