"""The adapter on a real sandbox, in a process of its own: gRPC reads its trust root once a process."""

import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that the child process finds adapter_child

from adapter_child import Answer, call, set_environment

from tasks.lab.process import RunningSandbox, sandbox_process


class Adapter:
    """``adapter.read_budgets(…)`` runs GoogleAdsPlatform.read_budgets in the child process and gives an Answer."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def __getattr__(self, method: str) -> Any:
        def run(*args: Any, quota_wait_seconds: float = 300.0, **kwargs: Any) -> Answer:
            return self._pool.submit(call, method, args, kwargs, quota_wait_seconds).result(timeout=1200)

        return run


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """World acme with 120 days of history."""
    with sandbox_process(state_dir=tmp_path_factory.mktemp("sandbox"), history_days=120) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def pool(running: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessPoolExecutor]:
    salt = tmp_path_factory.mktemp("salt") / "salt"
    now = f"{running.endpoint['today']}T06:00:00+00:00"
    env = {**running.env, "AELP2_NAME_SALT_FILE": str(salt), "AELP2_NOW": now}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=set_environment, initargs=(env,)) as executor:
        yield executor


@pytest.fixture
def sandbox(running: RunningSandbox) -> Iterator[RunningSandbox]:
    """The session's sandbox with no fault on, and every budget, ad and campaign as at its start."""
    before = running.admin.budgets()
    on = running.admin.ads()
    yield running
    running.admin.clear_faults()
    for budget, amount in running.admin.budgets().items():
        if before[budget] != amount:
            running.admin.edit(budget, before[budget])
    for ad, is_on in running.admin.ads().items():
        if on[ad] != is_on:
            running.admin.edit_status("ad", ad, "ENABLED" if on[ad] else "PAUSED")
    for campaign in running.admin.state()["campaigns"]:
        if not campaign["is_enabled"]:
            running.admin.edit_status("campaign", campaign["campaign_id"], "ENABLED")


@pytest.fixture
def adapter(pool: ProcessPoolExecutor, sandbox: RunningSandbox) -> Adapter:
    return Adapter(pool)
