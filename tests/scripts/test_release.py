"""The release, against programs that write down what they were asked: order, resuming, refusals, and no secret anywhere."""

import fcntl
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import release  # scripts/ is on the path
import release_airflow
import release_source
from release_fakes import IMAGES, REGISTRY, ROOT, TOKEN, Airflow, Fakes, git, project, serving, table_change
from release_tools import ReleaseError

Release = Callable[..., int]
pytestmark = pytest.mark.slow  # a release starts thirty processes


@pytest.fixture
def root(tmp_path: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one commit."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Release")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "release@example.com")
    return project(tmp_path / "project", fakes)


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """The programs; nothing else is on PATH."""
    made = Fakes(tmp_path / "fakes")
    monkeypatch.setenv("PATH", str(made.bin))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return made


@pytest.fixture
def airflow(root: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Airflow]:
    """Composer's Airflow, which gcloud tells the address of."""
    monkeypatch.setattr(release_airflow, "_POLL_S", 0.01)
    monkeypatch.setattr(release_airflow.Smoke.__init__, "__defaults__", (0.01,))
    made = Airflow(root / release_source.LOCK)
    with serving(made) as url:
        fakes.behave(airflow=url)
        yield made


@pytest.fixture
def run(root: Path) -> Release:
    """`make release ENVIRONMENT=dev RELEASE_ARGS=…`."""
    return lambda *arguments, environment="dev": release.main([environment, *arguments], root)


def words(calls: list[list[str]]) -> list[str]:
    """Which program did what, shortly."""
    return [f"{c[0]} {next((a for a in c[1:] if not a.startswith('-')), '')}".strip() for c in calls]


