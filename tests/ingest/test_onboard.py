"""`aelp2 onboard` tells credentials apart, stores only right ones, and shows a secret to nobody."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from onboard_world import Onboarding, secrets

from tasks.lab.process import RunningSandbox, sandbox_process
from tasks.platforms import ADAPTERS

pytestmark = pytest.mark.slow
WORLD = Path(__file__).parents[1] / "platforms" / "conformance" / "world.yaml"
ANSWERS = {  # standing → what must be said, beside the remedy that is its alone
    "wrong": ("are wrong", "copy them again"),
    "expired": ("are expired", "they were right once"),
    "limited": ("are lacking rights", "give the app or its user what is missing"),
}


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """Two accounts on each platform."""
    with sandbox_process(state_dir=tmp_path_factory.mktemp("all"), world=str(WORLD), history_days=90) as sandbox:
        yield sandbox


@pytest.fixture
def machine(everywhere: RunningSandbox, tmp_path: Path) -> Onboarding:
    return Onboarding(everywhere, tmp_path)


@pytest.mark.parametrize("platform", ADAPTERS)
@pytest.mark.parametrize("standing", ["wrong", "expired", "limited"])
def test_credentials_that_are_not_right_are_told_apart_and_not_stored(machine: Onboarding, platform: str, standing: str) -> None:
    """Exit code 1, what is the matter, what to do; neither a file nor a secret in what is printed, nor in the process list."""
    values = machine.credentials(platform, standing)
    if values is None:
        pytest.skip("keys of service accounts do not run out")
    done = machine.run(platform, env=machine.environment(platform, values))
    assert done.code == 1, done.said
    assert all(said in done.err for said in ANSWERS[standing]), done.err
    assert all(remedy not in done.err for name, (_, remedy) in ANSWERS.items() if name != standing)
    assert not [f for f in machine.folder.rglob("*") if f.is_file() and "credentials" in f.parts and f.suffix == ".yaml"]
    for secret in secrets(platform, values):
        assert secret not in done.said + done.command_lines
    assert "onboard" in done.command_lines


@pytest.mark.parametrize("platform", ADAPTERS)
def test_right_credentials_are_stored_for_their_owner_alone_and_checked_again(machine: Onboarding, platform: str) -> None:
    """Accounts and scopes are printed; the file (0600, in a folder 0700) is what the jobs then sign in with."""
    none = machine.run(platform)
    assert (none.code, f"there are no credentials of {platform}" in none.err) == (1, True), none.said
    assert machine.run(platform, "--check").code == 1
    values = machine.credentials(platform, "right")
    assert values is not None
    done = machine.run(platform, "--from-file", str(machine.file(values)))
    assert done.code == 0, done.said
    stored = machine.home / f"{platform}.yaml"
    assert yaml.safe_load(stored.read_text()) == values
    assert [stat.S_IMODE(path.stat().st_mode) for path in (stored, machine.home)] == [0o600, 0o700]
    assert [path.name for path in machine.home.iterdir()] == [stored.name]
    assert done.out.count("account ") == 2
    assert "scopes missing: none" in done.out
    checked = machine.run(platform, "--check")
    assert (checked.code, f"the credentials of {platform} are right" in checked.out) == (0, True), checked.said
    status = machine.run("--status", platform)
    assert (status.code, "credentials present" in status.out, status.out.count("never loaded")) == (0, True, 2), status.said
    everything = "".join(one.said + one.command_lines for one in (none, done, checked, status))
    everything += (machine.folder / "w.duckdb").read_bytes().decode("latin-1")
    assert [secret for secret in secrets(platform, values) if secret in everything] == []


def test_under_privileged_credentials_name_the_scopes_that_they_lack(machine: Onboarding) -> None:
    """Reddit's token without adsedit: the scope is named, granted ones are listed."""
    values = machine.credentials("reddit", "limited")
    assert values is not None
    done = machine.run("reddit", env=machine.environment("reddit", values))
    assert "they lack adsedit" in done.err
    assert "scopes granted: adsread\nscopes missing: adsedit\n" in done.out


def test_wrong_credentials_do_not_take_the_place_of_right_ones(machine: Onboarding) -> None:
    """What is stored stays until something better is there."""
    good, bad = machine.credentials("reddit", "right"), machine.credentials("reddit", "wrong")
    assert good is not None
    assert bad is not None
    assert machine.run("reddit", env=machine.environment("reddit", good)).code == 0
    assert machine.run("reddit", env=machine.environment("reddit", bad)).code == 1
    assert yaml.safe_load((machine.home / "reddit.yaml").read_text()) == good


def test_a_platform_that_does_not_answer_is_no_fault_of_the_credentials(machine: Onboarding) -> None:
    """Exit code 75: nothing is said of them and nothing stored."""
    values = machine.credentials("reddit", "right")
    assert values is not None
    machine.sandbox.admin.fault("throttle", platform="reddit", times=None, retry_delay_seconds=40_000)
    try:
        done = machine.run("reddit", env=machine.environment("reddit", values))
    finally:
        machine.sandbox.admin.clear_faults()
    assert (done.code, (machine.home / "reddit.yaml").exists()) == (75, False), done.said


def test_a_file_that_others_can_read_is_refused(machine: Onboarding) -> None:
    """--from-file takes private files alone."""
    values = machine.credentials("reddit", "right")
    assert values is not None
    file = machine.file(values)
    file.chmod(0o644)
    done = machine.run("reddit", "--from-file", str(file))
    assert (done.code, "chmod 600" in done.err) == (1, True)


def test_the_status_says_what_is_missing_and_how_old_the_data_is(machine: Onboarding) -> None:
    """Every platform has a line; after a backfill rows and lag stand there; expired credentials are said to be."""
    right, expired = machine.credentials("reddit", "right"), machine.credentials("tiktok", "expired")
    assert right is not None
    assert expired is not None
    assert machine.run("reddit", env=machine.environment("reddit", right)).code == 0
    (machine.home / "tiktok.yaml").touch(mode=0o600)
    (machine.home / "tiktok.yaml").write_text(yaml.safe_dump(expired))
    loaded = machine.run("reddit", "--backfill", "10")
    assert loaded.code == 0, loaded.said
    done = machine.run("--status")
    lines = done.out.splitlines()
    assert [line.split(":")[0] for line in lines if not line.startswith(" ")] == list(ADAPTERS)
    assert "reddit: credentials present; scopes adsread, adsedit" in lines
    assert "tiktok: credentials expired" in lines
    assert "google_ads: credentials missing" in lines
    assert done.out.count("succeeded") == 2
    assert done.out.count("lag 1 days") == 2
    offline = machine.run("--status", "reddit", "--offline")
    assert "reddit: credentials present, not checked" in offline.out
