"""A skeleton is made once, by one at a time, only where every guard lets it, and a crash heals."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from click.testing import CliRunner
from onboard_skeleton_child import ACCOUNT, MemoryAds, skeletons_on, wish

from tasks.core.errors import JobError, Refused
from tasks.core.switches import flip
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest.onboard import command
from tasks.ingest.onboard_skeleton import wish_for, with_utm

CHILD = Path(__file__).with_name("onboard_skeleton_child.py")


def records(folder: Path) -> list[dict[str, Any]]:
    return DuckDBWarehouse(folder / "w.duckdb").query("SELECT * FROM control.platform_skeletons").to_dicts()


def child(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    line = [sys.executable, str(CHILD), str(folder), *arguments]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_made_twice_it_exists_once_and_is_on_record_once(tmp_path: Path) -> None:
    """The second run finds what the first made and leaves its row as it is."""
    skeletons = skeletons_on(tmp_path)
    first = skeletons.make(ACCOUNT, wish())
    before = records(tmp_path)
    second = skeletons.make(ACCOUNT, wish())
    assert "made campaign, adgroup, ad" in first
    assert ("is there already" in second, "paused" in second) == (True, False)  # a person may have enabled it since
    assert records(tmp_path) == before
    assert len(before) == 1
    assert before[0]["made_kinds"] == ["campaign", "adgroup", "ad"]
    assert before[0]["landing_url"] == wish().landing_url
    assert len(MemoryAds(tmp_path).made) == 3


def test_a_dry_run_makes_nothing_and_records_nothing(tmp_path: Path) -> None:
    """It says what would be made, in any mode, and asks no guard."""
    skeletons = skeletons_on(tmp_path, mode="shadow", allowed=())
    assert skeletons.check(ACCOUNT, wish()) == f"{wish().label}: would make campaign, adgroup, ad"
    assert (records(tmp_path), MemoryAds(tmp_path).made) == ([], {})


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"mode": "shadow"}, "shadow mode"),
        ({"allowed": ()}, "does not allow changes of memory:acc_1"),
        ({"allowed": ("memory:acc_2",)}, "does not allow changes of memory:acc_1"),
    ],
)
def test_mode_and_policy_must_allow_it(tmp_path: Path, setting: dict[str, Any], said: str) -> None:
    """Shadow mode and an account that is not on the list: exit code 4, nothing made."""
    with pytest.raises(Refused, match=said):
        skeletons_on(tmp_path, **setting).make(ACCOUNT, wish())
    assert MemoryAds(tmp_path).made == {}


@pytest.mark.parametrize("scope", ["all", f"memory:{ACCOUNT}"])
def test_kill_switch_and_freeze_stop_it_at_the_last_moment(tmp_path: Path, scope: str) -> None:
    """M10: a switch that is thrown after everything else was looked at still stops it; another account's freeze does not."""
    skeletons = skeletons_on(tmp_path)
    flip(skeletons.warehouse, scope="memory:acc_2", is_on=True, why="elsewhere", actor="t")

    def throw() -> None:
        flip(skeletons.warehouse, scope=scope, is_on=True, why="stop", actor="t")

    skeletons.platform.on_accounts = throw  # type: ignore[attr-defined]  # of MemoryAds: the last thing before the switches
    with pytest.raises(Refused, match=r"is on, by t: stop"):
        skeletons.make(ACCOUNT, wish())
    assert MemoryAds(tmp_path).made == {}
    flip(skeletons.warehouse, scope=scope, is_on=False, why="go", actor="t")
    skeletons.platform.on_accounts = lambda: None  # type: ignore[attr-defined]
    assert "made" in skeletons.make(ACCOUNT, wish())


@pytest.mark.slow
@pytest.mark.parametrize("point", ["after campaign", "after answer"])
def test_a_crash_heals_on_the_next_run(tmp_path: Path, point: str) -> None:
    """Killed half-way through making, or between the platform's answer and the record: the next run completes both."""
    process = child(tmp_path, "--die", point)
    process.communicate(timeout=1200)
    assert process.returncode == -signal.SIGKILL
    assert records(tmp_path) == []
    left = dict(MemoryAds(tmp_path).made)
    assert left
    done = child(tmp_path)
    out, err = done.communicate(timeout=1200)
    assert done.returncode == 0, err
    made = MemoryAds(tmp_path).made
    assert left.items() <= made.items()
    (row,) = records(tmp_path)
    assert [row["campaign_id"], row["adgroup_id"], row["ad_id"]] == [made[kind] for kind in ("campaign", "adgroup", "ad")]
    assert row["made_kinds"] == [kind for kind in ("campaign", "adgroup", "ad") if kind not in left], out


@pytest.mark.slow
def test_two_at_once_make_one(tmp_path: Path) -> None:
    """The second is refused while the first is at it, although the platform would let it make another."""
    first = child(tmp_path, "--hold")
    assert first.stdout is not None
    assert first.stdout.readline() == "making\n"
    second = child(tmp_path)
    _, err = second.communicate(timeout=1200)
    assert (second.returncode, "lease 'mutations'" in err) == (4, True), err
    os.kill(first.pid, signal.SIGUSR1)
    first.communicate(timeout=1200)
    assert first.returncode == 0
    assert len(records(tmp_path)) == 1
    assert MemoryAds(tmp_path).calls == ["campaign", "adgroup", "ad"]


