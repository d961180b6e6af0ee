"""Rules of building, without podman: which base, which images, what an SBOM holds, when an audit passes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import image_base
import podman
import pytest
import supply_chain

import images

TODAY = date(2026, 11, 26)
BY_DIGEST = "registry.example/python@sha256:" + "a" * 64
IGNORE = {"id": "PYSEC-2026-1", "package": "jinja2", "reason": "no template comes from outside", "until": date(2027, 1, 31)}


def _answers(monkeypatch: pytest.MonkeyPatch, *, pulls: bool) -> list[tuple[str, ...]]:
    """A podman that has no image and can or cannot pull; what it was asked."""
    asked: list[tuple[str, ...]] = []

    def answer(*arguments: str, **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(arguments)
        code = 0 if arguments[0] == "pull" and pulls else 125
        return subprocess.CompletedProcess(arguments, code, "", "Error: no such host")

    monkeypatch.setattr(images, "podman", answer)
    monkeypatch.setattr(image_base, "make", lambda **_: image_base.NAME)
    return asked


def test_the_readme_says_which_job_runs_where() -> None:
    """Its table is that of the committed manifests, which the operators are held against."""
    page = images.README.read_text(encoding="utf-8")
    assert images.with_jobs_table(page) == page, "run `make docs`"
    assert "`fit-mmm` (mmm_weekly)" in page


def test_the_readme_measured_every_image_that_is_built() -> None:
    page = images.README.read_text(encoding="utf-8").partition("## Figures")[2].partition("## How")[0]
    assert [image for image in images.jobs_by_image() if f"\n| {image} | " not in page] == []


def test_the_pinned_base_is_named_by_digest() -> None:
    """A moving tag would make two builds of one commit differ."""
    assert images.pinned_base().startswith("docker.io/library/python:3.12-slim-bookworm@sha256:")


def test_a_pinned_base_that_can_be_pulled_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    _answers(monkeypatch, pulls=True)
    assert images.choose_base("", release=True) == images.pinned_base()


def test_a_machine_without_a_registry_builds_on_the_base_for_tests_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _answers(monkeypatch, pulls=False)
    assert images.choose_base("", release=False) == image_base.NAME
    assert "never released" in capsys.readouterr().out


@pytest.mark.parametrize("wanted", ["", "local", "localhost/aelp2-base", "python:3.12", BY_DIGEST])
def test_a_release_never_stands_on_another_base_than_one_by_digest_that_is_there(
    wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one for tests, not a tag, not silently another one when the registry does not answer."""
    _answers(monkeypatch, pulls=False)
    with pytest.raises(SystemExit):
        images.choose_base(wanted, release=True)


def test_a_base_by_tag_is_refused_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _answers(monkeypatch, pulls=True)
    with pytest.raises(SystemExit, match="can move"):
        images.choose_base("docker.io/library/python:3.12-slim-bookworm", release=False)
    assert asked == []


def test_a_machine_without_podman_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)
    monkeypatch.setattr(podman.shutil, "which", lambda program, path=None: None if program == "runc" else program)
    with pytest.raises(SystemExit, match=r"Images need runc, .*\n  apt-get update && apt-get install .*podman runc"):
        podman.require()


