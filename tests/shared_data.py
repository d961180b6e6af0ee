"""Reach the real input that lies beside a developer's checkout; a user's checkout has none."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_file(name: str) -> Path:
    """Path of ``../shared/data/<name>``; the calling test skips where the folder is missing."""
    path = SHARED / name
    if not SHARED.exists():
        pytest.skip(f"../shared/data is not beside this checkout; {name} cannot be read")
    return path
