"""One advertiser on a running sandbox, the real CLI as a process of its own, and what a fit would have left in the warehouse.

The world is `cac_breach`: Acme until today, and from today on demand collapses. Its history is short and its draws lie around
the market's truth, so that no test waits for a model.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import yaml

from tasks.core.changeset import ChangeSet, parse
from tasks.core.contracts import load_contract
from tasks.core.ledger import Ledger
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.lab.process import RunningSandbox

ROOT = Path(__file__).resolve().parents[2]
CLI = Path(sys.executable).with_name("aelp2")
WORLD = "cac_breach"
HISTORY_DAYS = 120
START_DATE = "2025-10-29"  # so that history ends far from the holidays
RUN_DATE = date(2026, 2, 26)
ACCOUNT = "2000000001"
PERSON, AUTHOR = "maria", "planner"
DRAWS = 200
_FIT_DATE = RUN_DATE - timedelta(days=2)


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def _frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=load_contract(table).polars_schema())


@dataclass
class Stage:
    """An advertiser in ``folder``: warehouse, policy, salt; the jobs are pointed at ``sandbox``."""

    folder: Path
    sandbox: RunningSandbox
    hours: float = 0.0  # how long after six in the morning of the simulated day the jobs run
    mode: str = "live"
    credentials: bool = True
    processes: "list[subprocess.Popen[str]]" = field(default_factory=list)

    @property
    def warehouse(self) -> DuckDBWarehouse:
        return DuckDBWarehouse(self.folder / "w.duckdb")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.warehouse)

    @property
    def today(self) -> date:
        return date.fromisoformat(self.sandbox.admin.state()["today"])

    def env(self, today: date | None = None) -> dict[str, str]:
        """Environment of a job: nothing of this process's own AELP2 settings, live mode, the simulated morning."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AELP2_", "GRPC_"))}
        morning = datetime.combine(today or self.today, datetime.min.time(), UTC) + timedelta(hours=6 + self.hours)
        policy = self.folder / "policy.yaml"
        policy.write_text(yaml.safe_dump({"allowed_accounts": [f"google_ads:{ACCOUNT}"]}), encoding="utf-8")
        return kept | {
            "AELP2_MODE": self.mode,
            "AELP2_DUCKDB_PATH": str(self.folder / "w.duckdb"),
            "AELP2_NAME_SALT_FILE": str(self.folder / "salt"),
            "AELP2_POLICY": str(policy),
            "AELP2_NOW": morning.isoformat(),
            "AELP2_ACTOR": AUTHOR,
            **(self.sandbox.env if self.credentials else {}),
        }

    def start(self, command: str, *arguments: str, day: date | None = RUN_DATE) -> "subprocess.Popen[str]":
        """Start ``aelp2 COMMAND --run-date DAY ARGUMENTS`` and leave it running."""
        dated = () if day is None else ("--run-date", day.isoformat())
        process = subprocess.Popen(
            [str(CLI), command, *dated, *arguments],
            env=self.env(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, command: str, *arguments: str, day: date | None = RUN_DATE) -> Ran:
        """The same, to its end."""
        process = self.start(command, *arguments, day=day)
        out, err = process.communicate(timeout=1200)
        return Ran(process.returncode, out, err)

    def must(self, command: str, *arguments: str, day: date | None = RUN_DATE) -> str:
        """The same; it has to end well. What it printed."""
        ran = self.run(command, *arguments, day=day)
        assert ran.code == 0, f"{command}: exit code {ran.code}\n{ran.out}{ran.err}"
        return ran.out

    def stop(self) -> None:
        """End what still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def change_set(self) -> ChangeSet:
        """The set that was planned for RUN_DATE."""
        (text,) = self.warehouse.query("SELECT canonical_json FROM control.change_sets WHERE mode = 'live'")["canonical_json"]
        return parse(text)

    def decide(self, decision: str = "approved", approver: str = PERSON) -> Ran:
        """Record a person's answer on the hash of the planned set."""
        planned = self.change_set()
        names = ("--set", f"{planned.change_set_id}={planned.sha256}", "--approval-ref", "run1/review")
        return self.run("record-approval", *names, "--decision", decision, "--approver", approver)

    def state(self) -> str:
        """Where the planned set stands in the ledger."""
        return self.ledger.history(self.change_set().change_set_id).state

    def events(self) -> list[tuple[str, str]]:
        """(change id or '', event) of the whole ledger."""
        return [(row.change_id, row.event) for row in self.ledger.rows()]

    def amounts(self) -> dict[str, int]:
        """Budget id → micros as the platform holds them."""
        return {str(budget): amount for budget, amount in self.sandbox.admin.budgets().items()}

    def made(self) -> list[tuple[str, int, int]]:
        """(budget id, from, to) of every change that came in through the API, in order."""
        changes = self.sandbox.admin.state()["changes"]
        return [(str(c["entity"]), c["old"], c["new"]) for c in changes if c["client_type"] == "GOOGLE_ADS_API"]

    def mutates(self) -> list[str]:
        """``validate`` or ``mutate`` for every mutate call that was answered well, in order."""
        calls = [r for r in self.sandbox.admin.requests() if r["method"] == "MutateCampaignBudgets" and r["status"] == "OK"]
        return ["validate" if call["validate_only"] else "mutate" for call in calls]

    def load(self) -> None:
        """Another morning's data."""
        self.must("ingest-ads", "--history-days", str(HISTORY_DAYS), day=self.today)
        self.must("ingest-outcomes", day=self.today)

    def pass_days(self, days: int) -> None:
        """Let days pass and load them."""
        self.sandbox.admin.advance(days)
        self.load()

    def safety_kinds(self) -> list[str]:
        return list(self.warehouse.query("SELECT kind FROM control.safety_events ORDER BY kind")["kind"])


def sql(stage: Stage, statement: str, *values: object) -> None:
    """Change a table behind everybody's back."""
    with duckdb.connect(str(stage.folder / "w.duckdb")) as connection:
        connection.execute(statement, values)


def before(planned: ChangeSet) -> dict[str, int]:
    """Budget id → micros before the set."""
    return {c.budget_id: c.amount_before_micros for c in planned.changes}


def after(planned: ChangeSet) -> dict[str, int]:
    """Budget id → approved micros."""
    return {c.budget_id: c.amount_after_micros for c in planned.changes}


def steps(planned: ChangeSet) -> list[tuple[str, int, int]]:
    """What a platform must have seen of the set: each change once, in order."""
    return [(c.budget_id, c.amount_before_micros, c.amount_after_micros) for c in planned.changes]


def until[T](condition: Callable[[], T], what: str, timeout_s: float = 600) -> T:
    """What ``condition`` gives as soon as it is true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {timeout_s} s for {what}")


def write_model(warehouse: DuckDBWarehouse, truth: Mapping[str, Any]) -> None:
    """A reviewed run whose draws lie about 15 % around the true curves (``truth`` is the sandbox's answer about recent days).

    The market saturates as 1 − exp(−s / scale), the model as tanh; ``lam`` gives both the same ceiling and the same response
    at the present spend.
    """
    rng = np.random.default_rng(1)
    now = datetime.combine(_FIT_DATE, datetime.min.time(), UTC)
    channels = truth["channels"]
    run = {
        "run_id": "mmm-truth",
        "run_date": _FIT_DATE,
        "source": "platforms",
        "target": "new_customers",
        "currency_code": "USD",
        "model": "pymc_mmm",
        "trust": "normal",
        "window_start_date": date.fromisoformat(START_DATE),
        "window_end_date": _FIT_DATE - timedelta(days=1),
        "period_days": 7,
        "periods": HISTORY_DAYS // 7,
        "channels": sorted(c["channel"] for c in channels),
        "geos": ["national"],
        "data_sha256": "0" * 64,
        "config_sha256": "0" * 64,
        "config_json": "{}",
        "seed": 1,
        "versions_json": "{}",
        "holdout_periods": 0,
        "fitted_at": now,
    }
    review = {
        "run_id": "mmm-truth",
        "check": "verdict",
        "result": "PASS",
        "detail": "draws around the sandbox's truth, for tests",
        "run_date": _FIT_DATE,
        "reviewed_at": now,
    }
    warehouse.merge("models.mmm_runs", _frame("models.mmm_runs", [run]))
    warehouse.merge("models.mmm_reviews", _frame("models.mmm_reviews", [review]))
    rows = [row for channel in channels for row in _draws(channel, channel["spend"] / truth["days"], rng)]
    warehouse.merge("models.mmm_draws", _frame("models.mmm_draws", rows))


def _draws(channel: Mapping[str, Any], spend: float, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    ceiling, scale = channel["ceiling_customers"], channel["scale_spend"]
    lam = 2 * np.arctanh(-np.expm1(-spend / scale)) * scale / spend
    for draw in range(DRAWS):
        yield {
            "run_id": "mmm-truth",
            "geo": "national",
            "channel": channel["channel"],
            "draw": draw,
            "form": "logistic",
            "adstock_alpha": channel["carry_over"],
            "saturation_lam": lam * float(np.exp(rng.normal(0, 0.10))),
            "outcome_beta": ceiling * 7 * float(np.exp(rng.normal(0, 0.15))),
            "spend_scale": scale * 7,
            "spend_share": 1.0,
        }


def write_fidelity(warehouse: DuckDBWarehouse) -> None:
    """The verdict of evaluate-fidelity on that run, which has no fitted weeks to be judged by."""
    verdict = {
        "run_date": RUN_DATE,
        "platform": "all",
        "account_id": "all",
        "basis": "model",
        "target": "new_customers",
        "metric": "verdict",
        "result": "pass",
        "periods": 8,
        "thresholds_version": 1,
        "detail": "draws around the sandbox's truth, for tests",
        "evaluated_at": datetime.combine(RUN_DATE, datetime.min.time(), UTC),
    }
    table = "control.fidelity_evaluations"
    warehouse.merge(table, _frame(table, [verdict]))


def prepare(stage: Stage) -> None:
    """History, outcomes and a live model; nothing planned yet."""
    stage.load()
    since = RUN_DATE - timedelta(days=14)
    write_model(stage.warehouse, stage.sandbox.admin.truth(since.isoformat(), RUN_DATE.isoformat()))
    stage.must("check-drift")
    write_fidelity(stage.warehouse)
    stage.must("validate-tables", "--for", "plan-budgets")
