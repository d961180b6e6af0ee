"""The whole loop on BigQuery's wire protocol leaves the same tables with the same numbers as on DuckDB.

Two fresh sandboxes of one world and seed; every job of the DAGs through the real command line, first on a DuckDB file, then with
the real google-cloud-bigquery client against the local double (what that does not prove is in its docstring). The clock stands
still at six in the morning of each simulated day, so that stamps can be compared too.

The sampled model explains revenue and is short; what it concludes is not the point here, its rows are. The plan rests on the
deterministic fallback model of new customers, whose verdict is the same on every machine.
"""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
import yaml
from cli_child import Ended, run
from same_tables import ONE_SIDED, differences, on_both, refusal, rows_of, statements_in

from tasks.cli import JOBS
from tasks.core.contracts import all_contracts
from tasks.lab.process import RunningSandbox, sandbox_process

# The world's history is longer than what is loaded of it: the fallback model holds its last eight weeks better late in the world.
WORLD, SEED, WORLD_DAYS, HISTORY_DAYS = "clear_signal", 7, 540, 371
FIT = ("--target", "revenue", "--window-weeks", "30", "--draws", "100")
FALLBACK = ("--model", "bootstrap_loglog", "--window-weeks", "52")
POLICY = {"watch_days": 1, "learning_days": 0, "min_probability": 0.5, "target_cac_micros": 150_000_000}

# Why a column may differ. Everything else must be equal.
MAY_DIFFER = {
    ("models.mmm_runs", "seconds"): "wall time of the fit",
    ("control.canary_changes", "request_id"): "the sandbox numbers its calls with its process id; the number is compared below",
    ("control.canary_changes", "prev_hash"): "covers the request ids; verify-ledger recomputes each chain",
    ("control.canary_changes", "row_hash"): "the same",
    ("control.ledger_anchors", "row_hash"): "the same",
}
# The jobs of this run may write these, but nothing in it is bad, acknowledged, flagged, a control variable or an experiment.
# No ad is switched in this loop: tests/loop/test_ads.py does that.
EMPTY = {
    "ads.ads_action_performance",  # Google's results by action are in a table of their own
    "ads.business_controls",
    "control.quarantine",
    "control.canary_ads_snapshot",
    "control.drift_acknowledgements",
    "control.flag_exposures",
    "models.mmm_lift_tests",
}


@dataclass
class Loop:
    """The jobs on one backend: ``env`` points at the warehouse, ``said`` keeps (command, exit code, stdout) in order."""

    folder: Path
    sandbox: RunningSandbox
    pool: ProcessPoolExecutor
    env: dict[str, str]
    said: list[tuple[str, int, str]] = field(default_factory=list)

    def job(self, command: str, *arguments: str, codes: tuple[int, ...] = (0,)) -> Ended:
        """``aelp2 COMMAND --run-date TODAY ARGUMENTS`` on the simulated morning."""
        today = self.sandbox.admin.state()["today"]
        env = self.env | {"AELP2_NOW": f"{today}T06:00:00+00:00"}
        ended: Ended = self.pool.submit(run, [command, "--run-date", today, *arguments], env).result(timeout=1200)
        assert ended.code in codes, f"{command} ended with {ended.code}\n{ended.out}\n{ended.err}"
        self.said.append((" ".join((command, *arguments)), ended.code, ended.out))
        return ended

    def load(self) -> None:
        """The morning's data and its gate."""
        self.job("ingest-ads", "--history-days", str(HISTORY_DAYS))
        self.job("ingest-outcomes")
        self.job("ingest-fx")
        self.job("validate-tables")

    def apply(self) -> str:
        """Check what plan and readiness ask for, plan, have it approved, apply; the id of the change set."""
        self.job("check-drift")
        self.job("evaluate-fidelity")
        self.job("validate-tables", "--for", "plan-budgets")
        self.job("plan-budgets")
        self.job("request-approval")
        (asked,) = json.loads((self.folder / "xcom.json").read_text(encoding="utf-8"))["sets"]
        names = ("--set", f"{asked['change_set_id']}={asked['sha256']}", "--approval-ref", "run1/review")
        self.job("record-approval", *names, "--decision", "approved", "--approver", "maria")
        for step in (
            ("assess-readiness",),
            ("snapshot-budgets",),
            ("validate-changes",),
            ("apply-changes", "--live"),
            ("verify-changes",),
        ):
            self.job(*step)
        return str(asked["change_set_id"])

    def watch(self) -> None:
        """What the DAG of the watch runs."""
        self.job("reconcile-changes")
        self.job("validate-tables", "--for", "watch-canary")
        self.job("watch-canary")
        self.job("roll-back-changes", "--live")
        self.job("promote-changes")

    def whole(self) -> None:
        """A set is planned, applied and watched to its end; a second one is taken back by a person; the kill switch is used."""
        self.load()
        self.job("validate-tables", "--for", "fit-mmm")
        self.job("fit-mmm", *FIT)
        self.job("review-mmm", "--target", "revenue", codes=(0, 3))
        self.job("fit-mmm", *FALLBACK)
        self.job("review-mmm")
        self.apply()
        self.sandbox.admin.advance(1)
        self.load()
        self.watch()
        self.sandbox.admin.advance(1)
        self.load()
        self.watch()
        second = self.apply()
        self.job("roll-back-changes", "--change-set-id", second, "--why", "the landing page is down", "--live")
        self.job("kill", "--why", "the landing page is down")
        self.job("kill", "--off", "--why", "it is up again")
        self.job("verify-ledger")
        self.job("report")


