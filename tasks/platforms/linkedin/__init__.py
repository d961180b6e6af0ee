"""LinkedIn Marketing API behind the ``Platform`` protocol."""

from __future__ import annotations

from tasks.platforms.linkedin.adapter import LinkedInPlatform

__all__ = ["LinkedInPlatform"]
