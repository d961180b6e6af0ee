"""The release, against programs that write down what they were asked: order, commands, choices, and no secret anywhere."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import release_source
from release_fakes import IMAGES, REGISTRY, ROOT, TOKEN, Airflow, Fakes, Release, git, lock_of, words

pytestmark = pytest.mark.slow  # a release starts thirty processes


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


def test_going_back_leaves_the_values_of_the_environments_as_they_are(root: Path) -> None:
    """What ran is the source; mode, policy and people were decided since, and an old answer must not come back with old code."""
    good = git(root, "rev-parse", "HEAD")
    later = {"docs.md": "new", "terraform/platform/environments/prod.policy.yaml": "allowed_accounts: []\n"}
    later["terraform/release/environments/prod.tfvars"] = (
        root / "terraform/release/environments/prod.tfvars"
    ).read_text() + 'dashboard_readers = ["group:fewer@acme.example"]\n'
    for file, text in later.items():
        (root / file).write_text(text, encoding="utf-8")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Later")
    for command in _commands(ROOT / "docs" / "runbooks" / "rollback.md", "4. "):
        git(root, *shlex.split(command.replace("GOOD", good))[1:])
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "diff", "--name-only", good).splitlines() == sorted(set(later) - {"docs.md"})


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
