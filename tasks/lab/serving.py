"""Start a sandbox's two servers on one state and keep them up until the process is told to end."""

import fcntl
import json
import signal
import threading
from datetime import date
from pathlib import Path
from types import FrameType

import click

from tasks.core.errors import Refused
from tasks.lab.admin_server import AdminServer
from tasks.lab.apis import APIS
from tasks.lab.apis.server import PlatformServer, write_platform_credentials
from tasks.lab.apis.tokens import Tokens
from tasks.lab.credentials import Credentials
from tasks.lab.files import write_private
from tasks.lab.google_ads_server import GoogleAdsServer
from tasks.lab.sandbox import Sandbox
from tasks.lab.world import load_world


def serve(
    *, world_name: str, seed: int, state_dir: Path, port: int, admin_port: int, start: date, history_days: int, ga4_days: int = 0
) -> None:
    """Serve until SIGTERM or SIGINT; with ``ga4_days`` GA4 export, server events and experiment are kept up to date.

    Raises:
        JobError: a bad world, or a state made with other settings.
        Refused: another process serves this state folder.
    """
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    world = load_world(world_name)
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another sandbox serves {state_dir}; end it first or give another --state-dir") from None
        endpoint_file = state_dir / "endpoint.json"
        endpoint_file.unlink(missing_ok=True)
        sandbox = Sandbox(state_dir, world, seed, start, history_days)
        if ga4_days:
            sandbox.write_website(state_dir, ga4_days)
        credentials = Credentials(state_dir)
        admin = AdminServer(sandbox, credentials, admin_port)
        credentials.write_client_files(f"{admin.url}/token", world.manager.id)
        threading.Thread(target=admin.serve_forever, name="admin", daemon=True).start()
        platforms = PlatformServer(sandbox, Tokens(credentials), [api() for api in APIS if world.on(api.platform)])
        write_platform_credentials(state_dir, platforms)
        threading.Thread(target=platforms.serve_forever, name="platforms", daemon=True).start()
        server, bound = GoogleAdsServer(sandbox, credentials).start(
            port, credentials.key_file.read_bytes(), credentials.ca_file.read_bytes()
        )
        endpoint = _endpoint(sandbox, credentials, admin, bound) | {
            "platforms": {name: f"{platforms.url}/{name}" for name in platforms.apis},
            "accounts": [f"{a.platform}:{a.id}" for a in world.accounts],
            "credentials_dir": str((state_dir / "credentials").resolve()),
        }
        write_private(endpoint_file, json.dumps(endpoint, indent=1))
        click.echo(
            f"sandbox ready: world {world.id}, today {sandbox.today}, Google Ads on localhost:{bound}, admin on {admin.url}"
        )
        stop.wait()
        endpoint_file.unlink(missing_ok=True)
        server.stop(grace=1).wait()
        for http in (platforms, admin):
            http.shutdown()
            http.server_close()


def _endpoint(sandbox: Sandbox, credentials: Credentials, admin: AdminServer, port: int) -> dict[str, object]:
    return {
        "host": "localhost",
        "port": port,
        "google_ads_endpoint": f"localhost:{port}",
        "admin_url": admin.url,
        "outcomes_url": f"{admin.url}/outcomes.csv",
        "controls_url": f"{admin.url}/controls.csv",
        "fx_rates": f"{admin.url}/eurofxref.csv",
        "reporting_currency": sandbox.world.currency,
        "ca_file": str(credentials.ca_file.resolve()),
        "config_file": str(credentials.config_file.resolve()),
        "admin_token_file": str(credentials.admin_token_file.resolve()),
        "login_customer_id": sandbox.world.manager.id,
        "customer_ids": [account.id for account in sandbox.world.on("google_ads")],
        "ga4_export": str(sandbox.ga4.folder.resolve()) if sandbox.ga4 else None,
        "server_events": str(sandbox.backend.server_events.resolve()) if sandbox.backend else None,
        "experiments": str(sandbox.backend.experiments.resolve()) if sandbox.backend else None,
        "ga4_property_id": sandbox.world.people.property_id if sandbox.ga4 else None,
        "target_cac": sandbox.world.target_cac,
        "world": sandbox.world.id,
        "seed": sandbox.market.seed,
        "first_day": sandbox.market.start.isoformat(),
        "last_day_of_history": sandbox.market.date_of(sandbox.market.history_days - 1).isoformat(),
        "today": sandbox.today.isoformat(),
    }
