"""Where a release stops, against programs that write down what they were asked: what it refuses, and how it goes on."""

import fcntl
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import release_airflow
import release_source
from release_fakes import (
    IMAGES,
    REGISTRY,
    TOKEN,
    Airflow,
    Fakes,
    Release,
    git,
    lock_of,
    serving,
    table_change,
    words,
)
from release_tools import ReleaseError

pytestmark = pytest.mark.slow  # a release starts thirty processes


# --- stopping and going on


def test_a_push_that_failed_is_where_the_next_one_begins(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release, capfd: pytest.CaptureFixture[str]
) -> None:
    """Images pushed before it are not built again, no half lock is written, and the tests do not run twice."""
    fakes.behave(fail={f"{REGISTRY}/learn:1.2.3-": "registry: 503"})
    assert run("--yes") == 1
    error = capfd.readouterr().err
    assert "podman push" in error
    assert words(fakes.calls())[-1] == "podman logout"
    assert "id-of-learn" in error
    assert "what is done is not done twice" in error
    assert not (root / release_source.LOCK).exists()
    fakes.behave(fail={})
    fakes.forget()
    assert run("--yes") == 0
    (built,) = [call for call in fakes.calls() if "scripts/images.py" in call]
    assert built == ["python", "scripts/images.py", "--release", "learn", "mmm", "report"]
    assert ["make", "test"] not in fakes.calls()
    assert sorted(lock_of(root)) == IMAGES


def test_a_lock_that_was_written_and_not_committed_is_committed(root: Path, fakes: Fakes, airflow: Airflow, run: Release) -> None:
    """It stopped between the two; the next run finds a work tree that is not clean for this reason alone."""
    assert run("--yes") == 0
    git(root, "reset", "--quiet", "HEAD~1")
    fakes.forget()
    assert run("--yes") == 0
    assert git(root, "log", "-1", "--format=%s") == "Release 1.2.3"
    assert not [call for call in fakes.calls() if call[0] == "podman"]


def test_a_lock_that_somebody_edited_is_written_anew(root: Path, fakes: Fakes, airflow: Airflow, run: Release) -> None:
    """Only digests that a push reported get into it."""
    assert run("--yes") == 0
    right = (root / release_source.LOCK).read_text(encoding="utf-8")
    (root / release_source.LOCK).write_text(re.sub("@sha256:.{64}", f"@sha256:{'0' * 64}", right), encoding="utf-8")
    assert run("--yes") == 0
    assert (root / release_source.LOCK).read_text(encoding="utf-8") == right
    assert git(root, "status", "--porcelain") == ""


def test_any_change_of_the_source_is_tested_anew(root: Path, fakes: Fakes, airflow: Airflow, run: Release) -> None:
    """Of a page, too: tests read it. The records that the release commits are no such change."""
    assert run("--yes") == 0
    fakes.forget()
    _commit(root, "README.md", "# It, otherwise\n")
    assert run("--yes") == 0
    assert fakes.calls()[0] == ["make", "test"]


def test_new_contracts_are_recorded_with_the_lock_and_build_no_image_by_themselves(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release
) -> None:
    """One commit has both; the record is no part of what an image is made of, so the next release finds nothing to do."""
    fakes.behave(contracts='{"ads.a": {}}')
    assert run("--yes") == 0
    changed = git(root, "show", "--name-only", "--format=", "HEAD").splitlines()
    assert sorted(changed) == ["dags/images.lock.json", "images/built.json", "include/sql/released.json"]
    fakes.forget()
    assert run("--yes") == 0
    assert not [call for call in fakes.calls() if call[0] in ("podman", "make")]


def test_a_contract_that_cannot_be_made_stops_before_the_plan(root: Path, fakes: Fakes, airflow: Airflow, run: Release) -> None:
    """It names the table in its own words; Terraform is not even asked."""
    fakes.behave(fail={"released_contracts.py": "ads.a is gone; its rows would be"})
    assert run("--yes") == 1
    assert not [call for call in fakes.calls() if call[0] == "terraform"]


@pytest.mark.parametrize("digest", ["sha256:123", "latest", "sha256:" + "G" * 64, "sha256:" + "a" * 64 + " extra"])
def test_a_malformed_digest_is_refused(
    root: Path, fakes: Fakes, run: Release, capfd: pytest.CaptureFixture[str], digest: str
) -> None:
    """It would make DAG files that do not parse, or worse: pods of another image."""
    fakes.behave(digests={"ads": digest})
    assert run("--yes") == 1
    assert f"the push of image ads reported the digest {digest!r}" in capfd.readouterr().err
    assert not (root / release_source.LOCK).exists()
    assert "terraform init" not in words(fakes.calls())


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"revision": "1" * 40}, "is of revision 1111"),
        ({"revision": ""}, "is of revision unknown"),
        ({"base.name": "localhost/aelp2-base"}, "on base localhost/aelp2-base"),
    ],
)
def test_an_image_that_another_build_put_under_the_name_is_not_pushed(
    root: Path, fakes: Fakes, run: Release, capfd: pytest.CaptureFixture[str], labels: dict[str, str], said: str
) -> None:
    """All clones of a machine share podman's names: a test's image on the base for tests must never reach the registry."""
    fakes.behave(labels=labels)
    assert run("--yes") == 1
    assert said in capfd.readouterr().err
    assert "podman push" not in words(fakes.calls())


