"""The sandbox of the local loop: one process of ours, its addresses, and what it holds."""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from local_airflow import process_start, write_private

Json = dict[str, Any]
GA4_DAYS = 45  # of website events: a month of journeys with their lookback, written in seconds
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class NotLoopbackError(RuntimeError):
    """The loop was about to switch live mode on against something that is not on this machine."""


@dataclass(frozen=True)
class LocalSandbox:
    """The sandbox whose state lies in ``folder``, run by the program ``cli``."""

    folder: Path
    cli: Path

    @property
    def log_file(self) -> Path:
        """What the process says."""
        return self.folder.parent / "sandbox.log"

    @property
    def _pid_file(self) -> Path:
        return self.folder.parent / "sandbox.pid"

    @property
    def endpoint(self) -> Json:
        """Its addresses and files, as it wrote them once it was ready."""
        endpoint: Json = json.loads((self.folder / "endpoint.json").read_text(encoding="utf-8"))
        return endpoint

    def spawn(self, world: str, seed: int) -> None:
        """Start the process; `wait` returns once it is ready."""
        self.stop()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        (self.folder / "endpoint.json").unlink(missing_ok=True)
        with self.log_file.open("wb") as out:
            process = subprocess.Popen(
                [
                    *(str(self.cli), "run-sandbox", "--world", world, "--seed", str(seed)),
                    *("--state-dir", str(self.folder), "--ga4-days", str(GA4_DAYS)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        write_private(self._pid_file, f"{process.pid} {process_start(process.pid)}\n")

    def _pid(self) -> int | None:
        try:
            pid, started = self._pid_file.read_text(encoding="utf-8").split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if process_start(int(pid)) == started else None

    def wait(self, timeout_s: float = 600) -> None:
        """Return once it is ready to serve."""
        deadline = time.monotonic() + timeout_s
        while not (self.folder / "endpoint.json").exists():
            if self._pid() is None or time.monotonic() > deadline:
                said = self.log_file.read_text(encoding="utf-8", errors="replace").strip()[-1500:]
                raise RuntimeError(f"the sandbox is not ready; see {self.log_file}\n{said}")
            time.sleep(0.2)

    def stop(self, timeout_s: float = 60) -> None:
        """End the process, if it is ours and still runs."""
        pid = self._pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + timeout_s
            while self._pid() is not None and time.monotonic() < deadline:
                time.sleep(0.1)
            if self._pid() is not None:
                os.killpg(pid, signal.SIGKILL)
        self._pid_file.unlink(missing_ok=True)

    def job_environment(self) -> dict[str, str]:
        """The settings with which a job's unpatched google-ads client talks to this sandbox.

        NotLoopbackError if an address is not on this machine: these settings go together with live mode.
        """
        endpoint = self.endpoint
        hosts = {"Google Ads": endpoint["host"], "outcomes": urlsplit(endpoint["outcomes_url"]).hostname}
        hosts["rates"] = urlsplit(endpoint["fx_rates"]).hostname
        hosts |= {name: urlsplit(url).hostname for name, url in endpoint["platforms"].items()}
        for what, host in hosts.items():
            if host not in _LOOPBACK:
                raise NotLoopbackError(f"{what} is at {host!r}; the local loop applies changes only to a sandbox on loopback")
        return {f"AELP2_{name.upper()}_ENDPOINT": url for name, url in endpoint["platforms"].items()} | {
            "AELP2_CREDENTIALS_DIR": endpoint["credentials_dir"],
            "AELP2_GOOGLE_ADS_ENDPOINT": endpoint["google_ads_endpoint"],
            "AELP2_GOOGLE_ADS_CONFIG": endpoint["config_file"],
            "AELP2_GOOGLE_ADS_LOGIN_CUSTOMER_ID": str(endpoint["login_customer_id"]),
            "AELP2_OUTCOMES_URL": endpoint["outcomes_url"],
            "AELP2_FX_RATES": endpoint["fx_rates"],
            "AELP2_REPORTING_CURRENCY": endpoint["reporting_currency"],
            "AELP2_CONTROLS_URL": endpoint["controls_url"],
            "AELP2_GA4_EXPORT": endpoint["ga4_export"],
            "AELP2_SERVER_EVENTS": endpoint["server_events"],
            "AELP2_EXPERIMENTS": endpoint["experiments"],
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": endpoint["ca_file"],
            "NO_PROXY": "localhost,127.0.0.1",
            "no_proxy": "localhost,127.0.0.1",
        }

    def _call(self, method: str, path: str, **kwargs: Any) -> Json:
        token = Path(self.endpoint["admin_token_file"]).read_text(encoding="utf-8").strip()
        with httpx.Client(base_url=self.endpoint["admin_url"], timeout=600, trust_env=False) as client:
            response = client.request(method, path, headers={"Authorization": f"Bearer {token}"}, **kwargs)
        if response.status_code >= 400:
            raise RuntimeError(f"the sandbox answered {response.status_code} to {method} {path}: {response.text[:400]}")
        answer: Json = response.json()
        return answer

    def state(self) -> Json:
        """Dates, budgets in force, changes made: what the platform itself holds."""
        return self._call("GET", "/state")

    def budgets(self) -> dict[str, int]:
        """Budget id → daily amount in micros, as the platform holds it."""
        return {str(budget["budget_id"]): int(budget["amount_micros"]) for budget in self.state()["budgets"]}

    def today(self) -> date:
        """The simulated day under way."""
        return date.fromisoformat(self.state()["today"])

    def now(self) -> datetime:
        """The simulated instant."""
        return datetime.fromisoformat(self.state()["now"])

    def advance(self) -> date:
        """Let one day pass; the new today."""
        return date.fromisoformat(self._call("POST", "/advance", json={"days": 1})["today"])