@dataclass(frozen=True)
class Left:
    """What one loop left behind: frames by table, what the jobs said, the report's text."""

    tables: dict[str, pl.DataFrame]
    said: list[tuple[str, int, str]]
    report: str


def go(folder: Path, backend: dict[str, str], pool: ProcessPoolExecutor, salt: Path) -> Left:
    """Run the loop in ``folder`` on a sandbox of its own."""
    folder.mkdir()
    state = folder / "sandbox"
    with sandbox_process(state_dir=state, world=WORLD, seed=SEED, history_days=WORLD_DAYS) as sandbox:
        accounts = [f"google_ads:{account}" for account in sandbox.endpoint["customer_ids"]]
        (folder / "policy.yaml").write_text(yaml.safe_dump(POLICY | {"allowed_accounts": accounts}), encoding="utf-8")
        own = {
            "AELP2_MODE": "live",
            "AELP2_ACTOR": "planner",
            "AELP2_POLICY": str(folder / "policy.yaml"),
            "AELP2_NAME_SALT_FILE": str(salt),
            "AELP2_REPORT_DIR": str(folder / "reports"),
            "AELP2_XCOM_FILE": str(folder / "xcom.json"),
        }
        loop = Loop(folder, sandbox, pool, sandbox.env | backend | own)
        loop.whole()
    (report,) = (folder / "reports").glob("report-*.html")
    tables = {contract.name: rows_of(contract, backend) for contract in all_contracts()}
    return Left(tables, loop.said, report.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Left, Left, Path]]:
    """What the loop left on DuckDB and on BigQuery, and the file with every statement BigQuery was sent."""
    with on_both(tmp_path_factory.mktemp("same"), go) as left:
        yield left


def test_every_table_holds_the_same(both: tuple[Left, Left, Path]) -> None:
    """Same rows, same values, same stamps in every contract table, and no table is equal because nothing was in it."""
    on_duckdb, on_bigquery, _ = both
    names = [name for name in on_duckdb.tables if name != ONE_SIDED]
    written = {table for line, _, _ in on_duckdb.said for table in JOBS[line.split()[0]].writes}
    assert {name for name in written if on_duckdb.tables[name].is_empty()} == EMPTY
    found = [line for name in names for line in differences(name, on_duckdb.tables[name], on_bigquery.tables[name], MAY_DIFFER)]
    assert found == [], "\n".join(found)


def test_the_ledger_tells_the_same_story(both: tuple[Left, Left, Path]) -> None:
    """Promotion and rollback are both in it, and the calls behind the changes have the same numbers."""
    ledgers = [left.tables["control.canary_changes"] for left in both[:2]]
    assert {"applied", "verified", "promoted", "rolled_back"} <= set(ledgers[0]["event"])
    numbers = [ledger["request_id"].str.replace(r"^sbx[0-9a-f]+-", "").to_list() for ledger in ledgers]
    assert numbers[0] == numbers[1]
    assert any(numbers[0])


def test_the_jobs_and_the_report_say_the_same(both: tuple[Left, Left, Path]) -> None:
    """Exit codes, printed lines and the page, but for the warehouse's name, folders, seconds and hashes over request ids."""
    on_duckdb, on_bigquery, _ = both

    def plain(text: str) -> str:
        return re.sub(r"switches in .*:|/\S+/(duckdb|bigquery)/|\d+ s\b|\b[0-9a-f]{12,64}\b…?|sbx[0-9a-f]+-", "·", text)

    for left, right in zip(on_duckdb.said, on_bigquery.said, strict=True):
        assert [plain(str(part)) for part in left] == [plain(str(part)) for part in right]
    assert plain(on_duckdb.report).splitlines() == plain(on_bigquery.report).splitlines()


def test_nothing_is_left_lying_about(both: tuple[Left, Left, Path]) -> None:
    """Every lease on BigQuery was given back, and it was BigQuery that was used."""
    leases = both[1].tables[ONE_SIDED]
    assert leases.height > 0
    assert (leases["expires_at"].max() - leases["expires_at"].min()).days == 0
    assert both[0].tables[ONE_SIDED].is_empty()


def test_google_s_analyser_takes_every_statement(both: tuple[Left, Left, Path]) -> None:
    """Each distinct statement the jobs sent, MERGEs included, passes ZetaSQL with its parameters' types."""
    distinct = statements_in(both[2])
    assert any("MERGE" in sql for sql, _ in distinct)
    assert any("UPDATE" in sql for sql, _ in distinct)
    refused = [found for sql, types in distinct if (found := refusal(sql, types))]
    assert refused == [], "\n\n".join(refused)
