"""What a test of the Meta adapter works with."""

import hashlib
import hmac
import tempfile
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from tasks.core.settings import load_settings
from tasks.lab.apis.meta import MetaApi
from tasks.lab.apis.server import PlatformServer
from tasks.lab.apis.tokens import Tokens
from tasks.lab.sandbox import Sandbox
from tasks.platforms.base import Account
from tasks.platforms.calls import RetryPolicy
from tasks.platforms.meta import MetaPlatform

US, EU = "1400000001", "1400000002"
DAY = timedelta(days=1)


@dataclass
class Market:
    """The simulated market and where its files lie."""

    folder: Path
    sandbox: Sandbox
    tokens: Tokens


@dataclass
class Lab:
    """A server over the market. ``waits`` are the seconds that adapters would have slept."""

    market: Market
    api: MetaApi
    server: PlatformServer
    waits: list[float] = field(default_factory=list)

    @property
    def sandbox(self) -> Sandbox:
        """The market's state."""
        return self.market.sandbox

    @property
    def today(self) -> date:
        """The simulated day."""
        return self.sandbox.today

    def platform(self, *, standing: str = "", **changes: Any) -> MetaPlatform:
        """An adapter with credentials of ``standing``, some of them changed (None: left out)."""
        folder = self.market.folder / f"credentials{standing and f'_{standing}'}"
        if changes:
            content = yaml.safe_load((folder / "meta.yaml").read_text()) | changes
            folder = Path(tempfile.mkdtemp(dir=self.market.folder))  # read at the first call, when others may have been written
            path = folder / "meta.yaml"
            path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
            path.chmod(0o600)
        env = {
            "AELP2_CREDENTIALS_DIR": str(folder),
            "AELP2_META_ENDPOINT": f"{self.server.url}/meta",
            "AELP2_NAME_SALT_FILE": str(self.market.folder / "salt"),
        }
        return MetaPlatform(load_settings(env), retries=RetryPolicy(sleep=self.waits.append, jitter=lambda: 1.0))

    def account(self, account_id: str = US) -> Account:
        """One of the two accounts."""
        return next(a for a in self.platform().accounts() if a.account_id == account_id)

    def ads(self, account_id: str = US) -> list[tuple[str, str]]:
        """(ad group, ad) of an account."""
        own = next(a for a in self.sandbox.world.accounts if a.id == account_id)
        ids = {c.id for c in own.campaigns}
        return [(str(u.ad_group_id), str(u.ad_id)) for u in self.sandbox.market.layout.units if u.campaign.id in ids]

    def secrets(self) -> list[str]:
        """Every secret of every standing, and the proofs made of them."""
        secret = self.market.tokens.secret("meta", "app-secret")
        tokens = [self.market.tokens.access_token("meta", s) for s in ("good", "expired", "limited")]
        proofs = [hmac.new(secret.encode(), t.encode(), hashlib.sha256).hexdigest() for t in tokens]
        return [secret, *tokens, *proofs]

    def paths(self) -> list[str]:
        """Paths of the calls so far, method in front."""
        return [f"{r['method']} {r['path']}" for r in self.sandbox.requests if r["platform"] == "meta"]
