"""The configuration file is private, complete, and never quoted in a message."""

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.errors import JobError
from tasks.core.settings import Settings, load_settings
from tasks.platforms.google_ads.connection import connect, read_config

SECRET = "tok3n-very-secret"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "google-ads.yaml"
    path.touch(mode=0o600)
    path.write_text(f"developer_token: {SECRET}\nlogin_customer_id: '1000000001'\nuse_proto_plus: true\n")
    return path


def settings_for(path: Path | None) -> Settings:
    return replace(load_settings({}), google_ads_config=path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(config: Path, mode: int) -> None:
    """Group or world access is enough; the message says what to run."""
    config.chmod(mode)
    with pytest.raises(JobError, match=rf"mode 0{mode:o}.*chmod 600"):
        read_config(settings_for(config))


def test_a_service_account_key_that_others_can_read_is_refused(config: Path, tmp_path: Path) -> None:
    """The key file that the configuration names must be as private as the configuration."""
    key = tmp_path / "key.json"
    key.touch(mode=0o644)
    config.write_text(f"json_key_file_path: {key}\n")
    with pytest.raises(JobError, match=r"service account key .*key\.json has mode 0644"):
        read_config(settings_for(config))


def test_settings_lie_over_the_file(config: Path) -> None:
    """Endpoint and manager account of the environment win; dashes in the id do not matter."""
    settings = replace(settings_for(config), google_ads_endpoint="localhost:1", google_ads_login_customer_id="200-000-0002")
    got = read_config(settings)
    assert (got["endpoint"], got["login_customer_id"], got["use_proto_plus"]) == ("localhost:1", "2000000002", False)


def test_no_file_is_named(tmp_path: Path) -> None:
    """Unset and missing are told apart; both name the variable."""
    with pytest.raises(JobError, match="AELP2_GOOGLE_ADS_CONFIG is not set"):
        read_config(settings_for(None))
    with pytest.raises(JobError, match=r"AELP2_GOOGLE_ADS_CONFIG=.*absent\.yaml does not exist"):
        read_config(settings_for(tmp_path / "absent.yaml"))


@pytest.mark.parametrize("text", [f"developer_token: '{SECRET}", f"- {SECRET}", f"{SECRET}: {{}}\nlogging: {{level: DEBUG}}"])
def test_a_bad_file_is_not_quoted(config: Path, text: str) -> None:
    """Broken YAML, a list, and the library's own request log are refused without showing a secret."""
    config.write_text(text)
    with pytest.raises(JobError) as caught:
        read_config(settings_for(config))
    assert SECRET not in str(caught.value)


def test_missing_credentials_are_named(config: Path) -> None:
    """The client's own complaint comes through with the file's name and the how-to, without the token."""
    with pytest.raises(JobError, match=r"google-ads\.yaml: .*connect-google-ads\.md") as caught:
        connect(settings_for(config))
    assert SECRET not in str(caught.value)
