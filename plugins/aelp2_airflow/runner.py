"""What runs a job: a setting of the Airflow environment, the same for every DAG (docs/decisions/0017-runners.md)."""

import os
from dataclasses import dataclass
from enum import StrEnum


class Runner(StrEnum):
    """The values of ``AELP2_RUNNER``."""

    LOCAL = "local"  # a process of this machine
    COMPOSER = "composer"  # a pod in the environment's own cluster; so too where the setting is not there
    GKE = "gke"  # a pod in a GKE cluster of our own, named by AELP2_GKE_*


class RunnerError(ValueError):
    """A setting of the runner is wrong or missing; Airflow shows it as the DAG's import error."""


@dataclass(frozen=True)
class Cluster:
    """The GKE cluster that the runner `gke` starts pods in."""

    project: str
    location: str
    name: str


def runner() -> Runner:
    """The runner that is set."""
    value = os.environ.get("AELP2_RUNNER") or Runner.COMPOSER
    try:
        return Runner(value)
    except ValueError:
        raise RunnerError(f"AELP2_RUNNER={value!r} is not one of {', '.join(Runner)}") from None


def is_local() -> bool:
    """True on a developer's machine, where jobs run as processes; everywhere else they are pods."""
    return runner() is Runner.LOCAL


def gke_cluster() -> Cluster:
    """The cluster that AELP2_GKE_PROJECT, AELP2_GKE_LOCATION and AELP2_GKE_CLUSTER name."""
    names = ("AELP2_GKE_PROJECT", "AELP2_GKE_LOCATION", "AELP2_GKE_CLUSTER")
    if missing := [name for name in names if not os.environ.get(name)]:
        raise RunnerError(f"AELP2_RUNNER=gke also needs {', '.join(missing)}: where the cluster is")
    return Cluster(*(os.environ[name] for name in names))