def lock_of(root: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((root / release_source.LOCK).read_text(encoding="utf-8"))
    return found


# --- a whole release


def test_a_release_from_nothing(root: Path, fakes: Fakes, airflow: Airflow, run: Release) -> None:
    """Tests, a build and push for each image, the lock committed, the shown plan applied, pools, smoke test; in this order."""
    assert run("--yes") == 0
    pushes = ["podman image", "podman push"] * len(IMAGES)
    images = ["python scripts/images.py", "gcloud auth", "podman login", *pushes, "podman logout"]
    contracts = ["python scripts/released_contracts.py"]
    terraform = ["terraform init", "terraform plan", "terraform show", "terraform apply"]
    airflow_calls = ["gcloud composer", "gcloud auth"] * 2
    assert ["make test", *images, *contracts, *terraform, *airflow_calls] == words(fakes.calls())
    lock = lock_of(root)
    assert sorted(lock) == IMAGES
    assert all(re.fullmatch(rf"{REGISTRY}/{image}@sha256:[0-9a-f]{{64}}", lock[image]) for image in IMAGES)
    assert git(root, "log", "-1", "--format=%s") == "Release 1.2.3"
    assert git(root, "status", "--porcelain") == ""
    assert airflow.pools == {"default_pool": 128, "gates": 4, "mutations": 1}
    assert not airflow.paused
    (started,) = airflow.runs
    assert started["conf"] == {"version": "1.2.3", "commit": git(root, "rev-parse", "HEAD")}


def test_the_commands_are_those_that_the_tools_take(root: Path, fakes: Fakes, airflow: Airflow, run: Release) -> None:
    """Argument by argument, where a slip would build, push or apply something else."""
    assert run("--yes") == 0
    by_word = dict(zip(words(fakes.calls()), fakes.calls(), strict=True))
    assert by_word["python scripts/images.py"] == ["python", "scripts/images.py", "--release", *IMAGES]
    *push, tag = by_word["podman push"]
    assert push == ["podman", "push", "--digestfile", str(root / ".local/release/report.digest"), "id-of-report"]
    # The registry lets no tag move: a second attempt has its own.
    assert re.fullmatch(rf"{REGISTRY}/report:1\.2\.3-\d{{14}}", tag)
    assert by_word["podman login"][1:] == [
        *("login", "--username", "oauth2accesstoken", "--password-stdin", "europe-west1-docker.pkg.dev")
    ]
    assert by_word["podman logout"] == ["podman", "logout", "europe-west1-docker.pkg.dev"]
    plan = root / ".local" / "release" / "dev.tfplan"
    stack = "-chdir=terraform/release"
    assert by_word["terraform init"][1:] == [
        *(stack, "init", "-input=false", "-reconfigure", "-backend-config=environments/dev.gcs.tfbackend")
    ]
    assert by_word["terraform plan"][1:] == [
        *(stack, "plan", "-input=false", "-lock-timeout=60s", "-var-file=environments/dev.tfvars", f"-out={plan}")
    ]
    assert by_word["terraform apply"][1:] == [stack, "apply", "-input=false", "-lock-timeout=60s", str(plan)]
    assert by_word["gcloud composer"][1:] == [
        *("composer", "environments", "describe", "aelp2", "--project", "acme-dev", "--location", "europe-west1"),
        *("--format", "value(config.airflowUri)"),
    ]
    assert not plan.exists(), "a plan holds every value of the state"


def test_the_token_is_seen_nowhere(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release, capfd: pytest.CaptureFixture[str]
) -> None:
    """It goes to the builder by standard input and to Airflow in a header: no argument, no line on the terminal, no file."""
    assert run("--yes") == 0
    assert fakes.stdins() == [TOKEN]
    assert airflow.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in json.dumps(fakes.calls())
    shown = capfd.readouterr()
    assert TOKEN not in shown.out + shown.err
    files = [file for file in root.rglob("*") if file.is_file() and ".venv" not in file.parts]
    assert not [file for file in files if TOKEN in file.read_text(encoding="utf-8", errors="replace")]


def test_the_second_environment_gets_the_same_images(root: Path, fakes: Fakes, airflow: Airflow, run: Release) -> None:
    """What dev tried is what prod runs: nothing is tested, built or committed again, and the lock stays byte for byte."""
    assert run("--yes") == 0
    before = (root / release_source.LOCK).read_bytes(), git(root, "rev-parse", "HEAD")
    fakes.forget()
    assert run("--yes", environment="prod") == 0
    assert not [call for call in fakes.calls() if call[0] in ("podman", "make") or "scripts/images.py" in call]
    assert "-var-file=environments/prod.tfvars" in [a for call in fakes.calls() for a in call]
    assert before == ((root / release_source.LOCK).read_bytes(), git(root, "rev-parse", "HEAD"))


def test_a_change_of_a_dag_builds_no_image_and_a_change_of_a_job_all(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release
) -> None:
    """The lock knows which source it is of."""
    assert run("--yes") == 0
    for file, builds in (("dags/smoke.py", 0), ("docs.md", 0), ("tasks/cli.py", len(IMAGES))):
        (root / file).write_text("# changed\n" + (root / file).read_text() if (root / file).exists() else "new", encoding="utf-8")
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", file)
        fakes.forget()
        assert run("--yes", "--tested-by", "CI 7") == 0
        assert sum(call[:2] == ["podman", "push"] for call in fakes.calls()) == builds, file


def test_going_back_by_a_commit_brings_the_digests_back(root: Path, fakes: Fakes, airflow: Airflow, run: Release) -> None:
    """The runbook's commands, over a merge, and a release: the earlier images by digest, nothing built, nothing pushed."""
    assert run("--yes") == 0
    good, first = git(root, "rev-parse", "HEAD"), lock_of(root)
    (root / "pyproject.toml").write_text('[project]\nname = "aelp2"\nversion = "1.3.0"\n', encoding="utf-8")
    (root / "CHANGELOG.md").write_text("## [1.3.0] - 2026-12-01\n", encoding="utf-8")
    git(root, "commit", "--quiet", "--all", "--message", "1.3.0")
    git(root, "switch", "--quiet", "--create", "later", good)
    (root / "later.txt").touch()
    git(root, "add", "later.txt")
    git(root, "commit", "--quiet", "--message", "Work of somebody else")
    git(root, "switch", "--quiet", "-")
    git(root, "merge", "--quiet", "--no-edit", "later")
    assert run("--yes") == 0
    assert lock_of(root) != first
    for command in _commands(ROOT / "docs" / "runbooks" / "rollback.md", "4. "):
        git(root, *shlex.split(command.replace("GOOD", good))[1:])
    assert lock_of(root) == first
    assert git(root, "diff", good) == ""
    fakes.forget()
    assert run("--yes") == 0
    assert not [call for call in fakes.calls() if call[0] in ("podman", "make") or "scripts/images.py" in call]
    assert lock_of(root) == first


def _commands(page: Path, step: str) -> list[str]:
    """The lines of the shell in a numbered step of ``page``."""
    text = page.read_text(encoding="utf-8").split(f"\n{step}", 1)[1]
    return [line.strip() for line in text.split("```sh", 1)[1].split("```", 1)[0].strip().splitlines()]


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


# --- the dry run


def test_a_dry_run_needs_no_tools_and_touches_nothing(root: Path, tmp_path: Path) -> None:
    """On a machine with Git alone it shows every step and every command, and leaves no file behind."""
    bare = Fakes(tmp_path / "bare", names=())
    before = {file: file.read_bytes() for file in root.rglob("*") if file.is_file() and ".git/" not in str(file)}
    done = subprocess.run(
        [sys.executable, "-B", "-c", _DRY, str(root)],
        env={"PATH": str(bare.bin), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert before == {file: file.read_bytes() for file in root.rglob("*") if file.is_file() and ".git/" not in str(file)}
    assert bare.calls() == []
    for number in range(1, 10):
        assert f"[{number}/9]" in done.stdout
    for command in (
        "$ make test",
        "$ gcloud auth print-access-token",
        "$ podman login --username oauth2accesstoken --password-stdin europe-west1-docker.pkg.dev",
        "$ .venv/bin/python scripts/images.py --release ads identity learn mmm report",
        f"{REGISTRY}/mmm:1.2.3-",
        "$ git commit --quiet --message 'Release 1.2.3'",
        "$ terraform -chdir=terraform/release init",
        "$ terraform -chdir=terraform/release plan",
        "$ terraform -chdir=terraform/release apply",
        "PUT pool gates: 4",
        "PUT pool mutations: 1",
        "POST /api/v2/dags/smoke/dagRuns",
        "would stop: terraform is not on PATH",
        "Nothing was touched.",
    ):
        assert command in done.stdout, command


_DRY = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT / "scripts")!r})
import release
sys.exit(release.main(["dev", "--dry-run"], Path(sys.argv[1])))
"""


def test_a_dry_run_shows_the_commands_that_the_release_runs(
    root: Path, fakes: Fakes, airflow: Airflow, run: Release, capfd: pytest.CaptureFixture[str]
) -> None:
    """Line for line the same: what was promised is what is done."""
    assert run("--dry-run") == 0
    promised = _shown(capfd)
    assert fakes.calls() == []
    assert run("--yes") == 0
    done = _shown(capfd)
    assert promised == done
    assert len(promised) == 26


def _shown(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """The command lines on the terminal, each attempt's own tag and the ids made alike."""
    text = re.sub(r"1\.2\.3-\d{14}", "1.2.3-NOW", capfd.readouterr().out)
    text = re.sub(r"'<id of (\w+)>'", r"id-of-\1", text)
    return [line for line in text.splitlines() if line.startswith("$ ")]


