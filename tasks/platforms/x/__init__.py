"""X Ads API behind the ``Platform`` protocol."""

from __future__ import annotations

from tasks.platforms.x.adapter import XPlatform

__all__ = ["XPlatform"]
