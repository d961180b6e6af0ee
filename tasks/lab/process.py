"""Run the real sandbox process for the length of a ``with`` block; for tests, benchmarks and demo scripts."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.errors import JobError
from tasks.lab.admin import SandboxAdmin
from tasks.lab.files import CREDENTIAL_FILES, write_private

# gRPC reads its trust root once a process, so every sandbox that one process starts must show the same certificate: the first
# one makes it, later ones with a fresh state folder take it over.
_credentials: dict[str, str] = {}


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox process that is ready.

    Attributes:
        endpoint: the content of ``endpoint.json`` at start; ``today`` moves on with ``admin.advance``.
        env: the ``AELP2_*`` variables and gRPC's trust root that point a job at it.
        pid: the server's process id.
    """

    endpoint: dict[str, Any]
    env: dict[str, str]
    admin: SandboxAdmin
    pid: int


def environment(endpoint: dict[str, Any]) -> dict[str, str]:
    """Variables that point a job at the sandbox described by an ``endpoint.json``."""
    names = {"AELP2_GA4_EXPORT": "ga4_export", "AELP2_SERVER_EVENTS": "server_events", "AELP2_EXPERIMENTS": "experiments"}
    website = {variable: endpoint[name] for variable, name in names.items() if endpoint.get(name)}
    endpoints = {f"AELP2_{name.upper()}_ENDPOINT": url for name, url in endpoint["platforms"].items()}
    return (
        website
        | endpoints
        | {
            "AELP2_CREDENTIALS_DIR": endpoint["credentials_dir"],
            "AELP2_GOOGLE_ADS_ENDPOINT": endpoint["google_ads_endpoint"],
            "AELP2_GOOGLE_ADS_CONFIG": endpoint["config_file"],
            "AELP2_GOOGLE_ADS_LOGIN_CUSTOMER_ID": endpoint["login_customer_id"],
            "AELP2_OUTCOMES_URL": endpoint["outcomes_url"],
            "AELP2_FX_RATES": endpoint["fx_rates"],
            "AELP2_REPORTING_CURRENCY": endpoint["reporting_currency"],
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": endpoint["ca_file"],
        }
    )


@contextmanager
def sandbox_process(
    *,
    state_dir: Path,
    world: str = "acme",
    seed: int = 7,
    start_date: str | None = None,
    history_days: int | None = None,
    ga4_days: int = 0,
    port: int = 0,
    admin_port: int = 0,
    timeout_s: float = 600.0,
) -> Iterator[RunningSandbox]:
    """Start ``aelp2 run-sandbox``, wait until it is ready, end it by its process id.

    Raises:
        JobError: it ended or was not ready in time; the message carries what it printed.
    """
    arguments = ["--world", world, "--seed", str(seed), "--state-dir", str(state_dir)]
    arguments += ["--port", str(port), "--admin-port", str(admin_port)]
    arguments += ["--start-date", start_date] if start_date else []
    arguments += ["--history-days", str(history_days)] if history_days else []
    arguments += ["--ga4-days", str(ga4_days)] if ga4_days else []
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _hand_over_credentials(state_dir)
    endpoint_file, log_file = state_dir / "endpoint.json", state_dir / "sandbox.log"
    endpoint_file.unlink(missing_ok=True)
    root = Path(__file__).resolve().parents[2]
    with log_file.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603 - our own module with our own arguments
            [sys.executable, "-c", "from tasks.cli import main; main()", "run-sandbox", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=root,
            env={k: v for k, v in os.environ.items() if k != "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"},
        )
        try:
            endpoint = _wait_ready(process, endpoint_file, log_file, timeout_s)
            _credentials.update({name: (state_dir / name).read_text(encoding="utf-8") for name in CREDENTIAL_FILES})
            yield RunningSandbox(endpoint, environment(endpoint), SandboxAdmin.of(endpoint_file), process.pid)
        finally:
            process.terminate()
            try:
                process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _hand_over_credentials(state_dir: Path) -> None:
    if not (state_dir / "server_credentials.json").exists():
        for name, text in _credentials.items():
            write_private(state_dir / name, text)


def _wait_ready(process: "subprocess.Popen[bytes]", endpoint_file: Path, log_file: Path, timeout_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_s
    while not endpoint_file.exists():
        if process.poll() is not None:
            raise JobError(f"the sandbox ended with code {process.returncode}:\n{log_file.read_text(encoding='utf-8')}")
        if time.monotonic() > deadline:
            raise JobError(f"the sandbox was not ready after {timeout_s:g} s; see {log_file}")
        time.sleep(0.05)
    return dict(json.loads(endpoint_file.read_text(encoding="utf-8")))
