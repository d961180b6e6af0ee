"""The whole loop on this machine: sandbox, Airflow, ingest → check → journeys, uplift, MMM → plan → approval → canary → watch.

Live mode is switched on here and only here, and only against a sandbox on loopback. All state lies in .local; a second run
on the same state works for the same day and applies nothing again.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from airflow_api import AirflowApi
from dag_progress import DagFailedError, Progress
from local_airflow import APPROVER, OPERATOR, ROOT, LocalAirflow, local_airflow, state_dir, write_private
from local_sandbox import LocalSandbox
from loop_summary import Outcome, print_summary, read_facts

sys.path.insert(0, str(ROOT / "plugins" / "aelp2_airflow"))
from simulated_clock import set_clock

_NOT_YET = ("scheduled", "queued", "running")  # states of a gate that does not wait yet
APPROVAL, CANARY, WATCH, METRICS = "budget_approval_daily", "budget_canary_daily", "budget_watch_daily", "metrics_daily"
AD_APPROVAL, AD_CANARY = "bandit_approval_daily", "bandit_canary_daily"
_OURS = (
    "airflow",
    "sandbox",
    "sandbox.log",
    "sandbox.pid",
    "clock.json",
    "policy.yaml",
    "reports",
    "name_salt",
    "warehouse.duckdb",
)


@dataclass(frozen=True)
class Wish:
    """What the caller asked for."""

    approve: str
    decision: str
    watch_days: int
    world: str
    seed: int
    answer_within_s: int


class Loop:
    """One run of the loop."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.state = state_dir()
        self.cli = ROOT / ".venv" / "bin" / "aelp2"
        self.sandbox = LocalSandbox(self.state / "sandbox", self.cli)
        self.airflow: LocalAirflow = local_airflow()
        self.begun = time.monotonic()

    def say(self, text: str) -> None:
        """A line with the seconds since the start."""
        sys.stdout.write(f"[{time.monotonic() - self.begun:6.1f} s] {text}\n")
        sys.stdout.flush()

    def job_environment(self) -> dict[str, str]:
        """The settings of every job of this run."""
        self._write_policy()
        env = self.sandbox.job_environment() | {  # raises unless the sandbox is on loopback
            "AELP2_MODE": "live",
            "AELP2_CLI": str(self.cli),
            "AELP2_WORK_DIR": str(ROOT),
            "AELP2_BACKEND": "duckdb",
            "AELP2_DUCKDB_PATH": str(self.state / "warehouse.duckdb"),
            "AELP2_NAME_SALT_FILE": str(self.state / "name_salt"),
            "AELP2_REPORT_DIR": str(self.state / "reports"),
            "AELP2_POLICY": str(self.state / "policy.yaml"),
            "AELP2_CLOCK_FILE": str(self.state / "clock.json"),
            "AELP2_APPROVERS": APPROVER,
        }
        if self.wish.approve == "timeout":
            env["AELP2_RESPONSE_TIMEOUT_S"] = str(self.wish.answer_within_s)
        return env

    def _write_policy(self) -> None:
        endpoint = self.sandbox.endpoint
        lines = ["# The accounts of the sandbox, and no others.", "allowed_accounts:"]
        lines += [f'  - "{account}"' for account in endpoint["accounts"]]
        if endpoint["target_cac"] is not None:
            lines += [
                "# What this advertiser says a new customer may cost at the margin.",
                f"target_cac_micros: {round(endpoint['target_cac'] * 1_000_000)}",
            ]
        write_private(self.state / "policy.yaml", "\n".join(lines) + "\n")

    def set_day(self) -> date:
        """Put the clock of the jobs on the sandbox's today, six in the morning; that day."""
        today = self.sandbox.today()
        set_clock(self.state / "clock.json", datetime(today.year, today.month, today.day, 6, tzinfo=UTC))
        return today

    def start(self) -> None:
        """Bring sandbox and Airflow up."""
        if not self.cli.exists():
            raise RuntimeError(f"{self.cli} is missing; run scripts/bootstrap.sh (make does it)")
        self.say(f"sandbox: world {self.wish.world}, seed {self.wish.seed}; log {self.sandbox.log_file}")
        self.sandbox.spawn(self.wish.world, self.wish.seed)
        self.sandbox.wait()
        today = self.set_day()
        self.say(f"sandbox: ready, the simulated today is {today}")
        self.airflow.start(self.job_environment(), self.say)

    def stop(self) -> None:
        """End both."""
        self.airflow.stop()
        self.sandbox.stop()

    def run(self) -> Outcome:
        """Plan, ask, apply, watch; what came of it."""
        run_date = date.fromisoformat(self.sandbox.endpoint["last_day_of_history"]) + timedelta(days=1)
        progress = Progress(self.airflow.api(OPERATOR), str(self.airflow.home / "logs"), self.begun)
        before = self.sandbox.state()
        day = run_date.isoformat()
        events = progress.run("ga4_ingest_daily", day)  # beside the ads: the two meet in attribution only
        progress.must_succeed("ads_ingest_daily", progress.run("ads_ingest_daily", day))
        progress.must_succeed("ga4_ingest_daily", events)
        journeys = progress.run("journeys_daily", day)
        # The model is weekly: a run that has succeeded for this date stands.
        model = progress.run("mmm_weekly", day, again=False)
        progress.must_succeed("journeys_daily", journeys)
        uplift = progress.run("uplift_weekly", day)  # beside the model, which takes longest
        progress.must_succeed("mmm_weekly", model)
        progress.must_succeed("uplift_weekly", uplift)
        beside = {dag_id: progress.run(dag_id, day) for dag_id in ("drift_daily", "fidelity_daily", "attribution_weekly")}
        progress.must_succeed("drift_daily", beside.pop("drift_daily"))
        beside["bandit_daily"] = progress.run("bandit_daily", day)  # like the plan, it starts when drift was checked
        for dag_id, run_id in beside.items():
            progress.must_succeed(dag_id, run_id)
        for dag_id in ("budget_plan_daily", "readiness_daily"):
            progress.must_succeed(dag_id, progress.run(dag_id, day))
        verdict = self._approve(progress, day, APPROVAL, CANARY)
        ads = self._approve(progress, day, AD_APPROVAL, AD_CANARY)
        watched = "approved" in (verdict, ads)
        if watched:
            self._watch(progress, run_date)
        if not watched or self.wish.watch_days == 0:
            for dag_id in (WATCH, METRICS):
                progress.must_succeed(dag_id, progress.run(dag_id, self.sandbox.today().isoformat()))
        return Outcome(verdict, ads, run_date, before, self.sandbox.state(), read_facts(self.job_environment(), run_date))

    def _approve(self, progress: Progress, day: str, approval: str, canary_dag: str) -> str:
        """Have the change sets decided and see the canary to its end: approved, rejected, expired or nothing (to decide)."""
        progress.api.pause(canary_dag, False)
        had_canary = progress.api.run_at(canary_dag, f"{day}T06:00:00Z") is not None
        run_id = progress.run(approval, day)
        if had_canary:
            progress.run(canary_dag, day)  # the first time the approval's task twin makes it
        progress.follow(approval, run_id, until=lambda states: states.get("review") == "awaiting_input")
        if progress.api.run(approval, run_id)["state"] == "running":
            if self.wish.approve != "timeout":  # whose seconds can be over before the gate waits
                self._let_the_gate_wait(progress, day, canary_dag)
            self._ask(self.airflow.api(APPROVER), approval, run_id)
        state = progress.follow(approval, run_id)
        states = {task["task_id"]: task["state"] for task in progress.api.tasks(approval, run_id)}
        canary = progress.api.run_at(canary_dag, f"{day}T06:00:00Z")
        if canary is None:
            raise DagFailedError(f"{canary_dag} has no run for {day}; the task twin of {approval} should have made it")
        if states["record_expiry"] == "success":
            progress.follow(canary_dag, canary["dag_run_id"])  # its gate fails: nobody said yes
            if self.wish.approve == "auto":
                raise DagFailedError(f"{approval}: the answer was given and Airflow lost it, so the change set expired")
            return "expired"
        if state != "success":
            progress.fail(approval, run_id)
        progress.must_succeed(canary_dag, canary["dag_run_id"])
        if states["approved"] == "success":
            return "approved"
        return "nothing" if states["review"] == "skipped" else "rejected"

    def _let_the_gate_wait(self, progress: Progress, day: str, canary_dag: str) -> None:
        """Return once the gate of the canary waits for the answer: no person is faster than the gate, and no script should be."""
        deadline = time.monotonic() + 900
        while (canary := progress.api.run_at(canary_dag, f"{day}T06:00:00Z")) is None:
            if time.monotonic() > deadline:
                raise DagFailedError(f"{canary_dag} has no run for {day} after 15 minutes; its twin should have made it")
            time.sleep(0.5)
        progress.follow(canary_dag, canary["dag_run_id"], until=lambda states: states.get("gate") not in (None, *_NOT_YET))
        self.airflow.wait_until_parked(canary_dag, canary["dag_run_id"], "gate")

    def _ask(self, approver: AirflowApi, approval: str, run_id: str) -> None:
        question = approver.question(approval, run_id, "review")
        sys.stdout.write(f"\n{'─' * 100}\n{question['subject']}\n\n{question['body']}\n{'─' * 100}\n\n")
        page = f"{self.airflow.url}/dags/{approval}/runs/{run_id}/tasks/review/required_actions"
        if self.wish.approve == "manual":
            self.say(f"waiting for a person: {page}")
            self.say(f"log in as {APPROVER}; the password is in {self.airflow.home / 'passwords.json'}")
        elif self.wish.approve == "timeout":
            self.say(f"nobody answers; the request expires after {self.wish.answer_within_s} s")
        else:
            option = {"approve": "Approve", "reject": "Reject"}[self.wish.decision]
            self.airflow.wait_until_parked(approval, run_id, "review")
            self.say(f"{APPROVER} answers {option} through Airflow's REST API")
            approver.answer(approval, run_id, "review", option)

    def _watch(self, progress: Progress, run_date: date) -> None:
        """Let the canary live for some simulated days, each with its data and its watch."""
        for number in range(1, self.wish.watch_days + 1):
            due = run_date + timedelta(days=number)
            while self.sandbox.today() < due:
                self.sandbox.advance()
                self.say(f"a simulated day passes: today is {self.set_day()} (day {number} of {self.wish.watch_days})")
            for dag_id in ("ads_ingest_daily", "fidelity_daily", WATCH, METRICS):
                progress.must_succeed(dag_id, progress.run(dag_id, due.isoformat(), again=False))