def test_a_machine_with_another_runtime_names_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fedora and others have crun and no runc: with settings of their own only podman itself is asked for."""
    monkeypatch.setattr(podman.shutil, "which", lambda program, path=None: program if program == "podman" else None)
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)
    with pytest.raises(SystemExit, match=r"Images need runc, catatonit, .*\n.*\n.*CONTAINERS_CONF="):
        podman.require()
    monkeypatch.setenv("CONTAINERS_CONF", "/etc/containers/containers.conf")
    podman.require()


def test_a_podman_that_hangs_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: Any, **keywords: Any) -> None:
        raise subprocess.TimeoutExpired("podman", keywords["timeout"])

    monkeypatch.setattr(podman.subprocess, "run", hang)
    with pytest.raises(podman.PodmanError, match="podman pull did not end within 5 s"):
        podman.podman("pull", "x", timeout=5)


def test_ci_installs_what_images_need() -> None:
    """The list that the error message gives is the one that a new machine gets."""
    lines = (images.ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    installed = [set(line.split()) for line in lines if "apt-get install" in line and "podman" in line]
    assert len(installed) == 1
    assert {*podman.PACKAGES, "mmdebstrap", "--no-install-recommends"} <= installed[0]


def _ci(tmp_path: Path, **ends: int) -> subprocess.CompletedProcess[str]:
    """.ci/run beside programs that say their targets and end as told, by the last target of a call of make."""
    for folder in ("bin", "tree/.ci"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(images.ROOT / ".ci" / "run", tmp_path / "tree" / ".ci" / "run")
    codes = "".join(f"{name.replace('_', '-')}) exit {code};; " for name, code in ends.items())
    for name in ("make", "apt-get", "chromium", "podman", "mmdebstrap", "runc"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\necho "{name} $*"\nfor last; do :; done\ncase $last in {codes} esac\n', encoding="utf-8")
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    run = ["bash", str(tmp_path / "tree" / ".ci" / "run")]
    return subprocess.run(run, env=environment, capture_output=True, text=True, check=False)


def test_ci_runs_all_parts_of_make_test_and_the_images(tmp_path: Path) -> None:
    """The parts of `make test` are named one by one, so that two of them run side by side; none may be forgotten."""
    makefile = (images.ROOT / "Makefile").read_text(encoding="utf-8")
    parts = re.search(r"^test: (.+?) ##", makefile, re.MULTILINE)
    assert parts is not None
    done = _ci(tmp_path)
    asked = {word for line in done.stdout.splitlines() if line.startswith("make ") for word in line.split()[1:] if word[0] != "-"}
    assert (done.returncode, asked) == (0, {*parts[1].split(), "image-test", "terraform-scan"})


@pytest.mark.parametrize("part", ["test_jobs", "test_airflow"])
def test_ci_fails_with_either_half_and_shows_both(part: str, tmp_path: Path) -> None:
    """What ran beside is shown in any case, the last line says which half it was, and no image is built."""
    done = _ci(tmp_path, **{part: 2})
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"failed: {part.replace('_', '-')}")
    assert {"make test-airflow", "make test-jobs"} <= set(done.stdout.splitlines())
    assert "image-test" not in done.stdout


@pytest.mark.parametrize("part", ["types", "image_test", "terraform_scan"])  # lint and types are one call
def test_ci_fails_with_any_part(part: str, tmp_path: Path) -> None:
    assert _ci(tmp_path, **{part: 2}).returncode == 2


def test_ci_ends_where_packages_cannot_be_asked_for() -> None:
    """`a && b` ends no script where a fails, whatever `set -e` says."""
    lines = (images.ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "apt-get update" in line and "&&" in line] == []


def test_make_hands_its_words_on() -> None:
    """`make image EXTRA=mmm FRESH=1 FLAGS=1`, as images/README.md has them."""
    asked = ["make", "--just-print", "image", "EXTRA=mmm", "FRESH=1", "FLAGS=1"]
    done = subprocess.run(asked, cwd=images.ROOT, capture_output=True, text=True, check=True)
    assert "scripts/images.py mmm --fresh --flags" in done.stdout


def test_an_image_that_no_dag_uses_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox (lab) is a developer's, and a typing error must not make an image."""
    monkeypatch.setattr(images, "require", lambda: None)
    with pytest.raises(SystemExit, match="No image lab: DAGs run jobs in ads, identity, learn, mmm, report"):
        images.build(["lab"])


