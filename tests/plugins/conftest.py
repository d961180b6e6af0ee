"""These tests run in Airflow's own environment: `.venv-airflow/bin/python -m pytest tests/dags tests/plugins`."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("airflow", reason="needs Airflow: run with .venv-airflow/bin/python")

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "plugins"), str(ROOT / "scripts"), str(Path(__file__).parent)]
# Airflow reads these when it is imported and would otherwise write a configuration into the home directory.
_HOME = tempfile.mkdtemp(prefix="aelp2-airflow-tests-")
os.environ |= {"AIRFLOW_HOME": _HOME, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__UNIT_TEST_MODE": "False"}
