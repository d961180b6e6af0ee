"""Fixtures of the identity tests."""

from pathlib import Path

import pytest
from identity.identity_world import Identity


@pytest.fixture
def identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Identity:
    """An empty warehouse on the morning of 10 March."""
    world = Identity(tmp_path, monkeypatch, capsys)
    world.now(10)
    return world
