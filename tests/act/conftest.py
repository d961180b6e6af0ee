"""Fixtures of the act tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that the helpers beside this file can be imported under importlib mode

from act_world import NOW, World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """An account with four budgets, a live policy that allows it, an in-memory warehouse; the clock stands at NOW."""
    monkeypatch.setenv("AELP2_NOW", NOW.isoformat())
    return World(monkeypatch)
