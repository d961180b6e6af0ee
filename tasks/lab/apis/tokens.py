"""The tokens of the HTTP platforms: one that is good, one that has run out, one that may too little; worthless elsewhere."""

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import yaml

from tasks.lab.credentials import Credentials
from tasks.lab.files import write_private

Standing = Literal["good", "expired", "limited"]


class Tokens:
    """Secrets of a sandbox by platform and purpose, the same after every start.

    Args:
        credentials: whose key they are made with.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._key = credentials.token_key

    def secret(self, platform: str, purpose: str) -> str:
        """A secret of ``platform``, e.g. its app secret; the same each time."""
        return hmac.new(self._key, f"{platform}:{purpose}".encode(), hashlib.sha256).hexdigest()[:40]

    def access_token(self, platform: str, standing: Standing = "good") -> str:
        """The access token of that standing."""
        return self.secret(platform, f"access-token-{standing}")

    def standing(self, platform: str, token: str | None) -> Standing | None:
        """How good ``token`` is; None for one that was never given out."""
        kinds: tuple[Standing, ...] = get_args(Standing)
        return next((s for s in kinds if token and hmac.compare_digest(token, self.access_token(platform, s))), None)


def reddit_fields(tokens: Tokens, standing: Standing) -> dict[str, str]:
    """What the adapter of Reddit signs in with."""
    named = {"client_id": "client-id", "client_secret": "client-secret", "refresh_token": f"refresh-{standing}"}
    return {field: tokens.secret("reddit", purpose) for field, purpose in named.items()}


FIELDS: dict[str, Callable[[Tokens, Standing], dict[str, str]]] = {
    "reddit": reddit_fields,
}


def write_platform_credentials(state_dir: Path, tokens: Tokens) -> None:
    """The files that the adapters read: good ones in ``credentials``, the others beside it in folders of their standing."""
    folders: dict[Standing, str] = {"good": "credentials", "expired": "credentials_expired", "limited": "credentials_limited"}
    for standing, name in folders.items():
        folder = state_dir / name
        folder.mkdir(mode=0o700, exist_ok=True)
        for platform, fields in FIELDS.items():
            write_private(folder / f"{platform}.yaml", yaml.safe_dump(fields(tokens, standing)))
