"""Fixtures of the plan's tests."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core.warehouse.duckdb import DuckDBWarehouse

sys.path.insert(0, str(Path(__file__).parent))  # so that `from decide_world import …` works under importlib mode

from decide_world import NOW, RUN_DATE, Advertiser  # needs the line above


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "w.duckdb")


@pytest.fixture
def advertiser(warehouse: DuckDBWarehouse) -> Advertiser:
    return Advertiser(warehouse)


@pytest.fixture
def plan_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run the command as the CLI does; returns what it printed."""
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_NOW", NOW.isoformat())
    monkeypatch.setenv("AELP2_ACTOR", "planner")
    monkeypatch.delenv("AELP2_POLICY", raising=False)
    monkeypatch.delenv("AELP2_MODE", raising=False)

    def run(*arguments: str, policy: str | None = None, mode: str | None = None) -> str:
        from click.testing import CliRunner

        from tasks.decide.plan_budgets import command

        if policy is not None:
            (tmp_path / "policy.yaml").write_text(policy, encoding="utf-8")
            monkeypatch.setenv("AELP2_POLICY", str(tmp_path / "policy.yaml"))
        if mode is not None:
            monkeypatch.setenv("AELP2_MODE", mode)
        result = CliRunner().invoke(command, ["--run-date", RUN_DATE.isoformat(), *arguments], standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return result.stdout

    return run
