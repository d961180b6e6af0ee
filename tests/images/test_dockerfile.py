"""The one Dockerfile and the dependency sets it can build."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "images" / "Dockerfile").read_text(encoding="utf-8")


def test_every_image_a_dag_names_is_a_dependency_set() -> None:
    """`image="mmm"` in a DAG is the extra `mmm` of pyproject.toml; the default is one too."""
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])
    calls = [
        node
        for file in (ROOT / "dags").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "pod"
    ]
    named = {keyword.value.value for call in calls for keyword in call.keywords if keyword.arg == "image"}  # type: ignore[attr-defined]
    assert len(calls) >= 15
    assert named | {"ads"} <= extras


def test_the_image_runs_the_program_as_the_user_of_the_pods() -> None:
    """Entry point `aelp2`, never root, the same uid as the pods' security context, the tools' version of the lock."""
    policy = (ROOT / "plugins" / "aelp2_airflow" / "cluster_job.py").read_text(encoding="utf-8")
    bootstrap = (ROOT / "scripts" / "bootstrap.sh").read_text(encoding="utf-8")
    uid = re.search(r"run_as_user=(\d+)", policy)
    uv = re.search(r"^uv_version=(\S+)$", bootstrap, re.MULTILINE)
    assert uid is not None
    assert uv is not None
    assert f"USER {uid[1]}:{uid[1]}" in DOCKERFILE
    assert f"UV_VERSION={uv[1]}\n" in DOCKERFILE
    assert 'ENTRYPOINT ["aelp2"]' in DOCKERFILE


def test_an_image_can_carry_the_flags_of_an_advertiser_that_has_some() -> None:
    """FLAGS adds the extra to any set, wherever the set is installed; the shared layer has neither."""
    installs = re.findall(r"uv sync [^\n]*", DOCKERFILE)
    of_a_set = [line for line in installs if '--extra "$EXTRA" ${FLAGS:+--extra flags}' in line]
    assert (len(installs), len(of_a_set)) == (3, 2)
    assert all("--locked" in line and "--no-default-groups" in line for line in installs)
    assert all("--extra" not in line for line in installs if line not in of_a_set)
    assert "ARG FLAGS=\n" in DOCKERFILE


def test_what_ships_has_no_installer() -> None:
    """uv is mounted from its own stage while a line runs, and no stage copies it."""
    stages = DOCKERFILE.split("\nFROM ")
    assert [stage.splitlines()[0] for stage in stages[1:]] == ["${BASE_IMAGE} AS uv", "${BASE_IMAGE} AS base", "base"]
    assert not re.search(r"^COPY --from", DOCKERFILE, re.MULTILINE)
    assert DOCKERFILE.count("--mount=type=bind,from=uv,source=/uv,target=/uv") == 3


def test_packages_come_from_the_cache_that_the_machine_has() -> None:
    """Each stage that installs takes the place of uv's cache as an argument; a cache mounted there would hide it."""
    stages = DOCKERFILE.split("\nFROM ")[2:]
    assert all("\nARG UV_CACHE_DIR=/root/.cache/uv\n" in stage for stage in stages)
    script = (ROOT / "scripts" / "images.py").read_text(encoding="utf-8")
    place = re.search(r"--build-arg=UV_CACHE_DIR=(\S+?)\"", script)
    assert place is not None
    assert f':{place[1]}"' in script
    assert f"target={place[1]}" not in DOCKERFILE


def test_only_what_an_image_is_made_of_is_sent_to_the_builder() -> None:
    """No state, no environment and no credentials of the tree can end in a layer."""
    lines = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line[0] == "!"} == {"README.md", "include", "pyproject.toml", "tasks", "uv.lock"}
    # The last pattern that fits decides: files that Git ignores in any folder stay out of the folders that are sent.
    after = lines[max(number for number, line in enumerate(lines) if line[0] == "!") :]
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    anywhere = [
        line for line in ignored if line and line[0] not in "#/!" and line[-1] != "/" and "tf" not in line and line != "*.pyc"
    ]
    assert "google-ads.yaml" in anywhere
    assert [line for line in anywhere if f"**/{line}" not in after] == []
