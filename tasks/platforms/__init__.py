"""One adapter per ad platform behind one Protocol; siblings do not know each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.core.errors import JobError
from tasks.platforms.base import Platform

if TYPE_CHECKING:
    from tasks.core.settings import Settings

__all__ = ["Platform", "open_platform"]


def open_platform(name: str, settings: Settings) -> Platform:
    """The adapter of platform ``name``; JobError if there is none."""
    if name == "google_ads":
        from tasks.platforms.google_ads import GoogleAdsPlatform

        return GoogleAdsPlatform(settings)
    raise JobError(f"unknown platform {name!r}; known: google_ads")
