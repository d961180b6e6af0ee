"""The scripts are no package: their folder goes on the path, as it does when one of them is run. Fixtures of a release."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "scripts"), str(Path(__file__).parent)]

import release  # noqa: E402 - needs the line above
import release_airflow  # noqa: E402
import release_source  # noqa: E402
from release_fakes import Airflow, Fakes, Release, project, serving  # noqa: E402


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
