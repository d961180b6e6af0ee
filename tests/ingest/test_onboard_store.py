"""Credentials in Secret Manager and how they are said to stand, and what is gathered from where, without any platform."""

import io
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from onboard_world import Onboarding, secrets
from secret_manager_double import PROJECT, Double, secret_manager

from tasks.core.errors import JobError, TryAgain
from tasks.core.settings import Settings, load_settings
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest.onboard_access import Standing, candidate, judge
from tasks.ingest.onboard_fields import gather, scrub
from tasks.ingest.onboard_status import status_lines
from tasks.ingest.onboard_store import FILE, SECRET_MANAGER, SecretManager, store_in_file
from tasks.platforms import adapter_of
from tasks.platforms.base import Access, Account

FIELDS = adapter_of("reddit").credential_fields
GIVEN = {"client_id": "an-id", "client_secret": "canary-secret-1", "refresh_token": "canary-token-22"}
ENV = {"AELP2_REDDIT_CLIENT_ID": "an-id", "AELP2_REDDIT_CLIENT_SECRET": "canary-secret-1"}
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ACCOUNT = Account("reddit", "t2", "", "USD", "UTC", "ENABLED")


@pytest.fixture
def double() -> Iterator[Double]:
    with secret_manager() as running:
        yield running


@pytest.fixture
def settings(double: Double, tmp_path: Path) -> Settings:
    own = {"secret_manager_endpoint": double.url, "gcp_project": PROJECT, "credentials_dir": tmp_path / "credentials"}
    return replace(load_settings({}), **own)


def test_each_storing_adds_a_version_and_the_newest_is_read(double: Double, settings: Settings) -> None:
    """The secret is made the first time; earlier versions stay."""
    manager = SecretManager(settings)
    assert manager.read("reddit") is None
    assert manager.add("reddit", {"client_id": "old"}) == f"stored as projects/{PROJECT}/secrets/aelp2-reddit/versions/1"
    assert manager.add("reddit", GIVEN).endswith("/versions/2")
    assert yaml.safe_load(manager.read("reddit") or "") == GIVEN
    assert [yaml.safe_load(text) for text in double.secrets["aelp2-reddit"]] == [{"client_id": "old"}, GIVEN]


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [((403, "PERMISSION_DENIED"), JobError, "secretVersionAdder"), ((500, "INTERNAL"), TryAgain, "run the same command again")],
)
def test_a_refusal_is_told_from_a_passing_fault(
    double: Double, settings: Settings, status: tuple[int, str], error: type[JobError], said: str
) -> None:
    """A missing role needs a person; neither message holds a secret."""
    double.status = status
    with pytest.raises(error, match=said) as raised:
        SecretManager(settings).add("reddit", GIVEN)
    assert type(raised.value) is error
    assert "canary" not in str(raised.value)


def test_a_secret_manager_that_cannot_be_reached_is_a_passing_fault(settings: Settings) -> None:
    """Nothing listens there: one clear line and exit code 75, no traceback of the HTTP library."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = replace(settings, secret_manager_endpoint=f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(TryAgain, match="run the same command again") as raised:
            SecretManager(closed).add("reddit", GIVEN)
    assert "canary" not in str(raised.value)


def status(settings: Settings, tmp_path: Path, store: str, *, online: bool = True) -> list[str]:
    """What `--status` says of Reddit and Meta."""
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    return list(status_lines(["reddit", "meta"], settings, warehouse, store=store, online=online, today=date(2026, 3, 1)))


def test_one_platform_that_cannot_be_asked_hides_no_other(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sunset API version of one is said in its line; the status goes on."""

    def gone(platform: str, _settings: Settings) -> None:
        raise JobError(f"{platform}: the API version is gone; update")

    monkeypatch.setattr("tasks.ingest.onboard_status.check", gone)
    settings.credentials_dir.mkdir()
    (settings.credentials_dir / "reddit.yaml").touch(mode=0o600)
    assert status(settings, tmp_path, FILE) == [
        "reddit: credentials not checked: reddit: the API version is gone; update",
        "meta: credentials missing",
    ]


def test_the_status_looks_into_secret_manager_where_credentials_are_stored_there(
    double: Double, settings: Settings, tmp_path: Path
) -> None:
    """None there is missing; offline nobody is asked; one that may not be read is said not to be checked."""
    assert status(settings, tmp_path, SECRET_MANAGER) == ["reddit: credentials missing", "meta: credentials missing"]
    offline = status(settings, tmp_path, SECRET_MANAGER, online=False)
    assert offline == [f"{name}: credentials not looked for in Secret Manager" for name in ("reddit", "meta")]
    double.status = (403, "PERMISSION_DENIED")
    assert all("not checked: Secret Manager denied reading" in line for line in status(settings, tmp_path, SECRET_MANAGER))


def test_storing_what_the_jobs_will_not_read_is_said(settings: Settings, tmp_path: Path) -> None:
    """AELP2_GOOGLE_ADS_CONFIG stands in place of the stored file, so new credentials would stay unused unnoticed."""
    settings.credentials_dir.mkdir()
    for platform, other, said in (
        ("google_ads", tmp_path / "other.yaml", True),
        ("google_ads", settings.credentials_dir / "google_ads.yaml", False),
        ("google_ads", None, False),
        ("reddit", tmp_path / "other.yaml", False),
    ):
        (checked := tmp_path / "checked.yaml").touch(mode=0o600)
        told = store_in_file(replace(settings, google_ads_config=other), platform, checked)
        assert ("AELP2_GOOGLE_ADS_CONFIG" in told) is said, told


