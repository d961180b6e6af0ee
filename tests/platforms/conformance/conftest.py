"""One sandbox for all adapters, each adapter in a child process of its own."""

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that the child process finds conformance_child and broken

from conformance_bench import Bench
from conformance_child import set_environment

from tasks.lab.process import RunningSandbox, sandbox_process
from tasks.lab.sandbox import Sandbox
from tasks.lab.world import load_world

HERE = Path(__file__).parent
START, HISTORY_DAYS, SEED = date(2025, 7, 14), 120, 7  # holds the nights at which summer time ends


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """World conformance: two accounts on each of six platforms."""
    folder = tmp_path_factory.mktemp("sandbox")
    world = str(HERE / "world.yaml")
    with sandbox_process(
        state_dir=folder, world=world, seed=SEED, start_date=START.isoformat(), history_days=HISTORY_DAYS
    ) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """The same market, untouched by any protocol."""
    return Sandbox(tmp_path_factory.mktemp("oracle"), load_world(str(HERE / "world.yaml")), SEED, START, HISTORY_DAYS)


@pytest.fixture(scope="session")
def pool(running: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessPoolExecutor]:
    salt = tmp_path_factory.mktemp("salt") / "salt"
    env = {**running.env, "AELP2_NAME_SALT_FILE": str(salt), "AELP2_NOW": f"{running.endpoint['today']}T06:00:00+00:00"}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=set_environment, initargs=(env,)) as executor:
        yield executor


@pytest.fixture(scope="session")
def bench_of(
    running: RunningSandbox, oracle: Sandbox, pool: ProcessPoolExecutor, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Bench]:
    """A bench for ``module:Class`` of a platform."""
    return lambda adapter, platform: Bench(adapter, platform, pool, running, oracle, tmp_path_factory.mktemp("credentials"))
