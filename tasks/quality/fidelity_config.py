"""The thresholds of fidelity_thresholds.yaml, checked."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tasks.core.errors import JobError

FILE = Path(__file__).with_name("fidelity_thresholds.yaml")
JUDGED = ("mape_cac", "mape_roas", "nrmse", "ks", "coverage_90")


@dataclass(frozen=True)
class PlanRules:
    """When a change set is looked at, against what, and for how long."""

    horizon_days: int
    usual_days: int
    window_days: int
    least_sets: int


@dataclass(frozen=True)
class FidelityConfig:
    """The whole file. ``schedule``: (from week, limit by metric), from the widest to the final ones."""

    version: int
    weeks: int
    least_weeks: int
    mature_days: int
    plan: PlanRules
    schedule: tuple[tuple[int, dict[str, float]], ...]

    def limits(self, weeks_since_first_fit: int) -> dict[str, float]:
        """The limits in force so many weeks after the first fit."""
        return [limits for from_week, limits in self.schedule if from_week <= weeks_since_first_fit][-1]


def parse_config(raw: dict[str, Any]) -> FidelityConfig:
    """The rules in the parsed YAML; JobError if a limit is missing or loosens with time."""
    schedule = []
    for line in raw["schedule"]:
        if set(line) != {"from_week", *JUDGED}:
            raise JobError(f"{FILE.name}: a line of the schedule needs from_week, {', '.join(JUDGED)}; got {sorted(line)}")
        schedule.append((int(line["from_week"]), {name: float(line[name]) for name in JUDGED}))
    if not schedule or schedule[0][0] != 0:
        raise JobError(f"{FILE.name}: the schedule must begin with from_week 0")
    for (week, before), (next_week, after) in pairwise(schedule):
        looser = [
            name for name in JUDGED if (after[name] > before[name]) != (name == "coverage_90") and after[name] != before[name]
        ]
        if next_week <= week or looser:
            raise JobError(
                f"{FILE.name}: from week {next_week} on the schedule goes back or loosens {looser}; it may only tighten"
            )
    plan = PlanRules(**{name: int(value) for name, value in raw["plan"].items()})
    counts = {name: int(raw[name]) for name in ("version", "weeks", "least_weeks", "mature_days")}
    return FidelityConfig(**counts, plan=plan, schedule=tuple(schedule))


@functools.cache
def load_config() -> FidelityConfig:
    """The rules in force."""
    import yaml

    return parse_config(yaml.safe_load(FILE.read_text(encoding="utf-8")))