def test_a_failed_apply_is_planned_anew(root: Path, fakes: Fakes, airflow: Airflow, run: Release) -> None:
    """Part of the plan may be in place: the next run asks Terraform, and applies what is left."""
    fakes.behave(fail={"release apply": "Error: quota"})
    assert run("--yes") == 1
    assert airflow.runs == []
    fakes.behave(fail={})
    fakes.forget()
    assert run("--yes") == 0
    assert [word for word in words(fakes.calls()) if "terraform" in word] == [
        *("terraform init", "terraform plan", "terraform show", "terraform apply")
    ]


def test_tests_that_fail_stop_before_any_image(root: Path, fakes: Fakes, run: Release) -> None:
    """And nothing remembers them as passed."""
    fakes.behave(fail={"make test": "1 failed"})
    assert run("--yes") == 1
    assert words(fakes.calls()) == ["make test"]
    fakes.forget()
    assert run("--yes") == 1
    assert words(fakes.calls()) == ["make test"]


def test_who_says_that_ci_tested_it_is_written_down(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release, capfd: pytest.CaptureFixture[str]
) -> None:
    """A claim, and shown as one; the next release of this source repeats it."""
    assert run("--yes", "--tested-by", "CI run 4711") == 0
    assert ["make", "test"] not in fakes.calls()
    assert "not run here; said by who released: CI run 4711" in capfd.readouterr().out
    assert run("--yes", environment="prod") == 0
    assert "passed before: said by who released: CI run 4711" in capfd.readouterr().out


# --- refusals


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "tasks/cli.py").write_text("x = 1\n"), "work tree is not clean"),
        (lambda root: (root / "left-over.txt").write_text("x"), "left-over.txt"),
        (lambda root: _commit(root, "CHANGELOG.md", "# Changelog\n"), "has no section `## [1.2.3]`"),
        (lambda root: _commit(root, "CHANGELOG.md", "see 1.2.3\n## [1.2.30]\n"), "has no section `## [1.2.3]`"),
        (
            lambda root: _commit(root, "terraform/release/environments/dev.tfvars", 'project = "my-company-aelp2-dev"\n'),
            "still the examples",
        ),
    ],
)
def test_what_stops_a_release_before_it_begins(
    root: Path, fakes: Fakes, run: Release, capfd: pytest.CaptureFixture[str], spoil: Callable[[Path], Any], said: str
) -> None:
    """Nothing is tested, built or asked of Google."""
    spoil(root)
    assert run("--yes") == 1
    assert said in capfd.readouterr().err
    assert fakes.calls() == []


def _commit(root: Path, file: str, text: str) -> None:
    (root / file).write_text(text, encoding="utf-8")
    git(root, "commit", "--quiet", "--all", "--message", file)


