"""`aelp2 onboard` tells credentials apart, stores only right ones, and shows a secret to nobody."""

import stat

import pytest
import yaml
from onboard_world import Onboarding, secrets

from tasks.platforms import ADAPTERS

pytestmark = pytest.mark.slow
ANSWERS = {  # standing → what must be said, beside the remedy that is its alone
    "wrong": ("are wrong", "copy them again"),
    "expired": ("are expired", "they were right once"),
    "limited": ("are lacking rights", "give the app or its user what is missing"),
}


@pytest.mark.parametrize("platform", ADAPTERS)
@pytest.mark.parametrize("standing", ["wrong", "expired", "limited"])
def test_credentials_that_are_not_right_are_told_apart_and_not_stored(
    onboarding: Onboarding, platform: str, standing: str
) -> None:
    """Exit code 1, what is the matter, what to do; neither a file nor a secret in what is printed, nor in the process list."""
    values = onboarding.credentials(platform, standing)
    if values is None:
        pytest.skip("keys of service accounts do not run out")
    done = onboarding.run(platform, env=onboarding.environment(platform, values))
    assert done.code == 1, done.said
    assert all(said in done.err for said in ANSWERS[standing]), done.err
    assert all(remedy not in done.err for name, (_, remedy) in ANSWERS.items() if name != standing)
    assert not [f for f in onboarding.folder.rglob("*") if f.is_file() and "credentials" in f.parts and f.suffix == ".yaml"]
    left = b"".join(file.read_bytes() for file in onboarding.folder.rglob("*") if file.is_file()).decode("latin-1")
    for secret in secrets(platform, values):
        assert secret not in done.said + done.command_lines + left
    assert "onboard" in done.command_lines


@pytest.mark.parametrize("platform", ADAPTERS)
def test_right_credentials_are_stored_for_their_owner_alone_and_checked_again(onboarding: Onboarding, platform: str) -> None:
    """Accounts and scopes are printed; the file (0600, in a folder 0700) is what the jobs then sign in with."""
    none = onboarding.run(platform)
    assert (none.code, f"there are no credentials of {platform}" in none.err) == (1, True), none.said
    assert onboarding.run(platform, "--check").code == 1
    values = onboarding.credentials(platform, "right")
    assert values is not None
    done = onboarding.run(platform, "--from-file", str(onboarding.file(values)))
    assert done.code == 0, done.said
    stored = onboarding.home / f"{platform}.yaml"
    assert yaml.safe_load(stored.read_text()) == values
    assert [stat.S_IMODE(path.stat().st_mode) for path in (stored, onboarding.home)] == [0o600, 0o700]
    assert [path.name for path in onboarding.home.iterdir()] == [stored.name]
    assert done.out.count("account ") == 2
    assert "scopes missing: none" in done.out
    checked = onboarding.run(platform, "--check")
    assert (checked.code, f"the credentials of {platform} are right" in checked.out) == (0, True), checked.said
    status = onboarding.run("--status", platform)
    assert (status.code, "credentials present" in status.out, status.out.count("never loaded")) == (0, True, 2), status.said
    everything = "".join(one.said + one.command_lines for one in (none, done, checked, status))
    everything += (onboarding.folder / "w.duckdb").read_bytes().decode("latin-1")
    assert [secret for secret in secrets(platform, values) if secret in everything] == []


def test_under_privileged_credentials_name_the_scopes_that_they_lack(onboarding: Onboarding) -> None:
    """Reddit's token without adsedit: the scope is named, granted ones are listed."""
    values = onboarding.credentials("reddit", "limited")
    assert values is not None
    done = onboarding.run("reddit", env=onboarding.environment("reddit", values))
    assert "they lack adsedit" in done.err
    assert "scopes granted: adsread\nscopes missing: adsedit\n" in done.out


def test_wrong_credentials_do_not_take_the_place_of_right_ones(onboarding: Onboarding) -> None:
    """What is stored stays until something better is there."""
    good, bad = onboarding.credentials("reddit", "right"), onboarding.credentials("reddit", "wrong")
    assert good is not None
    assert bad is not None
    assert onboarding.run("reddit", env=onboarding.environment("reddit", good)).code == 0
    assert onboarding.run("reddit", env=onboarding.environment("reddit", bad)).code == 1
    assert yaml.safe_load((onboarding.home / "reddit.yaml").read_text()) == good


def test_a_platform_that_does_not_answer_is_no_fault_of_the_credentials(onboarding: Onboarding) -> None:
    """Exit code 75: nothing is said of them and nothing stored."""
    values = onboarding.credentials("reddit", "right")
    assert values is not None
    onboarding.sandbox.admin.fault("throttle", platform="reddit", times=None, retry_delay_seconds=40_000)
    try:
        done = onboarding.run("reddit", env=onboarding.environment("reddit", values))
    finally:
        onboarding.sandbox.admin.clear_faults()
    assert (done.code, (onboarding.home / "reddit.yaml").exists()) == (75, False), done.said


def test_a_file_that_others_can_read_is_refused(onboarding: Onboarding) -> None:
    """--from-file takes private files alone."""
    values = onboarding.credentials("reddit", "right")
    assert values is not None
    file = onboarding.file(values)
    file.chmod(0o644)
    done = onboarding.run("reddit", "--from-file", str(file))
    assert (done.code, "chmod 600" in done.err) == (1, True)


def test_the_status_says_what_is_missing_and_how_old_the_data_is(onboarding: Onboarding) -> None:
    """Every platform has a line; after a backfill rows and lag stand there; expired credentials are said to be."""
    right, expired = onboarding.credentials("reddit", "right"), onboarding.credentials("tiktok", "expired")
    assert right is not None
    assert expired is not None
    assert onboarding.run("reddit", env=onboarding.environment("reddit", right)).code == 0
    (onboarding.home / "tiktok.yaml").touch(mode=0o600)
    (onboarding.home / "tiktok.yaml").write_text(yaml.safe_dump(expired))
    loaded = onboarding.run("reddit", "--backfill", "10")
    assert loaded.code == 0, loaded.said
    done = onboarding.run("--status")
    lines = done.out.splitlines()
    assert [line.split(":")[0] for line in lines if not line.startswith(" ")] == list(ADAPTERS)
    assert "reddit: credentials present; scopes adsread, adsedit" in lines
    assert "tiktok: credentials expired" in lines
    assert "google_ads: credentials missing" in lines
    assert done.out.count("succeeded") == 2
    assert done.out.count("lag 1 days") == 2
    offline = onboarding.run("--status", "reddit", "--offline")
    assert "reddit: credentials present, not checked" in offline.out


def test_a_terminal_is_asked_and_shows_no_secret(onboarding: Onboarding) -> None:
    """Each field is asked for by name; the id is seen while it is typed, secret and token are not."""
    values = onboarding.credentials("reddit", "right")
    assert values is not None
    shown = onboarding.at_terminal("reddit", answers=values)
    assert "the credentials of reddit are right" in shown
    assert values["client_id"] in shown
    assert [secret for secret in secrets("reddit", values) if secret in shown] == []
    assert yaml.safe_load((onboarding.home / "reddit.yaml").read_text()) == values
