"""The process: readiness, files, restart, kill, and its HTTP side."""

import csv
import io
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from lab_client import client_of

from tasks.core.errors import JobError
from tasks.lab.admin import SandboxAdmin
from tasks.lab.process import RunningSandbox, sandbox_process

pytestmark = pytest.mark.slow


def test_it_says_where_it_is_and_ends_by_sigterm(tmp_path: Path) -> None:
    with sandbox_process(state_dir=tmp_path, history_days=60) as sandbox:
        lines = (tmp_path / "sandbox.log").read_text(encoding="utf-8").splitlines()
        endpoint = json.loads((tmp_path / "endpoint.json").read_text(encoding="utf-8"))
        assert (endpoint["today"], endpoint["last_day_of_history"]) == ("2023-10-27", "2023-10-26")
        where = f"Google Ads on {endpoint['google_ads_endpoint']}, admin on {endpoint['admin_url']}"
        assert lines == [f"sandbox ready: world acme, today 2023-10-27, {where}"]
        os.kill(sandbox.pid, signal.SIGTERM)
        _wait_gone(tmp_path / "endpoint.json")


def _wait_gone(path: Path) -> None:
    deadline = time.monotonic() + 600
    while path.exists():
        assert time.monotonic() < deadline, f"{path} is still there"
        time.sleep(0.05)


def test_nobody_else_can_read_what_it_writes(running: RunningSandbox) -> None:
    folder = Path(running.endpoint["ca_file"]).parent
    private = [p for p in folder.rglob("*") if p.name not in ("lock", "sandbox.log")]
    wanted = {p: 0o700 if p.is_dir() else 0o600 for p in private}
    assert {p: stat.S_IMODE(p.stat().st_mode) for p in private} == wanted
    expected = {"state.json", "google-ads.yaml", "server.key", "service_account_credentials.json", "admin.token"}
    assert expected <= {p.name for p in private}


def test_a_kill_at_any_time_keeps_what_was_applied(tmp_path: Path) -> None:
    with sandbox_process(state_dir=tmp_path, history_days=60) as first:
        first.admin.edit(7006, 1_000_000_000)
        first.admin.advance(2)
        before = first.admin.state()
        outcomes = first.admin.outcomes_csv("2023-08-28", "2023-12-31")
        os.kill(first.pid, signal.SIGKILL)
    with sandbox_process(state_dir=tmp_path, history_days=60) as second:
        assert second.admin.state() == before
        assert second.admin.outcomes_csv("2023-08-28", "2023-12-31") == outcomes


def test_a_client_survives_a_restart_on_the_same_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox_process(state_dir=tmp_path, history_days=60) as first:
        for name, value in first.env.items():
            monkeypatch.setenv(name, value)
        client = client_of(first)
        ports = {"port": first.endpoint["port"], "admin_port": int(first.endpoint["admin_url"].rsplit(":", 1)[1])}
    with ExitStack() as stack:
        for port in ports.values():  # nobody else is given them meanwhile; a server that sets SO_REUSEADDR has them all the same
            held = stack.enter_context(socket.socket())
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", port))
        stack.enter_context(sandbox_process(state_dir=tmp_path, history_days=60, **ports))
        service = client.get_service("GoogleAdsService")
        stream = service.search_stream(customer_id="2000000001", query="SELECT campaign.id FROM campaign")
        assert sum(len(batch.results) for batch in stream) == 11


