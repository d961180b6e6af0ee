"""One adapter per ad platform behind one Protocol; siblings do not know each other."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.errors import JobError
from tasks.platforms.base import Platform

if TYPE_CHECKING:
    from tasks.core.settings import Settings

__all__ = ["ADAPTERS", "Platform", "adapter_of", "credentials_path", "has_credentials", "open_platform"]

# Platform → its adapter. Adding one: a line here, its name in the contracts' enum; docs/how-to/add-a-platform.md.
ADAPTERS = {
    "google_ads": "tasks.platforms.google_ads:GoogleAdsPlatform",
    "meta": "tasks.platforms.meta:MetaPlatform",
    "linkedin": "tasks.platforms.linkedin:LinkedInPlatform",
    "tiktok": "tasks.platforms.tiktok:TikTokPlatform",
    "reddit": "tasks.platforms.reddit:RedditPlatform",
    "x": "tasks.platforms.x:XPlatform",
}


def open_platform(name: str, settings: Settings, *, brand_terms: Sequence[str] = ()) -> Platform:
    """The adapter of platform ``name``; JobError if there is none. Nothing is dialled yet."""
    made: Platform = adapter_of(name)(settings, brand_terms=brand_terms)
    return made


def credentials_path(settings: Settings, name: str) -> Path:
    """Where the credentials of platform ``name`` lie, if they are stored."""
    from tasks.platforms.credentials import credentials_file

    own = settings.google_ads_config if name == "google_ads" else None
    return own or credentials_file(settings, name)


def has_credentials(settings: Settings, name: str) -> bool:
    """Whether credentials of platform ``name`` are stored; whether they are right only the platform knows."""
    return credentials_path(settings, name).is_file()


def adapter_of(name: str) -> type[Any]:
    """The class of the adapter of platform ``name``, for what it says without being opened; JobError if there is none."""
    if name not in ADAPTERS:
        raise JobError(f"unknown platform {name!r}; known: {', '.join(ADAPTERS)}")
    module, _, adapter = ADAPTERS[name].partition(":")
    made: type[Any] = getattr(import_module(module), adapter)
    return made