# --- choices


def test_docker_where_there_is_no_podman(root: Path, fakes: Fakes, airflow: Airflow, run: Release) -> None:
    """It has no digest file: the digest of this registry's own name is taken, not that of another."""
    (fakes.bin / "podman").rename(fakes.bin / "docker")
    commit = git(root, "rev-parse", "HEAD")
    assert run("--yes", "--flags") == 0
    assert {call[0] for call in fakes.calls()} == {"make", "gcloud", "docker", "python", "terraform"}
    assert not [call for call in fakes.calls() if "scripts/images.py" in call]
    assert "0" * 64 not in json.dumps(lock_of(root))
    build = next(call for call in fakes.calls() if call[:2] == ["docker", "build"])
    assert build[2:-2] == [
        *("--file", "images/Dockerfile", "--build-arg=EXTRA=ads", "--build-arg=VERSION=1.2.3", f"--build-arg=REVISION={commit}"),
        *("--build-arg=FLAGS=1", "--tag"),
    ]


def test_growthbooks_sdk_once_asked_for_stays(root: Path, fakes: Fakes, airflow: Airflow, run: Release) -> None:
    """A release that forgot to say so must not take the flags away."""
    assert run("--yes", "--flags") == 0
    assert [call[3] for call in fakes.calls() if "scripts/images.py" in call] == ["--flags"]
    fakes.forget()
    assert run("--yes") == 0
    assert not [call for call in fakes.calls() if call[0] == "podman" or "scripts/images.py" in call]
    assert run("--yes", "--no-flags") == 0
    assert [call[3] for call in fakes.calls() if "scripts/images.py" in call] == ["ads"]
