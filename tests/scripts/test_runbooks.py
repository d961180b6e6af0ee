"""What a page tells a person to run at night works, says where it acts, and says when the trouble is over."""

import contextlib
import importlib
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import sqlglot
from sqlglot import exp

from tasks.cli import JOBS
from tasks.core.contracts import all_contracts
from tasks.core.ledger import Event, Ledger
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.platforms import ADAPTERS, adapter_of

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "core" / "warehouse"))

from bigquery_double import PROJECT, bigquery_double  # noqa: E402 - needs the line above

RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
PAGES = [*RUNBOOKS, *sorted((ROOT / "docs" / "how-to").glob("*.md")), ROOT / "docs" / "deploy.md"]
BY_HAND = ROOT / "docs" / "runbooks" / "by_hand.md"
_QUERY = re.compile(r"`(SELECT [^`]+)`")
_FENCED_QUERY = re.compile(r"```sql\n(.*?)```", re.DOTALL)
_BQ_QUERY = re.compile(r"bq query .* '(SELECT [^']+)'")
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SHELL = ("sh", "bash")
_COMMAND = re.compile(r"(?:^|(?<=\s))(?:\.venv/bin/)?aelp2 (.*)")
_PUT_IN = {  # what a page leaves to the reader
    "<day>": "2026-03-01",
    "<today>": "2026-03-01",
    "DATE": "2026-03-01",
    "<account>": "1234567890",
    "<id>": "x",
    "<n>": "3",
    "<reason>": "x",
    "<your reason>": "x",
    "<platform>": "meta",
    "PLATFORM:ACCOUNT": "meta:1",
    "PLATFORM": "meta",
    "date …": "date 2026-03-01",
    "…": "x",
}


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _queries() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for pattern in (_QUERY, _FENCED_QUERY, _BQ_QUERY):
            for query in pattern.findall(_text(page)):
                if "INFORMATION_SCHEMA" not in query:  # BigQuery's own
                    yield page.stem, query.replace("<day>", "2026-03-01")


QUERIES = list(_queries())


def _commands(page: Path) -> Iterator[str]:
    """What follows `aelp2` in the shell of ``page`` and, with its options, in its sentences."""
    text = _text(page)
    for language, body in _FENCE.findall(text):
        if language in _SHELL:
            lines = re.sub(r"\\\n", " ", body).splitlines()
            yield from (found[1] for line in lines if (found := _COMMAND.search(line)) and not line.strip().startswith("#"))
    prose = _FENCE.sub("", text)
    inline = re.findall(r"`(?:AELP2_\w+=\S+ )*(?:\.venv/bin/)?aelp2 ([^`]+)`", prose)
    yield from (command for command in inline if " " in command or page in RUNBOOKS)


COMMANDS = [(page.stem, command) for page in PAGES for command in _commands(page)]


def test_pages_hold_queries_and_commands() -> None:
    """The patterns find them: a test over nothing would prove nothing."""
    found = {name for name, _ in QUERIES}
    assert found >= {
        "ads_ingest_daily",
        "budget_canary_daily",
        "budget_watch_daily",
        "mmm_weekly",
        "by_hand",
        "deploy",
        "currencies",
    }
    assert {name for name, _ in COMMANDS} >= {"environment_unhealthy", "budget_watch_daily", "deploy", "bandits", "go-live"}
    assert len(COMMANDS) > 80


@pytest.mark.parametrize(("page", "query"), QUERIES)
def test_every_query_of_a_page_runs(page: str, query: str, tmp_path: Path) -> None:
    """Its tables and columns are those of the contracts."""
    DuckDBWarehouse(tmp_path / "w.duckdb").query(query)


@pytest.mark.parametrize(("page", "query"), QUERIES)
def test_no_query_of_a_page_reads_who_somebody_is(page: str, query: str) -> None:
    """Those columns carry a policy tag in BigQuery: with one, or a star over it, the person at the console gets no row."""
    shut = {c.name: {f.name for f in c.fields if f.pii} for c in all_contracts()}
    parsed = sqlglot.parse_one(query, read="bigquery")
    tables = {f"{table.db}.{table.name}" for table in parsed.find_all(exp.Table)}
    personal = set().union(*(shut.get(table, set()) for table in tables))
    named = {column.name for column in parsed.find_all(exp.Column)}
    assert not named & personal
    assert not (personal and parsed.find(exp.Star) and not parsed.find(exp.Count)), "a star over such a column"


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_every_command_of_a_page_can_be_given_as_it_stands(page: str, command: str) -> None:
    """Each option it needs is there, each value is of its kind; `kill` has its reason."""
    for word, value in _PUT_IN.items():
        command = command.replace(word, value)
    name, *words = shlex.split(command, comments=True)
    if name == "jobs" or name not in JOBS:
        return  # a word to put something in for; that every name exists is tested with the pages
    job: click.Command = importlib.import_module(JOBS[name].module).command
    with contextlib.suppress(click.exceptions.Exit):  # it only prints, such as --list-maps
        job.make_context(name, list(words))
    if name == "kill":
        assert {"--why", "--status"} & set(words), "without a reason it switches nothing"