def test_the_hash_of_the_source_moves_with_what_goes_into_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code and lock, not byte code and not a page of documentation."""
    for name in images._SENT:
        file = tmp_path / name / "x.py" if name in ("tasks", "include") else tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1")
    monkeypatch.setattr(images, "ROOT", tmp_path)
    first = images.source_hash()
    (tmp_path / "tasks" / "__pycache__").mkdir()
    (tmp_path / "tasks" / "__pycache__" / "x.pyc").write_text("2")
    (tmp_path / "CHANGELOG.md").write_text("2")
    assert images.source_hash() == first
    (tmp_path / "tasks" / "x.py").write_text("2")
    assert images.source_hash() != first


def test_the_machines_addresses_of_packages_reach_pip_and_its_files_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index is passed on, a folder of this machine would not exist in the build."""
    said = "global.index-url='https://index.example/simple'\nglobal.extra-index-url='file:///opt/a\\nhttps://b.example/100%25'\nglobal.find-links='/opt/w'\n"
    monkeypatch.setattr(images.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 0, said, ""))
    text = images._pip_conf()
    assert "index-url = https://index.example/simple\n" in text
    assert "extra-index-url = https://b.example/100%25\n" in text
    assert "/opt" not in text


def test_an_sbom_says_what_uv_does_not_know() -> None:
    """The image, its interpreter and Debian's packages join the list, what Windows needs leaves it, references resolve."""
    project = {"type": "library", "bom-ref": "aelp2-1", "name": "aelp2"}
    document = {
        "metadata": {"component": project},
        "components": [
            {"bom-ref": "polars-2", "name": "polars"},
            {"bom-ref": "w-1", "name": "w", "properties": [{"name": "uv:package:marker", "value": "sys_platform == 'win32'"}]},
        ],
        "dependencies": [{"ref": "aelp2-1", "dependsOn": ["polars-2", "w-1"]}, {"ref": "w-1"}],
    }
    made = supply_chain.complete(
        document, "aelp2-ads", {"org.opencontainers.image.version": "1.2"}, "3.12.15", ["zlib1g\t1:1.2+x\tamd64"]
    )
    assert made["metadata"]["component"]["version"] == "1.2"
    assert [one["name"] for one in made["components"]] == ["aelp2", "polars", "python", "zlib1g"]
    assert made["components"][-1]["purl"] == "pkg:deb/debian/zlib1g@1%3A1.2%2Bx?arch=amd64"
    known = {"aelp2-ads", *(one["bom-ref"] for one in made["components"])}
    assert {ref for one in made["dependencies"] for ref in (one["ref"], *one["dependsOn"])} <= known


def _report(**package: Any) -> dict[str, Any]:
    return {
        "dependencies": [
            {"name": "polars", "version": "2", "vulns": []},
            {"name": "jinja2", "version": "3.1.6", "vulns": []} | package,
        ]
    }


FOUND = {"vulns": [{"id": "GHSA-x", "aliases": ["PYSEC-2026-1"], "fix_versions": ["3.1.7"]}]}


def test_a_finding_fails_the_audit_and_names_the_version_that_mends_it() -> None:
    verdict = supply_chain.judge(_report(**FOUND), [], TODAY)
    assert (verdict.exit_code, verdict.findings) == (1, ("jinja2 3.1.6: GHSA-x, mended in 3.1.7",))


def test_an_explained_finding_passes_by_any_of_its_names() -> None:
    assert supply_chain.judge(_report(**FOUND), [IGNORE], TODAY).exit_code == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"reason": ""}, "lacks reason"),
        ({"until": date(2026, 11, 25)}, "looked at again"),
        ({"package": "polars"}, "matches nothing"),
    ],
)
def test_an_ignore_without_reason_out_of_date_or_of_nothing_fails_the_audit(change: dict[str, Any], says: str) -> None:
    verdict = supply_chain.judge(_report(**FOUND), [IGNORE | change], TODAY)
    assert verdict.exit_code == 1
    assert says in " ".join(verdict.bad_ignores)


def test_a_package_that_nobody_looked_at_is_no_clean_one() -> None:
    """pip-audit ends with 0 where the index does not know a package; an audit of nothing must not look like a clean one."""
    skipped = {"name": "jinja2", "skip_reason": "Dependency not found on PyPI"}
    verdict = supply_chain.judge({"dependencies": [skipped]}, [], TODAY)
    assert (verdict.exit_code, verdict.unanswered) == (2, ("jinja2: Dependency not found on PyPI",))
