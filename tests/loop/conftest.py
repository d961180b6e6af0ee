"""Checkpoints of the loop: made once a session by the real jobs, copied for each test."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that `from loop_world import …` works under importlib mode

from loop_world import HISTORY_DAYS, START_DATE, WORLD, Stage, prepare  # needs the line above

from tasks.lab.process import RunningSandbox, sandbox_process


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here starts servers and processes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


def start_sandbox(stack: ExitStack, folder: Path) -> RunningSandbox:
    """A sandbox that goes on from ``folder``'s state.json, or from its history if there is none."""
    process = sandbox_process(state_dir=folder, world=WORLD, start_date=START_DATE, history_days=HISTORY_DAYS)
    return stack.enter_context(process)


class Checkpoints:
    """``loaded`` → ``planned`` → ``validated`` → ``applied`` → ``breached``: folders with warehouse and sandbox state.

    One sandbox goes the whole way; each checkpoint is made when a test first asks for it or for a later one.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._made: dict[str, Path] = {}
        self._way = self._go()

    def __getitem__(self, name: str) -> Path:
        while name not in self._made:
            next(self._way)
        return self._made[name]

    def _go(self) -> Iterator[None]:
        work = self._folder / "work"
        stage = Stage(work, start_sandbox(self._stack, work / "sandbox"))
        prepare(stage)
        yield self._keep("loaded", work)
        stage.must("plan-budgets")
        stage.must("assess-readiness")
        yield self._keep("planned", work)
        decided = stage.decide()
        assert decided.code == 0, decided.err
        stage.must("snapshot-budgets")
        stage.must("validate-changes")
        yield self._keep("validated", work)
        stage.must("apply-changes", "--live")
        stage.must("verify-changes")
        yield self._keep("applied", work)
        stage.pass_days(2)
        stage.must("watch-canary", day=stage.today)
        yield self._keep("breached", work)

    def _keep(self, name: str, work: Path) -> None:
        copy = self._folder / name
        (copy / "sandbox").mkdir(parents=True)
        for file in ("w.duckdb", "salt", "sandbox/state.json"):
            shutil.copyfile(work / file, copy / file)
        (copy / "salt").chmod(0o600)
        self._made[name] = copy


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkpoints]:
    with ExitStack() as stack:
        yield Checkpoints(tmp_path_factory.mktemp("checkpoints"), stack)


def _copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target, dirs_exist_ok=True)
    return target


@pytest.fixture
def stage_at(checkpoints: Checkpoints, tmp_path: Path) -> Iterator[Callable[[str], Stage]]:
    """``stage_at("validated")``: a copy of that checkpoint with a sandbox of its own."""
    with ExitStack() as stack:

        def make(name: str) -> Stage:
            folder = _copy(checkpoints[name], tmp_path / name)
            stage = Stage(folder, start_sandbox(stack, folder / "sandbox"))
            stack.callback(stage.stop)
            return stage

        yield make


@pytest.fixture(scope="session")
def quiet_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """One sandbox for all tests in which nothing may reach it; each of them checks that nothing did."""
    with ExitStack() as stack:
        yield start_sandbox(stack, tmp_path_factory.mktemp("quiet"))


@pytest.fixture
def untouched(checkpoints: Checkpoints, quiet_sandbox: RunningSandbox, tmp_path: Path) -> Iterator[Callable[[str], Stage]]:
    """``untouched("validated")``: a copy of that checkpoint; the test fails if any budget is changed or sent for change."""
    budgets, stages = quiet_sandbox.admin.budgets(), []

    def make(name: str) -> Stage:
        stage = Stage(_copy(checkpoints[name], tmp_path / name), quiet_sandbox)
        stages.append(stage)
        return stage

    yield make
    for stage in stages:
        stage.stop()
    assert quiet_sandbox.admin.budgets() == budgets
    assert [r for r in quiet_sandbox.admin.requests() if r["method"].startswith("Mutate") and not r["validate_only"]] == []
