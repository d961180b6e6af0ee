"""The tests of a job run inside the image that ships: its interpreter, its libraries, its code, its user, its read-only root."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from pod_runs import POD_USER, ROOT

pytestmark = [pytest.mark.container, pytest.mark.slow, pytest.mark.usefixtures("images")]

# image → files of tests of a job that runs there
FILES = {
    "ads": "quality/test_validate_tables.py",
    "identity": "ingest/test_ingest_events.py",
    "learn": "measure/test_fit_bandits.py",
    "mmm": "measure/test_fit_mmm.py",
    "report": "govern/test_report_page.py",
}
AT_REST = (
    "--rm",
    "--read-only",
    "--network=none",
    f"--user={POD_USER}:{POD_USER}",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pytest and what the tests import besides, at the lock's versions; mounted, because no image carries them."""
    wanted = ("hypothesis", "pytest", "pytest-timeout")
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    pinned = [f"{package['name']}=={package['version']}" for package in lock if package["name"] in wanted]
    assert len(pinned) == len(wanted)
    folder = tmp_path_factory.mktemp("tools")
    uv = [ROOT / ".tools" / "bin" / "uv", "pip", "install", "--quiet", "--python", ROOT / ".venv" / "bin" / "python"]
    subprocess.run([*uv, "--target", folder, *pinned], check=True)
    folder.chmod(0o755)  # pytest keeps its folders to their owner; the image's user reads here
    return folder


@pytest.mark.parametrize("image", FILES)
def test_the_tests_of_a_job_pass_inside(image: str, tools: Path) -> None:
    """Every test of the file, and none is left out."""
    from podman import podman

    mounts = [f"--volume={ROOT / 'tests'}:/app/tests:ro", f"--volume={tools}:/tools:ro", "--tmpfs=/tmp"]
    environment = ["--env=PYTHONPATH=/tools", "--env=HOME=/tmp", "--env=CI=1", "--workdir=/app", "--entrypoint=python"]
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{FILES[image]}"]
    done = podman("run", *AT_REST, *mounts, *environment, f"localhost/aelp2-{image}", *arguments, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert re.search(r"^\d+ passed in", said, re.MULTILINE), said


@pytest.mark.parametrize("image", FILES)
def test_an_image_carries_no_compiler_and_no_installer(image: str) -> None:
    """What is not there cannot be used by whoever gets in: no C compiler, no uv, no pip in the environment, no tests' tools."""
    from podman import podman

    found = "print([m for m in ('pip', 'pytest', 'airflow') if __import__('importlib.util').util.find_spec(m)])"
    line = f'for p in cc gcc g++ clang make uv; do command -v $p; done; python -c "{found}"'
    done = podman("run", *AT_REST, "--entrypoint=sh", f"localhost/aelp2-{image}", "-c", line)
    assert done.stdout.strip() == "[]"


def test_the_same_lock_gives_the_same_packages(images: list[str]) -> None:
    """Names and versions inside are those that uv.lock holds for base and the set, nothing else and nothing less."""
    from podman import podman

    program = "import importlib.metadata as m; print(*(f'{d.name.lower()}=={d.version}' for d in m.distributions()))"
    for image in images:
        export = [
            "export",
            "--quiet",
            "--frozen",
            "--no-default-groups",
            "--no-hashes",
            "--no-annotate",
            "--no-header",
            "--no-emit-project",
        ]
        uv = ROOT / ".tools" / "bin" / "uv"
        said = subprocess.run([uv, *export, "--extra", image], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        locked = {line.split(" ;")[0].strip() for line in said.splitlines() if _holds(line)}
        inside = (
            podman("run", *AT_REST, "--entrypoint=python", f"localhost/aelp2-{image}", "-c", program)
            .stdout.replace("_", "-")
            .split()
        )
        assert {one for one in inside if not one.startswith("aelp2==")} == locked, image


def _holds(line: str) -> bool:
    """Whether a requirement is for this machine: Linux, Python 3.12."""
    from packaging.markers import Marker

    _, _, marker = line.partition(" ; ")
    return "==" in line.split(" ;")[0] and (not marker or Marker(marker).evaluate())


@pytest.mark.parametrize("image", FILES)
def test_an_sbom_lists_what_is_inside(image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python package of the image and no other, the interpreter, Debian's packages; the labels it was built with."""
    import supply_chain
    from podman import podman

    monkeypatch.setattr(supply_chain, "TARGET", tmp_path)
    document = json.loads(supply_chain.sbom(image).read_text(encoding="utf-8"))
    program = "import importlib.metadata as m; print(*(d.name.lower() for d in m.distributions()))"
    inside = (
        podman("run", *AT_REST, "--entrypoint=python", f"localhost/aelp2-{image}", "-c", program).stdout.replace("_", "-").split()
    )
    kinds = [
        (one.get("purl", "pkg:pypi/").split("/")[0], one["name"].lower().replace("_", "-")) for one in document["components"]
    ]
    assert sorted(name for kind, name in kinds if kind == "pkg:pypi") == sorted(inside)
    assert {"libssl3", "procps"} <= {name for kind, name in kinds if kind == "pkg:deb"}
    assert ("pkg:generic", "python") in {(kind, name) for kind, name in kinds}
    assert "org.opencontainers.image.revision" in {one["name"] for one in document["metadata"]["component"]["properties"]}
