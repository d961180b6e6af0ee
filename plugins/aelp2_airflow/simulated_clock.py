"""Simulated time of the local loop. Production has none: it never sets ``AELP2_CLOCK_FILE``.

The sandbox lives in a calendar of its own. The loop writes down, each time a simulated day begins, which instant of that
calendar it is (`set_clock`); from there simulated time runs at the speed of real time. Tasks get it as ``AELP2_NOW``, so the
stamps of one simulated day follow each other and two simulated days are 24 hours apart, which the rolling caps and the expiry
of an approval are computed from.
"""

import json
from datetime import UTC, datetime
from pathlib import Path


def set_clock(file: Path, simulated: datetime, real: datetime | None = None) -> None:
    """From now on (or from instant ``real``) the simulated calendar stands at ``simulated``."""
    state = {"simulated_at": simulated.isoformat(), "real_at": (real or datetime.now(UTC)).isoformat()}
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(state) + "\n", encoding="utf-8")
    draft.replace(file)  # a task that starts now reads the old clock or the new one, never half of it


def simulated_now(file: Path, real: datetime | None = None) -> datetime:
    """The instant of the simulated calendar."""
    state = json.loads(file.read_text(encoding="utf-8"))
    elapsed = (real or datetime.now(UTC)) - datetime.fromisoformat(state["real_at"])
    return datetime.fromisoformat(state["simulated_at"]) + elapsed
