"""Settings: unset means the safe thing, a bad value is named."""

from pathlib import Path

import pytest

from tasks.core.errors import JobError
from tasks.core.settings import load_settings


def test_an_empty_environment_is_safe() -> None:
    """Shadow mode, local warehouse, no policy file, no credentials (M1)."""
    settings = load_settings({})
    assert (settings.mode, settings.backend, settings.actor) == ("shadow", "duckdb", "job")
    assert (settings.policy_path, settings.google_ads_config, settings.google_ads_endpoint) == (None, None, None)


def test_empty_variables_count_as_unset() -> None:
    """A template that leaves a variable empty does not switch anything on, nor make a path of nothing."""
    names = ("AELP2_MODE", "AELP2_POLICY", "AELP2_GOOGLE_ADS_ENDPOINT", "AELP2_ACTOR", "AELP2_DUCKDB_PATH", "AELP2_BACKEND")
    assert load_settings(dict.fromkeys(names, "")) == load_settings({})


@pytest.mark.parametrize("value", ["LIVE", "Live", "live ", "1", "true", "production"])
def test_only_the_exact_word_is_live(value: str) -> None:
    """Anything near it is an error, not a guess in either direction (M1)."""
    with pytest.raises(JobError, match="AELP2_MODE"):
        load_settings({"AELP2_MODE": value})


@pytest.mark.parametrize(
    ("name", "value"), [("AELP2_BACKEND", "sqlite"), ("AELP2_MMM_MODEL", "prophet"), ("AELP2_BACKEND", "bigquery")]
)
def test_a_bad_value_is_named(name: str, value: str) -> None:
    """The error names the variable; bigquery alone lacks its project."""
    with pytest.raises(JobError, match=name):
        load_settings({name: value})


def test_values_are_taken_over() -> None:
    """Paths become paths."""
    settings = load_settings(
        {"AELP2_MODE": "live", "AELP2_POLICY": "p.yaml", "AELP2_BACKEND": "bigquery", "AELP2_GCP_PROJECT": "x"}
    )
    assert (settings.mode, settings.policy_path, settings.backend, settings.gcp_project) == (
        "live",
        Path("p.yaml"),
        "bigquery",
        "x",
    )


def test_a_warehouse_that_others_share_never_takes_the_salt_that_lies_on_this_machine() -> None:
    """With another salt than the pods' no name would match: unless a file is named, BigQuery has one for each project."""
    shared = {"AELP2_BACKEND": "bigquery", "AELP2_GCP_PROJECT": "acme-prod"}
    assert load_settings({}).name_salt_file == Path(".local/name_salt")
    assert load_settings(shared).name_salt_file == Path(".local/name_salt.acme-prod")
    assert load_settings({**shared, "AELP2_NAME_SALT_FILE": "s"}).name_salt_file == Path("s")
