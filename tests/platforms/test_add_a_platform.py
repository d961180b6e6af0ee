"""The how-to is true: its example, taken from the page as it stands, is a working adapter."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tasks.core.settings import load_settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "add-a-platform.md"
ANSWERS = {
    "/v1/accounts": {"accounts": [{"id": "c1", "name": "Acme", "currency": "USD", "zone": "America/New_York"}]},
    "/v1/accounts/c1/spots": {
        "spots": [
            {"id": "s1", "flight": "f1", "flight_name": "Spring", "name": "Thirty", "state": "LIVE", "film": "v1"},
            {"id": "s2", "flight": "f1", "flight_name": "Spring", "name": "Fifteen", "state": "RETIRED", "film": "v2"},
        ]
    },
}
ROWS = [
    {"day": "2026-03-01", "flight": "f1", "spot": "s1", "spots": 1000, "spend": "25.40", "completed": 950},
    {"day": "2026-03-01", "flight": "f1", "spot": "s2", "spots": 10, "spend": "0.26", "completed": 9},
]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.headers["Authorization"] != "Bearer right":
            self.send_error(401)
            return
        rows = ROWS if "by=spot" in self.path else [{**ROWS[0], "spots": 1010, "spend": "25.66", "completed": 959}]
        body = json.dumps(ANSWERS.get(path) or {"rows": rows}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass


@pytest.fixture
def ctv(tmp_path: Path) -> Iterator[Any]:
    """The adapter of the page on a local server."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(source, str(PAGE), "exec"), names)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secret = tmp_path / "credentials" / "ctv.yaml"
    secret.parent.mkdir(mode=0o700)
    secret.touch(mode=0o600)
    secret.write_text("token: right\n")
    settings = replace(load_settings({}), credentials_dir=secret.parent, name_salt_file=tmp_path / "salt")
    adapter = names["CtvPlatform"](settings)
    adapter.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield adapter
    server.shutdown()
    server.server_close()


def test_the_example_of_the_page_reports(ctv: Any) -> None:
    """Accounts, delivery by campaign and ad with exact amounts and rates, entities; an unknown state is set aside."""
    (account,) = ctv.accounts()
    got = ctv.reports(account, date(2026, 3, 1), date(2026, 3, 1), run_date=date(2026, 3, 2))
    (campaign,) = got.frames["ads.ads_campaign_performance"].to_dicts()
    assert (campaign["cost_micros"], campaign["impressions"], campaign["channel"]) == (25_660_000, 1010, "CTV")
    (ad,) = got.frames["ads.ads_ad_performance"].to_dicts()
    assert (ad["campaign_id"], ad["adgroup_id"], ad["ad_id"], ad["creative_id"]) == ("f1", "f1-all", "s1", "v1")
    assert (ad["vtr"], ad["ctr"], ad["cost_micros"]) == (0.95, 0.0, 25_400_000)
    assert {(r.check, r.row.get("ad_id") or r.row.get("entity_id")) for r in got.rejected} == {("known_enum", "s2")}
    assert got.frames["ads.ads_entities"]["entity_kind"].to_list() == ["campaign", "adgroup", "ad"]
    assert got.frames["ads.ads_action_performance"].is_empty()


def test_a_wrong_token_says_what_to_do(ctv: Any, tmp_path: Path) -> None:
    """The shared half turns the refusal into an error with a remedy."""
    from tasks.platforms.calls import CallError

    (tmp_path / "credentials" / "ctv.yaml").write_text("token: wrong\n")
    with pytest.raises(CallError, match="run `aelp2 onboard ctv`") as raised:
        ctv.accounts()
    assert "wrong\n" not in str(raised.value)
