"""Tests of containers run where they are asked for (`make image-test`), never as a part of `make test`."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import pod_runs under importlib mode
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave containers out unless `-m` names them: a developer without podman runs everything else."""
    if "container" in (config.option.markexpr or ""):
        return
    out = [item for item in items if item.get_closest_marker("container")]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if not item.get_closest_marker("container")]


@pytest.fixture(scope="session")
def images() -> list[str]:
    """The images that DAGs use, built of this very tree; an old one must not answer for the new code."""
    from podman import inspect

    import images as built

    if not shutil.which("podman") or os.geteuid() != 0:
        pytest.fail("these tests need podman and root (a Secret is mounted as the kubelet mounts it): `make image-test` as root")
    wanted, names = built.source_hash(), sorted(built.jobs_by_image())
    for name in names:
        found = (inspect("image", built.image_name(name)).get("Labels") or {}).get("aelp2.source")
        if found != wanted:
            pytest.fail(
                f"{built.image_name(name)} is {'missing' if found is None else 'of another state of this tree'}: run `make image`"
            )
    return names
