"""The thresholds of drift_thresholds.yaml, checked."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.errors import JobError
from tasks.quality.drift_windows import NUMERIC, Windows

FILE = Path(__file__).with_name("drift_thresholds.yaml")
DATASETS = ("ads_facts", "journeys", "model_features", "model_residuals")
SHARES = ("missing", "new_category", "lost_category")


@dataclass(frozen=True)
class Levels:
    """From where on something is a warning, and from where on critical."""

    warning: float
    critical: float


@dataclass(frozen=True)
class DatasetRules:
    """Windows and history of one dataset, and whether its drift can be critical."""

    windows: Windows
    history_days: int
    blocks: bool


@dataclass(frozen=True)
class DriftConfig:
    """The whole file. ``false_discovery_rate`` has the smaller number at critical."""

    version: int
    false_discovery_rate: Levels
    effects: dict[str, Levels]
    shares: dict[str, Levels]
    mature_share: float
    mature_days: int
    datasets: dict[str, DatasetRules]


def _levels(name: str, raw: Any) -> Levels:
    if not isinstance(raw, dict) or set(raw) != {"warning", "critical"} or not all(float(v) > 0 for v in raw.values()):
        raise JobError(f"{FILE.name}: {name} needs warning and critical above 0, got {raw!r}")
    return Levels(float(raw["warning"]), float(raw["critical"]))


def parse_config(raw: dict[str, Any]) -> DriftConfig:
    """The rules in the parsed YAML; JobError names the key that is missing, unknown or out of its bounds."""
    for name, wanted in (("effects", NUMERIC), ("shares", SHARES), ("datasets", DATASETS)):
        if set(raw.get(name) or {}) != set(wanted):
            raise JobError(f"{FILE.name}: {name} must name exactly {', '.join(wanted)}, got {sorted(raw.get(name) or {})}")
    datasets = {}
    for name, one in raw["datasets"].items():
        windows = Windows(int(one["current"]), int(one["reference"]), int(one["season"]))
        if windows.season < 1 or windows.current % windows.season or windows.reference % windows.season:
            raise JobError(f"{FILE.name}: the windows of {name} must be whole seasons of {windows.season}, got {one!r}")
        datasets[name] = DatasetRules(windows, int(one["history_days"]), bool(one["blocks"]))
    return DriftConfig(
        version=int(raw["version"]),
        false_discovery_rate=_levels("false_discovery_rate", raw["false_discovery_rate"]),
        effects={name: _levels(name, one) for name, one in raw["effects"].items()},
        shares={name: _levels(name, one) for name, one in raw["shares"].items()},
        mature_share=float(raw["mature_share"]),
        mature_days=int(raw["mature_days"]),
        datasets=datasets,
    )


@functools.cache
def load_config() -> DriftConfig:
    """The rules in force."""
    import yaml

    return parse_config(yaml.safe_load(FILE.read_text(encoding="utf-8")))