def test_no_page_has_a_secret_typed_before_a_command() -> None:
    """The shell keeps a history of its lines: credentials are asked for, or come from an environment that something else made."""
    secret = {field.env for platform in ADAPTERS for field in adapter_of(platform).credential_fields if field.is_secret}
    assert len(secret) > 6
    typed = re.compile(rf"\b({'|'.join(secret)})=")
    assert {page.name: found for page in PAGES if (found := typed.findall(_text(page)))} == {}


@pytest.mark.parametrize("page", [page for page in RUNBOOKS if "**Urgency: " in _text(page)], ids=lambda page: page.stem)
def test_every_alert_says_when_it_is_over(page: Path) -> None:
    """Whoever was woken knows when to go back to bed."""
    assert _text(page).count("**Over when** ") == 1


@pytest.mark.parametrize("page", [page for page in RUNBOOKS if page != BY_HAND], ids=lambda page: page.stem)
def test_whoever_is_told_to_type_a_command_is_told_where(page: Path) -> None:
    """Typed without the names that `by_hand` sets, `aelp2 kill` would stop nothing but a laptop."""
    if "`aelp2 " in _text(page):
        assert "(by_hand.md" in _text(page)


def test_the_query_of_open_canaries_finds_those_that_the_ledger_calls_open(tmp_path: Path) -> None:
    """Whatever was sent to the platform and is neither promoted nor rolled back, an apply that failed too; no other set."""
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    ledger = Ledger(warehouse)
    begun = ["proposed", "approved", "snapshot", "validated"]
    ways = {
        "waits": begun,
        "open": [*begun, "mutate_intended b", "applied b", "verified b", "applied"],
        "broken": [*begun, "mutate_intended b"],
        "half": [*begun, "mutate_intended b", "applied b", "verified b", "applied", "rollback_intended b", "rolled_back b"],
        "kept": [*begun, "mutate_intended b", "applied b", "verified b", "applied", "verified", "promoted"],
        "undone": [*begun, "mutate_intended b", "applied b", "rollback_intended b", "rolled_back b", "rolled_back"],
    }
    for name, way in ways.items():
        for step in way:
            kind, _, change = step.partition(" ")
            detail = {"approver": "maria"} if kind == "approved" else {}
            amounts = {"amount_before_micros": 100, "amount_after_micros": 105, "budget_id": "7001"} if change else {}
            ledger.append(
                Event(name, "meta", "1", kind, "a" * 64, "job", change_id=change and f"{name}-{change}", detail=detail, **amounts)
            )
    (query,) = (query for page, query in QUERIES if page == "by_hand")
    assert set(warehouse.query(query)["change_set_id"]) == {"open", "broken", "half"}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what a clone has, where the page's commands may write."""
    for name in (".venv", "terraform"):
        (tmp_path / name).symlink_to(ROOT / name)
    gcloud = tmp_path / "bin" / "gcloud"
    gcloud.parent.mkdir()
    gcloud.write_text(
        '#!/bin/sh\necho "$@" >> "$(dirname "$0")/asked"\ncase "$*" in\n'
        "*aelp2-name-salt*) printf '%064d' 7 ;;\n*google_ads-mutate*) echo 'developer_token: none' ;;\nesac\n"
    )
    gcloud.chmod(0o755)
    return tmp_path


@pytest.mark.slow
def test_the_commands_of_by_hand_lead_to_the_environment(clone: Path) -> None:
    """Typed as they stand, but for the project: the switch is in BigQuery, salt and credentials are private and taken."""
    blocks = [body for language, body in _FENCE.findall(_text(BY_HAND)) if language in _SHELL]
    assert len(blocks) == 2
    script = "set -eu\n" + "\n".join(blocks).replace("acme-aelp2-prod", PROJECT)
    script += (
        "aelp2 kill --why 'by hand'\n"
        "python -c 'from tasks.core.settings import load_settings as s; from tasks.core.redaction import load_salt as l;"
        "from tasks.core.policy import load_policy as p; l(s().name_salt_file, may_create=False); p(s());"
        "print(s().mode, s().bigquery_location)'\n"
    )
    with bigquery_double(clone / "double.duckdb") as double:
        own = {"PATH": f"{clone / 'bin'}:{os.environ['PATH']}", "HOME": str(clone), "PYTHONPATH": str(ROOT)}
        env = {**own, "AELP2_BIGQUERY_ENDPOINT": double["AELP2_BIGQUERY_ENDPOINT"]}
        done = subprocess.run(["bash", "-c", script], cwd=clone, env=env, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(f"switches in BigQuery project {PROJECT}:") == 2
    assert "all: ON  mutations stopped" in done.stdout
    assert done.stdout.endswith("live EU\n")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (clone / ".local" / "by_hand").iterdir()}
    assert modes == {"name_salt": 0o600, "google_ads.yaml": 0o600}
    assert f"--impersonate-service-account=aelp2-modeller@{PROJECT}." in (clone / "bin" / "asked").read_text()
