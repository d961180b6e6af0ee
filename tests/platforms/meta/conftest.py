"""Meta's sandbox API in this process, over forty days of the conformance world, and an adapter on it."""

import os
import sys
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that `from meta_lab import …` works under importlib mode

from meta_lab import Lab, Market

from tasks.lab.apis.meta import MetaApi
from tasks.lab.apis.server import PlatformServer, write_platform_credentials
from tasks.lab.apis.tokens import Tokens
from tasks.lab.credentials import Credentials
from tasks.lab.sandbox import Sandbox
from tasks.lab.world import load_world

WORLD = Path(__file__).parents[1] / "conformance" / "world.yaml"
START, HISTORY_DAYS, SEED = date(2026, 1, 10), 40, 7


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Made once: simulating and making certificates takes a second."""
    folder = tmp_path_factory.mktemp("meta")
    sandbox = Sandbox(folder, load_world(str(WORLD)), SEED, START, HISTORY_DAYS)
    return Market(folder, sandbox, Tokens(Credentials(folder)))


@pytest.fixture
def lab(market: Market, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A server of its own for each test; the market is the session's, its ads as at the start, nothing made, no fault on."""
    api = MetaApi()
    server = PlatformServer(market.sandbox, market.tokens, [api])
    write_platform_credentials(market.folder, server)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    for name in [n for n in os.environ if n.startswith("AELP2_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AELP2_NOW", f"{market.sandbox.today}T06:00:00+00:00")
    market.sandbox.requests.clear()
    yield Lab(market, api, server)
    server.shutdown()
    server.server_close()
    market.sandbox.clear_faults()
    market.sandbox.made.clear()
    own = [u.ad_id for u in market.sandbox.market.layout.units if u.ad_id]
    market.sandbox.commit([("ad", ad, 1) for ad in own], client_type="TEST", user="reset@example.test")
