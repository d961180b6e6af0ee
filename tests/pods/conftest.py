"""These tests run in Airflow's own environment: `.venv-airflow/bin/python -m pytest tests/dags tests/plugins tests/pods`."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow", reason="needs Airflow: run with .venv-airflow/bin/python")

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "plugins"), str(ROOT / "scripts"), str(Path(__file__).parent)]
# Airflow reads these when it is imported and would otherwise write a configuration into the home directory.
_HOME = tempfile.mkdtemp(prefix="aelp2-airflow-tests-")
os.environ |= {"AIRFLOW_HOME": _HOME, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__UNIT_TEST_MODE": "False"}


@pytest.fixture(scope="session")
def rendered() -> dict[str, dict[tuple[str, str], dict[str, Any]]]:
    """Runner → (DAG, task) → the manifest that its operator builds now."""
    import pod_manifests

    return {runner: pod_manifests.pods(runner) for runner in pod_manifests.RUNNERS}
