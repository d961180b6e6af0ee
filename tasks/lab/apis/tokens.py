"""The tokens of the HTTP platforms: one that is good, one that has run out, one that may too little; worthless elsewhere."""

import hashlib
import hmac
from typing import Literal, get_args

from tasks.lab.credentials import Credentials

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