@pytest.mark.parametrize("given", [[], ["--account", ""], ["--account", "a", "--account", "b"]])
def test_a_skeleton_wants_one_account_by_name(given: list[str]) -> None:
    """None, the empty field of a form, or two: a usage error, before anything is asked of anybody."""
    done = CliRunner().invoke(command, ["reddit", "--skeleton", "--landing-url", "https://shop.example/", *given])
    assert (done.exit_code, "--skeleton needs --account, once" in done.output) == (2, True), done.output


def test_the_landing_page_bears_platform_and_label_and_keeps_its_own_parameters() -> None:
    """utm_source, utm_medium and utm_campaign are set once, also where the address had others."""
    url = with_utm("https://shop.example/a?b=1&utm_source=old&c=#top", "reddit", "aelp2-x")
    parts = urlsplit(url)
    assert (parts.scheme, parts.hostname, parts.path, parts.fragment) == ("https", "shop.example", "/a", "top")
    wanted = {"b": ["1"], "c": [""], "utm_source": ["reddit"], "utm_medium": ["paid"], "utm_campaign": ["aelp2-x"]}
    assert parse_qs(parts.query, keep_blank_values=True) == wanted


def test_the_label_is_told_from_platform_account_and_purpose() -> None:
    """The same wish has the same label; another account, platform or purpose another one; it stands in the address."""
    asked = ("start", "https://shop.example/", Decimal(20))
    one = wish_for("reddit", "t2_acme", *asked)
    assert one == wish_for("reddit", "t2_acme", *asked)
    assert (one.label, one.daily_budget_micros) == ("aelp2-reddit-t2-acme-start", 20_000_000)
    assert f"utm_campaign={one.label}" in one.landing_url
    others = {wish_for("x", "t2_acme", *asked).label, wish_for("reddit", "t3", *asked).label}
    others.add(wish_for("reddit", "t2_acme", "autumn", *asked[1:]).label)
    assert len(others | {one.label}) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: ("a b", *a[1:]), "--label"),
        (lambda a: (a[0], "shop.example", a[2]), "--landing-url"),
        (lambda a: (a[0], "https://user:pw@shop.example/", a[2]), "--landing-url"),
        (lambda a: (*a[:2], Decimal(0)), "--budget"),
        (lambda a: (*a[:2], Decimal("10000.01")), "--budget"),
        (lambda a: (*a[:2], Decimal("1.001")), "--budget"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(change: Callable[[Any], Any], said: str) -> None:
    """Before anything is asked; the message names the option and no password of an address."""
    with pytest.raises(JobError, match=said) as error:
        wish_for("reddit", "t2_acme", *change(("start", "https://shop.example/", Decimal(20))))
    assert "pw" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize(("platform", "account"), [("google_ads", "3000000002"), ("reddit", None)], ids=["google_ads", "reddit"])
def test_the_command_makes_it_on_a_platform(onboarding: Any, tmp_path: Path, platform: str, account: str | None) -> None:
    """Dry run, refusal in shadow mode, made, found again: over the real protocol, paused, with its UTM parameters."""
    values = onboarding.credentials(platform, "right")
    assert onboarding.run(platform, env=onboarding.environment(platform, values)).code == 0
    if account is None:
        checked = onboarding.run(platform, "--check").out
        account = checked.split("account ")[1].split(":")[0]
    url = "https://shop.example.test/"
    asked = (platform, "--skeleton", "--account", account, "--landing-url", url, "--label", "test")
    dry = onboarding.run(*asked)
    assert (dry.code, "would make campaign, adgroup, ad; --apply makes it" in dry.out) == (0, True), dry.said
    assert onboarding.run(*asked, "--apply").code == 4
    policy = tmp_path / "policy.yaml"
    policy.write_text(yaml.safe_dump({"allowed_accounts": [f"{platform}:{account}"]}))
    live = {"AELP2_MODE": "live", "AELP2_POLICY": str(policy), "AELP2_ACTOR": "maria"}
    made = onboarding.run(*asked, "--apply", env=live)
    assert (made.code, "made campaign, adgroup, ad" in made.out) == (0, True), made.said
    again = onboarding.run(*asked, "--apply", env=live)
    assert (again.code, "is there already" in again.out) == (0, True), again.said
    (row,) = onboarding.warehouse.query("SELECT * FROM control.platform_skeletons").to_dicts()
    assert (row["account_id"], row["actor"], row["daily_budget_micros"]) == (account, "maria", 20_000_000)
    held = [one for one in onboarding.sandbox.admin.state()["created"] if one["platform"] == platform]
    (ad,) = [one for one in held if one["kind"] == "ad"]
    assert {one["is_enabled"] for one in held} == {False}
    assert row["landing_url"] in str(ad["fields"])