def test_another_host_gets_no_secret(settings: Settings) -> None:
    """An endpoint that is not this machine is refused, and so is a missing project."""
    with pytest.raises(JobError, match="not on this machine"):
        SecretManager(replace(settings, secret_manager_endpoint="http://secrets.example")).add("reddit", GIVEN)
    with pytest.raises(JobError, match="AELP2_GCP_PROJECT"):
        SecretManager(replace(settings, gcp_project=None)).add("reddit", GIVEN)


@pytest.mark.slow
def test_the_command_stores_right_ones_there_and_checks_them(onboarding: Onboarding, double: Double) -> None:
    """--store secret-manager: nothing is left on this machine, and nothing secret is printed."""
    cloud = {"AELP2_SECRET_MANAGER_ENDPOINT": double.url, "AELP2_GCP_PROJECT": PROJECT}
    values, wrong = onboarding.credentials("reddit", "right"), onboarding.credentials("reddit", "wrong")
    assert values is not None
    assert wrong is not None
    asked = ("reddit", "--store", "secret-manager")
    assert onboarding.run(*asked, "--check", env=cloud).code == 1
    assert onboarding.run(*asked, env={**cloud, **onboarding.environment("reddit", wrong)}).code == 1
    assert double.secrets == {}
    # As docs/deploy.md has it, on a machine that has no salt.
    first = {"AELP2_BACKEND": "bigquery", "AELP2_NAME_SALT_FILE": str(onboarding.folder / "none"), **cloud}
    done = onboarding.run("reddit", env={**first, **onboarding.environment("reddit", values)})
    assert (done.code, "secrets/aelp2-reddit/versions/1" in done.out) == (0, True), done.said
    assert not onboarding.home.exists()
    checked = onboarding.run("reddit", "--check", env=first)
    assert checked.code == 0, checked.said
    assert not (onboarding.folder / "none").exists()
    status = onboarding.run(*asked, "--status", env=cloud)
    assert (status.code, "reddit: credentials present; scopes adsread, adsedit" in status.out) == (0, True), status.said
    said = done.said + checked.said + status.said + done.command_lines
    assert [s for s in secrets("reddit", values) if s in said] == []


def test_fields_come_from_the_file_then_the_environment_then_the_terminal(tmp_path: Path) -> None:
    """Each from the first place that has it; only what is missing is asked for."""
    file = tmp_path / "given.yaml"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump({"client_id": "of the file"}))
    asked = []

    def ask(field: object) -> str:
        asked.append(field)
        return " canary-token-22 "

    got = gather("reddit", FIELDS, file=file, env=ENV, ask=ask)
    assert got == {"client_id": "of the file", "client_secret": "canary-secret-1", "refresh_token": "canary-token-22"}
    assert [field.name for field in asked] == ["refresh_token"]  # type: ignore[attr-defined]


def test_what_is_missing_is_named_with_its_variable_and_where_to_find_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """None at all and some of them are two answers; no terminal, no question."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(JobError, match=r"there are no credentials of reddit: missing AELP2_REDDIT_CLIENT_ID"):
        gather("reddit", FIELDS, env={})
    with pytest.raises(JobError, match=r"are not complete: missing AELP2_REDDIT_REFRESH_TOKEN \(from the consent page") as error:
        gather("reddit", FIELDS, env=ENV)
    assert "canary" not in str(error.value)


@pytest.mark.parametrize("text", ["client_id: 'canary-1", "- canary-1", "canary_1: x", "canary-1"])
def test_a_file_with_something_else_is_not_quoted(tmp_path: Path, text: str) -> None:
    """A parser's message quotes the line, which may hold a token."""
    file = tmp_path / "given.yaml"
    file.touch(mode=0o600)
    file.write_text(text)
    with pytest.raises(JobError, match="reddit") as error:
        gather("reddit", FIELDS, file=file, env={})
    assert "canary" not in str(error.value)


def test_the_platforms_words_are_stripped_of_secrets() -> None:
    """A platform that repeats a token in its error does not get it printed; what is no secret stays."""
    assert scrub("token canary-token-22 of an-id is bad", GIVEN, FIELDS) == "token [redacted] of an-id is bad"


@pytest.mark.parametrize(
    ("access", "standing"),
    [
        (Access((ACCOUNT,), ("read",)), Standing.RIGHT),
        (Access((ACCOUNT,), ("read",), ("edit",)), Standing.LIMITED),
        (Access((), ("read",)), Standing.LIMITED),
        (Access((ACCOUNT,), ("read",), expires_at=NOW - timedelta(seconds=1)), Standing.EXPIRED),
        (Access((ACCOUNT,), ("read",), expires_at=NOW + timedelta(days=1)), Standing.RIGHT),
    ],
)
def test_an_answer_of_the_platform_is_judged(access: Access, standing: Standing) -> None:
    """Scopes that lack, no account, and an end that has passed: none of them is right."""
    assert judge("reddit", access, NOW).standing is standing


def test_credentials_under_trial_are_private_and_gone_afterwards(settings: Settings) -> None:
    """Also when the trial fails; and a folder that others can enter is refused."""

    def fail() -> None:
        with candidate("reddit", settings, GIVEN, beside_stored=True) as (trial, file):
            assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
            assert trial.credentials_dir == file.parent
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(settings.credentials_dir.iterdir()) == []
    settings.credentials_dir.chmod(0o750)
    with pytest.raises(JobError, match="chmod 700"), candidate("reddit", settings, GIVEN, beside_stored=True):
        pass
