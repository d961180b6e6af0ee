"""The real CLI against a real sandbox, each job in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that `from ga4_world import …` works under importlib mode

from onboard_world import Onboarding

from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.lab.process import RunningSandbox, sandbox_process


@dataclass(frozen=True)
class Ended:
    """How a job ended."""

    code: int
    out: str
    err: str


@dataclass
class Jobs:
    """Jobs on one sandbox and one warehouse; the clock is the sandbox's morning unless ``env`` says otherwise."""

    sandbox: RunningSandbox
    folder: Path
    env: dict[str, str]

    @property
    def today(self) -> date:
        """The simulated day."""
        return date.fromisoformat(self.sandbox.admin.state()["today"])

    @property
    def warehouse(self) -> DuckDBWarehouse:
        """What the jobs write to."""
        return DuckDBWarehouse(Path(self.env["AELP2_DUCKDB_PATH"]))

    def arguments(self, command: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """Command line and environment of a job for the simulated day."""
        now = f"{self.today}T06:00:00+00:00"
        run = "import sys; from tasks.cli import main; main(sys.argv[1:])"
        line = [sys.executable, "-c", run, command, "--run-date", str(self.today), *arguments]
        return line, {**os.environ, "AELP2_NOW": now, **self.env}

    def run(self, command: str, *arguments: str) -> Ended:
        """Run a job to its end."""
        line, env = self.arguments(command, *arguments)
        done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=1200, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)

    def counts(self) -> dict[str, int]:
        """Rows per table that the ads jobs write."""
        tables = ("ads_campaign_performance", "ads_ad_performance", "ads_conversion_action_stats", "campaign_budgets")
        tables = (*tables, "ads_change_events", "ads_accounts", "ads_criterion_performance")
        read = self.warehouse.query
        return {t: int(read(f"SELECT COUNT(*) AS n FROM ads.{t}")["n"][0]) for t in tables}


JobsOn = Callable[[RunningSandbox], Jobs]


@pytest.fixture
def jobs_on(tmp_path: Path) -> JobsOn:
    """Jobs on a given sandbox with a fresh warehouse."""

    def make(sandbox: RunningSandbox) -> Jobs:
        own = {"AELP2_DUCKDB_PATH": str(tmp_path / "w.duckdb"), "AELP2_NAME_SALT_FILE": str(tmp_path / "salt")}
        return Jobs(sandbox, tmp_path, {**sandbox.env, **own})

    return make


@pytest.fixture(scope="session")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """World acme with 400 days of history: several chunks."""
    with sandbox_process(state_dir=tmp_path_factory.mktemp("acme"), history_days=400) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """Three accounts below one manager."""
    state = tmp_path_factory.mktemp("three")
    with sandbox_process(state_dir=state, world="three_accounts", history_days=60) as sandbox:
        yield sandbox


@pytest.fixture
def jobs(acme: RunningSandbox, jobs_on: JobsOn) -> Iterator[Jobs]:
    """Jobs on acme without any fault."""
    yield jobs_on(acme)
    acme.admin.clear_faults()


@pytest.fixture(scope="session")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """Two accounts on each platform, 400 days of history."""
    world = Path(__file__).parents[1] / "platforms" / "conformance" / "world.yaml"
    with sandbox_process(state_dir=tmp_path_factory.mktemp("all"), world=str(world), history_days=400) as sandbox:
        yield sandbox


@pytest.fixture
def onboarding(everywhere: RunningSandbox, tmp_path: Path) -> Onboarding:
    """`aelp2 onboard` on a machine that knows no platform yet."""
    return Onboarding(everywhere, tmp_path)
