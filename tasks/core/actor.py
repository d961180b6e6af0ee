"""Who does by hand what is kept on record."""

from __future__ import annotations


def person(configured: str) -> str:
    """AELP2_ACTOR if it names somebody, else the user of this machine; what a person decides is never nameless."""
    if configured != "job":
        return configured
    import getpass

    return f"user:{getpass.getuser()}"
