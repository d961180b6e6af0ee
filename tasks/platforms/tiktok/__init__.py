"""TikTok API for Business v1.3 behind the ``Platform`` protocol, through the official client where that is fit."""

from tasks.platforms.tiktok.adapter import TikTokPlatform

__all__ = ["TikTokPlatform"]
