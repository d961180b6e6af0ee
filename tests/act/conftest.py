"""Fixtures of the act tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that the helpers beside this file can be imported under importlib mode

from act_world import NOW, World
from ad_world import AdWorld


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """An account with four budgets, a live policy that allows it, an in-memory warehouse; the clock stands at NOW."""
    monkeypatch.setenv("AELP2_NOW", NOW.isoformat())
    return World(monkeypatch)


@pytest.fixture
def ad_world(monkeypatch: pytest.MonkeyPatch) -> AdWorld:
    """The same with six ads in three ad groups."""
    monkeypatch.setenv("AELP2_NOW", NOW.isoformat())
    return AdWorld(monkeypatch)
