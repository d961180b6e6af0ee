"""Meta (Facebook, Instagram) Marketing API behind the ``Platform`` protocol, through the official facebook-business SDK."""

from tasks.platforms.meta.adapter import MetaPlatform

__all__ = ["MetaPlatform"]
