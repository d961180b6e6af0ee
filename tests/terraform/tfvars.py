"""Values of the environments: the examples that tests plan with, and those of whoever runs this, which may be any."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TERRAFORM = ROOT / "terraform"
STACKS, ENVIRONMENTS = ("platform", "release"), ("dev", "prod")
# What tests expect of a plan must not hang on the project that somebody deploys to: `make release` runs these tests there. Of the
# examples dev has the runner composer and prod gke.
EXAMPLES = Path(__file__).with_name("environments")


def example(stack: str, environment: str) -> Path:
    """The values that the fixture `planned` plans with."""
    return EXAMPLES / stack / f"{environment}.tfvars"


def own(stack: str, environment: str) -> Path:
    """The values of the installation."""
    return TERRAFORM / stack / "environments" / f"{environment}.tfvars"


def texts(file: Path) -> dict[str, str]:
    """The values of a tfvars file that are text."""
    return dict(re.findall(r'^(\w+)\s*=\s*"([^"]*)"', file.read_text(encoding="utf-8"), re.MULTILINE))


def keys(file: Path) -> list[str]:
    """Names that a tfvars file sets."""
    return re.findall(r"^(\w+)\s*=", file.read_text(encoding="utf-8"), re.MULTILINE)
