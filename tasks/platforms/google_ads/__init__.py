"""Google Ads behind the ``Platform`` protocol, through the official client."""

from tasks.platforms.google_ads.adapter import GoogleAdsPlatform

__all__ = ["GoogleAdsPlatform"]
