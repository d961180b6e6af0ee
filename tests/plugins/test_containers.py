"""A job's container is checked when the DAG is parsed."""

import json
from pathlib import Path

import pytest
from aelp2_airflow.containers import Container, ContainerError, image_reference

GOOD = "europe-docker.pkg.dev/p/aelp2/ads@sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"command": "sh -c 'x'"}, "not a command of aelp2"),
        ({"command": "fit_mmm"}, "not a command of aelp2"),
        ({"command": "fit-mmm", "args": (5,)}, "argument 5 is a int"),
        ({"command": "fit-mmm", "size": "xl"}, "size='xl' is not one of s, m, l"),
        ({"command": "fit-mmm", "access": "write"}, "access='write' is not one of none, salt, read, mutate"),
    ],
)
def test_a_wrong_definition_is_refused(fields: dict[str, object], message: str) -> None:
    """The error names the field, its value and what is allowed."""
    with pytest.raises(ContainerError, match=message):
        Container(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing; the release writes it"),
        ("{", "is not JSON"),
        (json.dumps({"mmm": GOOD}), "has no image 'ads'; it has mmm"),
        (json.dumps({"ads": "europe-docker.pkg.dev/p/aelp2/ads:latest"}), "because a tag can move"),
        (json.dumps({"ads": GOOD[:-1]}), "because a tag can move"),
    ],
)
def test_an_image_without_a_digest_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    """A missing lock, an unknown image and a tag instead of a digest each say what is wrong."""
    lock = tmp_path / "images.lock.json"
    if content is not None:
        lock.write_text(content, encoding="utf-8")
    with pytest.raises(ContainerError, match=message):
        image_reference("ads", lock)


def test_a_digest_is_taken_as_it_stands(tmp_path: Path) -> None:
    """The lock's reference reaches the pod unchanged."""
    lock = tmp_path / "images.lock.json"
    lock.write_text(json.dumps({"ads": GOOD}), encoding="utf-8")
    assert image_reference("ads", lock) == GOOD