@contextlib.contextmanager
def _until_stopped(loop: Loop) -> Iterator[None]:
    """Whatever happens, Ctrl-C and SIGTERM included: everything that was started is stopped."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        loop.say("stopping Airflow and the sandbox")
        loop.stop()


def wipe(loop: Loop) -> None:
    """Forget everything an earlier run left."""
    loop.stop()
    for name in _OURS:
        for path in [loop.state / name, *loop.state.glob(f"{name}.*")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def serve_ui(loop: Loop) -> None:
    """Keep Airflow and the sandbox up until Ctrl-C."""
    loop.say(f"Airflow is open at {loop.airflow.url}; Required Actions: {loop.airflow.url}/required_actions")
    loop.say(f"log in as {OPERATOR} (triggers) or {APPROVER} (answers); passwords: {loop.airflow.home / 'passwords.json'}")
    loop.say("Ctrl-C stops everything")
    while True:
        time.sleep(1)
        loop.airflow.check_alive()


def _arguments() -> argparse.Namespace:
    env = os.environ
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add: Any = parser.add_argument
    approve = "auto: the user approver answers through the API; manual: a person does, in the UI; timeout: nobody does [APPROVE]"
    add("--approve", choices=["auto", "manual", "timeout"], default=env.get("APPROVE") or "auto", help=approve)
    add(
        "--decision", choices=["approve", "reject"], default=env.get("DECISION") or "approve", help="what auto answers [DECISION]"
    )
    add("--watch-days", type=int, default=env.get("DAYS") or "3", help="simulated days the canary is watched [DAYS]")
    add("--world", default=env.get("WORLD") or "everywhere", help="world of the sandbox: an id or a YAML file [WORLD]")
    add("--seed", type=int, default=env.get("SEED") or "7", help="seed of the sandbox [SEED]")
    add(
        "--answer-within",
        type=int,
        default=env.get("TIMEOUT") or "20",
        help="seconds until --approve timeout expires [TIMEOUT]",
    )
    add("--fresh", action="store_true", default=env.get("FRESH") == "1", help="forget the state of earlier runs first [FRESH=1]")
    add("--ui", action="store_true", help="only bring sandbox and Airflow up and keep them until Ctrl-C")
    return parser.parse_args()


def main() -> int:
    """Run the loop; 0 if it did what was asked, 1 with the reason otherwise."""
    asked = _arguments()
    loop = Loop(Wish(asked.approve, asked.decision, asked.watch_days, asked.world, asked.seed, asked.answer_within))
    if asked.fresh:
        wipe(loop)
    Path(loop.state).mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with _until_stopped(loop):
            loop.start()
            if asked.ui:
                serve_ui(loop)
            outcome = loop.run()
    except KeyboardInterrupt:
        return 130
    except (RuntimeError, OSError) as error:
        sys.stderr.write(
            f"\nerror: {error}\nlogs: {loop.airflow.home / 'logs'}, {loop.airflow.home / 'components'}, {loop.sandbox.log_file}\n"
        )
        return 1
    return print_summary(outcome, loop.state / "reports", time.monotonic() - loop.begun)


if __name__ == "__main__":
    sys.exit(main())
