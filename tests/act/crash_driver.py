"""Runs one job and kills its own process by SIGKILL before the nth outside call: a write to the warehouse or a platform call.

python crash_driver.py FOLDER JOB CHANGE_SET_ID N     N = -1: never. Prints the calls it made.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from act_world import RUN_DATE, live_policy, settings
from memory_platform import MemoryPlatform

from tasks.act.apply_changes import apply_changes
from tasks.act.context import Context
from tasks.act.roll_back_changes import roll_back_changes
from tasks.act.stored import load_set
from tasks.core.errors import JobError
from tasks.core.warehouse.duckdb import DuckDBWarehouse

OUTSIDE = ("set_budgets", "set_ad_statuses", "insert_new", "merge")


class Dying:
    """Passes everything on to ``inner``, but dies before and after chosen calls; even numbers are before, odd ones after."""

    calls = 0
    last = -1

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name not in OUTSIDE:
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            self._tick()
            result = value(*args, **kwargs)
            self._tick()
            return result

        return call

    @staticmethod
    def _tick() -> None:
        if Dying.calls == Dying.last:
            os.kill(os.getpid(), signal.SIGKILL)
        Dying.calls += 1


def main(folder: Path, job: str, change_set_id: str, last: int) -> int:
    Dying.last = last
    platform = Dying(MemoryPlatform({}, file=folder / "platform.json"))
    warehouse = Dying(DuckDBWarehouse(folder / "w.duckdb"))
    context = Context(settings(folder), live_policy(), warehouse, lambda _name: platform)
    stored = load_set(warehouse, change_set_id)
    try:
        if job == "apply":
            apply_changes(context, stored, RUN_DATE)
        else:
            roll_back_changes(context, stored, RUN_DATE, "test")
    except JobError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"calls={Dying.calls}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
