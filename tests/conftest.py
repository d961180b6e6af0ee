"""Fixtures every test may use."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that `from shared_data import shared_file` works under importlib mode

if find_spec("hypothesis"):  # Airflow's environment has none
    from hypothesis import HealthCheck, settings

    # On top of Hypothesis' own profile, which is another one under CI: how long an example takes says nothing here.
    settings.register_profile("unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("unhurried")

# Files of minutes: with two workers they begin first, so that neither waits for the other at the end (make test tells xdist to
# keep this order; by itself it begins with the files of most tests).
LONGEST = (
    *("test_bigquery_same_numbers", "test_ad_invariants", "test_invariants", "test_bigquery_same_journeys", "test_crashes"),
    *("test_conformance", "test_currencies", "test_onboard", "test_platforms", "test_onboard_form", "test_three_accounts"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