@pytest.fixture(scope="module")
def used_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sandbox that has ended."""
    folder = tmp_path_factory.mktemp("used")
    with sandbox_process(state_dir=folder, history_days=60):
        pass
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 8}, "was made with seed=7, this start asks for 8"),
        ({"world": "cac_breach"}, "was made with world='acme', this start asks for 'cac_breach'"),
        ({"world": "atlantis"}, "no world 'atlantis'"),
    ],
)
def test_a_state_of_other_settings_is_refused(used_state: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError) as error, sandbox_process(state_dir=used_state, history_days=60, **options):
        pass
    assert "ended with code 1" in str(error.value)
    assert message in str(error.value)


def test_two_sandboxes_on_one_state_are_refused(running: RunningSandbox) -> None:
    folder = Path(running.endpoint["ca_file"]).parent
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "from tasks.cli import main; main()",
            "run-sandbox",
            "--state-dir",
            str(folder),
            "--history-days",
            "120",
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (
        4,
        f"error: another sandbox serves {folder}; end it first or give another --state-dir\n",
    )
    assert (folder / "endpoint.json").exists()


def test_outcomes_are_the_completed_days_of_the_crm(sandbox: RunningSandbox) -> None:
    text = sandbox.admin.outcomes_csv("2023-12-20", "2024-06-30")
    rows = list(csv.DictReader(io.StringIO(text)))
    last = sandbox.endpoint["last_day_of_history"]
    assert list(rows[0]) == ["date", "new_customers", "revenue", "currency"]
    assert (rows[0]["date"], rows[-1]["date"], len(rows)) == ("2023-12-20", last, 6)
    truth = sandbox.admin.truth("2023-12-20", last)
    assert sum(int(r["new_customers"]) for r in rows) == truth["new_customers"]
    for row in rows:
        assert float(row["revenue"]) / int(row["new_customers"]) == pytest.approx(118, rel=0.25)


def test_the_calendar_names_the_promo_weeks(sandbox: RunningSandbox) -> None:
    with urlopen(f"{sandbox.endpoint['controls_url']}?start=2023-09-04&end=2023-09-05") as response:
        assert response.read().decode() == "date,is_holiday,is_promo\n2023-09-04,false,false\n2023-09-05,false,true\n"


@pytest.mark.parametrize("path", ["/state", "/truth", "/requests", "/faults"])
def test_levers_and_truth_need_the_admin_token(sandbox: RunningSandbox, path: str) -> None:
    with pytest.raises(HTTPError, match="401"):
        urlopen(sandbox.endpoint["admin_url"] + path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: a.advance(0), "cannot advance 0 days"),
        (lambda a: a.edit(1, 10), "no budget 1; GET /state lists them"),
        (lambda a: a.edit(7006, 0), "amount_micros=0; a budget is above zero"),
        (lambda a: a.truth("2030-01-01"), "no simulated day between"),
        (lambda a: a.outcomes_csv("soon", "2024-01-01"), "Invalid isoformat string: 'soon'"),
    ],
)
def test_a_wrong_call_of_the_admin_is_refused(sandbox: RunningSandbox, call: Any, message: str) -> None:
    with pytest.raises(JobError, match="sandbox answered 400") as error:
        call(sandbox.admin)
    assert message in str(error.value)


def test_a_forged_assertion_gets_no_token(sandbox: RunningSandbox) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from google.auth.exceptions import RefreshError
    from google.auth.transport.requests import Request
    from google.oauth2.service_account import Credentials

    file = Path(sandbox.endpoint["ca_file"]).parent / "service_account_credentials.json"
    info = json.loads(file.read_text(encoding="utf-8"))
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    info["private_key"] = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    with pytest.raises(RefreshError, match="invalid_grant"):
        Credentials.from_service_account_info(info, scopes=["https://www.googleapis.com/auth/adwords"]).refresh(Request())


def test_three_accounts_answer_in_their_own_currencies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox_process(state_dir=tmp_path, world="three_accounts", history_days=60) as sandbox:
        for name, value in sandbox.env.items():
            monkeypatch.setenv(name, value)
        service = client_of(sandbox).get_service("GoogleAdsService")
        found = {}
        for customer in sandbox.endpoint["customer_ids"]:
            text = "SELECT customer.currency_code, metrics.cost_micros FROM customer WHERE segments.date DURING LAST_7_DAYS"
            row = next(iter(service.search_stream(customer_id=customer, query=text))).results[0]
            found[customer] = (row.customer.currency_code, round(row.metrics.cost_micros / 7e6, -2))
        assert {c: currency for c, (currency, _) in found.items()} == {
            "2000000011": "USD",
            "2000000012": "EUR",
            "2000000013": "EUR",
        }
        assert all(1_200 < cost < 5_500 for _, cost in found.values())


def test_the_admin_client_finds_its_sandbox_by_the_endpoint_file(sandbox: RunningSandbox) -> None:
    endpoint = Path(sandbox.endpoint["ca_file"]).parent / "endpoint.json"
    assert SandboxAdmin.of(endpoint).budgets() == sandbox.admin.budgets()