def test_images_of_another_kind_of_machine_are_not_released(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base is pinned for all architectures at once, so a laptop with ARM would push what no node can start."""
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert run("--yes") == 1
    assert "this machine is arm64" in capfd.readouterr().err
    assert fakes.calls() == []
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert run("--yes") == 0
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert run("--yes") == 0  # nothing is left to build


def test_all_that_is_wrong_is_said_at_once(root: Path, fakes: Fakes, run: Release, capfd: pytest.CaptureFixture[str]) -> None:
    """Nobody mends one thing, waits and meets the next."""
    for name in ("terraform", "gcloud"):
        (fakes.bin / name).unlink()
    _commit(root, "CHANGELOG.md", "")
    (root / "new.txt").write_text("", encoding="utf-8")
    assert run("--yes") == 1
    error = capfd.readouterr().err
    assert "terraform is not on PATH: install Terraform 1.9" in error
    assert "gcloud is not on PATH: install the Google Cloud CLI" in error
    assert "not clean" in error
    assert "CHANGELOG.md" in error


def test_an_environment_that_does_not_exist(root: Path, fakes: Fakes, run: Release, capfd: pytest.CaptureFixture[str]) -> None:
    """The message names the file that would be it."""
    assert run(environment="staging") == 1
    assert "terraform/platform/environments/staging.tfvars does not exist" in capfd.readouterr().err


def test_nobody_to_ask_and_no_yes(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release, capfd: pytest.CaptureFixture[str]
) -> None:
    """A pipeline must say --yes; silence never means yes."""
    assert run() == 1
    assert "Nobody is at this terminal" in capfd.readouterr().err
    assert "terraform apply" not in words(fakes.calls())


@pytest.mark.parametrize(
    ("actions", "word"), [(["delete"], "deleted"), (["delete", "create"], "replaced"), (["create", "delete"], "replaced")]
)
def test_a_plan_that_destroys_a_table_is_refused(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release, capfd: pytest.CaptureFixture[str], actions: list[str], word: str
) -> None:
    """Replacing counts: the new table is empty. With its name on the command line it may go; a name of another does not help."""
    changes = [table_change("control.approvals", actions), table_change("ads.ads_accounts", ["update"])]
    fakes.behave(plan={"resource_changes": changes})
    assert run("--yes") == 1
    error = capfd.readouterr().err
    assert f"destroy what holds rows: control.approvals ({word})" in error
    assert "--allow-destroy control.approvals" in error
    assert "terraform apply" not in words(fakes.calls())
    assert run("--yes", "--allow-destroy", "ads.ads_accounts") == 1
    assert "--allow-destroy names ads.ads_accounts, which the plan does not destroy" in capfd.readouterr().err
    assert run("--yes", "--allow-destroy", "control.approvals") == 0


# --- two at once


def test_two_releases_from_one_folder(root: Path, fakes: Fakes, run: Release, capfd: pytest.CaptureFixture[str]) -> None:
    """The second is turned away before it does anything."""
    folder = root / ".local" / "release"
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_SH)  # a lock of the release that others could share would be none
        assert run("--yes") == 1
    assert "another release runs from this folder" in capfd.readouterr().err
    assert fakes.calls() == []


def test_two_releases_from_two_machines_meet_at_terraforms_lock(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release, capfd: pytest.CaptureFixture[str]
) -> None:
    """Terraform turns the second away, and the message says what that means."""
    fakes.behave(fail={"release plan": "Error: Error acquiring the state lock\nID: 1700000000"})
    assert run("--yes") == 1
    shown = capfd.readouterr()
    assert "ID: 1700000000" in shown.out
    assert "Another release holds the lock of Terraform's state. Wait until it ends" in shown.err


# --- the smoke test


def test_a_red_smoke_test_is_a_failed_release(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each task's end is shown, the failed one is named with its runbook and the way back."""
    airflow.failing = {"mmm_none"}
    assert run("--yes") == 1
    shown = capfd.readouterr()
    assert "  ads_none         success" in shown.out
    assert "the smoke test failed: mmm_none (failed)" in shown.err
    assert "docs/runbooks/rollback.md" in shown.err


def test_a_smoke_test_on_the_images_of_before_does_not_count(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release, capfd: pytest.CaptureFixture[str]
) -> None:
    """Composer takes minutes to pick files up: a green run of the old ones proves nothing, so it is run again."""
    airflow.old_runs = 2
    assert run("--yes") == 0
    assert len(airflow.runs) == 3
    assert "Composer has not picked up the new files yet" in capfd.readouterr().out
    airflow.old_runs = 10**6
    assert run("--yes", "--files-s", "0.05") == 1
    assert "Composer still runs ads_none" in capfd.readouterr().err


def test_an_airflow_that_does_not_know_the_dag_says_why(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its import errors are the reason in most cases."""
    airflow.knows_smoke = False
    assert run("--yes", "--files-s", "0.05") == 1
    assert "Airflow has not taken the new file of smoke: smoke.py: images.lock.json is missing" in capfd.readouterr().err


def test_a_dag_that_airflow_has_not_taken_yet_is_waited_for(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release, capfd: pytest.CaptureFixture[str]
) -> None:
    """A release of DAGs alone has the images of before, so the files themselves are compared, each of them."""
    airflow.old_files = {"mmm_weekly": 2}
    assert run("--yes") == 0
    assert capfd.readouterr().out.count("has not picked up the new files yet (1 DAGs are as before)") == 2
    airflow.old_files = {"mmm_weekly": 10**6}
    runs = len(airflow.runs)
    assert run("--yes", "--files-s", "0.05") == 1
    assert "Airflow has not taken the new file of mmm_weekly" in capfd.readouterr().err
    assert len(airflow.runs) == runs


def test_a_smoke_test_that_hangs_ends(airflow: Airflow, root: Path) -> None:
    """A pod that waits for a node for ever is told with what is known."""
    (root / release_source.LOCK).write_text(json.dumps({"ads": "x"}), encoding="utf-8")
    airflow.ends = False
    with serving(airflow) as url:
        smoke = release_airflow.Smoke(release_airflow.connect(url, TOKEN), {"ads": "x"}, {}, print, poll_s=0.01)
        with pytest.raises(ReleaseError, match=r"run1 of smoke is still running after 0 s: .*ads_none"):
            smoke.run({}, files_s=1, run_s=0.05)
