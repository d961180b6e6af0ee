"""list-accounts: what Airflow is told to load, whatever one platform does."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tasks.core.errors import JobError, NothingToDo
from tasks.ingest import ingest_ads, list_accounts
from tasks.platforms.base import Account

RUN = "2026-03-01"


def account(platform: str, account_id: str, status: str = "ENABLED") -> Account:
    return Account(platform, account_id, "0" * 64, "USD", "UTC", status)


@dataclass
class Listed:
    """A platform that knows its accounts, or refuses to name them."""

    known: list[Account] | JobError

    def accounts(self) -> list[Account]:
        if isinstance(self.known, JobError):
            raise self.known
        return self.known


@pytest.fixture
def platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Listed]:
    """Platform → what it says; those that are not in it have no credentials."""
    there: dict[str, Listed] = {}
    monkeypatch.setattr(list_accounts, "has_credentials", lambda _settings, name: name in there)
    monkeypatch.setattr(list_accounts, "open_platform", lambda name, _settings: there[name])
    monkeypatch.setenv("AELP2_XCOM_FILE", str(tmp_path / "return.json"))
    return there


def run(*arguments: str) -> Result:
    return CliRunner().invoke(list_accounts.command, ["--run-date", RUN, *arguments])


def handed_over(tmp_path: Path) -> list[list[str]]:
    lines: list[list[str]] = json.loads((tmp_path / "return.json").read_text())
    return lines


def test_each_account_becomes_a_load_of_its_own(platforms: dict[str, Listed], tmp_path: Path) -> None:
    """In the order of platforms; closed accounts are left out unless they are named."""
    platforms["x"] = Listed([account("x", "x1")])
    platforms["google_ads"] = Listed([account("google_ads", "1"), account("google_ads", "2", "CANCELED")])
    got = run()
    assert got.exit_code == 0, got.output
    assert [line[4:] for line in handed_over(tmp_path)] == [["google_ads", "--account", "1"], ["x", "--account", "x1"]]
    assert "2 is CANCELED, left out" in got.output
    assert run("--platform", "google_ads", "--account", "2").exit_code == 0
    assert handed_over(tmp_path) == [["ingest-ads", "--run-date", RUN, "--platform", "google_ads", "--account", "2"]]


def test_every_line_is_one_that_ingest_ads_takes(platforms: dict[str, Listed], tmp_path: Path) -> None:
    """With the first day of a backfill too."""
    platforms["reddit"] = Listed([account("reddit", "t2_a")])
    assert run("--start-date", "2025-01-01").exit_code == 0
    ((command, *arguments),) = handed_over(tmp_path)
    assert command == "ingest-ads"
    parsed = ingest_ads.command.make_context("ingest-ads", arguments).params
    assert (parsed["platform"], parsed["accounts"], str(parsed["start_date"])[:10]) == ("reddit", ("t2_a",), "2025-01-01")


def test_a_platform_that_refuses_gets_a_load_that_will_say_why(platforms: dict[str, Listed], tmp_path: Path) -> None:
    """The others start all the same."""
    platforms["meta"] = Listed(JobError("the token has run out"))
    platforms["reddit"] = Listed([account("reddit", "t2_a")])
    assert run().exit_code == 0
    assert [line[4:] for line in handed_over(tmp_path)] == [["meta"], ["reddit", "--account", "t2_a"]]


def test_fields_that_a_form_left_empty_mean_all(platforms: dict[str, Listed], tmp_path: Path) -> None:
    """Airflow renders them as empty texts; several ids may be separated by commas, Google's may have dashes."""
    platforms["google_ads"] = Listed([account("google_ads", n) for n in ("1234567890", "2", "3")])
    assert run("--platform", "", "--account", "", "--start-date", "").exit_code == 0
    assert len(handed_over(tmp_path)) == 3
    assert run("--account", "123-456-7890, 3").exit_code == 0
    assert [line[-1] for line in handed_over(tmp_path)] == ["1234567890", "3"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--platform", "myspace"), "unknown platform 'myspace'"),
        (("--account", "9"), "reach no account 9"),
        (("--start-date", "01.03.2026"), "is no day; write it as 2026-03-01"),
    ],
)
def test_what_makes_no_sense_is_an_error(platforms: dict[str, Listed], arguments: tuple[str, ...], message: str) -> None:
    """It names the value."""
    platforms["reddit"] = Listed([account("reddit", "t2_a")])
    got = run(*arguments)
    assert isinstance(got.exception, JobError)
    assert message in str(got.exception)


def test_without_any_credentials_there_is_nothing_to_do(platforms: dict[str, Listed]) -> None:
    """Airflow skips what follows; the way on is named."""
    got = run()
    assert isinstance(got.exception, NothingToDo)
    assert "aelp2 onboard" in str(got.exception)
