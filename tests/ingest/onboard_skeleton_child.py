"""A platform in a file, and a process that makes a skeleton on it: it may be killed on the way or hold still.

python onboard_skeleton_child.py FOLDER [--die POINT] [--hold]
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import click

from tasks.core.errors import JobError
from tasks.core.policy import Policy
from tasks.core.settings import load_settings
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest.onboard_skeleton import Skeletons, wish_for
from tasks.platforms.base import Account, Skeleton, SkeletonReceipt

ACCOUNT = "acc_1"
KINDS = ("campaign", "adgroup", "ad")


class MemoryAds:
    """Knows skeletons and nothing else; ``file`` outlives the process. ``calls`` are the creates in order."""

    name = "memory"

    def __init__(self, folder: Path, die: str = "", *, hold: bool = False) -> None:
        self._file, self._die, self._hold = folder / "platform.json", die, hold
        self.on_accounts: Callable[[], None] = lambda: None

    @property
    def _state(self) -> dict[str, Any]:
        return json.loads(self._file.read_text()) if self._file.exists() else {"made": {}, "calls": []}

    @property
    def made(self) -> dict[str, str]:
        """Kind → id."""
        return dict(self._state["made"])

    @property
    def calls(self) -> list[str]:
        """Kinds created, in order, over all processes."""
        return list(self._state["calls"])

    def accounts(self) -> list[Account]:
        self.on_accounts()
        return [Account(self.name, id_, "", "EUR", "Europe/Berlin", "ENABLED") for id_ in (ACCOUNT, "acc_2")]

    def create_skeleton(self, account_id: str, skeleton: Skeleton, *, validate_only: bool) -> SkeletonReceipt:
        state, created = self._state, []
        if self._hold:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # so that it waits for us, however early it comes
            click.echo("making")
            sys.stdout.flush()
            signal.sigwait({signal.SIGUSR1})
        for kind in KINDS:
            if kind not in state["made"] and not validate_only:
                state["made"][kind] = f"{kind}-{skeleton.label}-{account_id}"
                state["calls"].append(kind)
                created.append(kind)
                self._file.write_text(json.dumps(state))
                self._end(f"after {kind}")
        self._end("after answer")
        return SkeletonReceipt(*(state["made"].get(kind) for kind in KINDS), tuple(created), "r-1")

    def _end(self, point: str) -> None:
        if self._die == point:
            os.kill(os.getpid(), signal.SIGKILL)


def wish() -> Skeleton:
    return wish_for("memory", ACCOUNT, "start", "https://shop.example/", Decimal(20))


def skeletons_on(folder: Path, *, mode: str = "live", allowed: tuple[str, ...] = ("memory:acc_1",), **how: Any) -> Skeletons:
    settings = replace(load_settings({}), mode=mode)
    platform: Any = MemoryAds(folder, **how)
    return Skeletons(settings, Policy(allowed_accounts=allowed), DuckDBWarehouse(folder / "w.duckdb"), platform, "maria")


if __name__ == "__main__":
    place, rest = Path(sys.argv[1]), sys.argv[2:]
    dies = rest[rest.index("--die") + 1] if "--die" in rest else ""
    try:
        click.echo(skeletons_on(place, die=dies, hold="--hold" in rest).make(ACCOUNT, wish()))
    except JobError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
