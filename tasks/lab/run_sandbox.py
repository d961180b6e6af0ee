"""``aelp2 run-sandbox``: a Google Ads of your own, with a market behind it, until SIGTERM."""

from datetime import datetime
from pathlib import Path

import click

DEFAULT_HISTORY_DAYS = 913
DEFAULT_FIRST_DAY = "2023-08-28"  # a Monday: 130 whole weeks from the first day on; history ends 2026-02-25, far from holidays


_port = click.IntRange(0, 65535)
_folder = click.Path(file_okay=False, path_type=Path)
_day = click.DateTime(["%Y-%m-%d"])


@click.command(name="run-sandbox")
@click.option("--world", default="acme", show_default=True, help="Id of a world of the package, or path of a world YAML file.")
@click.option("--seed", default=7, show_default=True, type=click.IntRange(min=0), help="Same seed, same numbers.")
@click.option("--state-dir", required=True, type=_folder, help="Folder of the sandbox's state; taken up again if it has one.")
@click.option("--port", default=0, show_default=True, type=_port, help="gRPC port; 0 takes a free one.")
@click.option("--admin-port", default=0, show_default=True, type=_port, help="HTTP port; 0 takes a free one.")
@click.option("--start-date", default=DEFAULT_FIRST_DAY, show_default=True, type=_day, help="First day of history.")
@click.option(
    "--history-days",
    default=DEFAULT_HISTORY_DAYS,
    show_default=True,
    type=click.IntRange(60, 3660),
    help="Days of history before the simulated today.",
)
@click.option(
    "--ga4-days",
    default=0,
    show_default=True,
    type=click.IntRange(0, 3660),
    help="Also write GA4 export, server events and experiment below STATE_DIR, from this many days before today on; 0: none.",
)
def command(
    *, world: str, seed: int, state_dir: Path, port: int, admin_port: int, start_date: datetime, history_days: int, ga4_days: int
) -> None:
    """Serve a simulated advertiser over Google Ads' own protocol.

    The official google-ads client talks to it unpatched. Once it is ready, STATE_DIR/endpoint.json says where: gRPC and HTTP
    addresses, certificate, credentials, customer ids, the simulated today; and one line is printed. A budget set through the
    API changes what the next simulated day spends and sells. docs/how-to/sandbox.md tells all.

    \b
    aelp2 run-sandbox --state-dir .local/sandbox
    aelp2 run-sandbox --world cac_breach --seed 3 --state-dir /tmp/breach --ga4-days 45
    """
    from tasks.lab.serving import serve

    serve(
        world_name=world,
        seed=seed,
        state_dir=state_dir,
        port=port,
        admin_port=admin_port,
        start=start_date.date(),
        history_days=history_days,
        ga4_days=ga4_days,
    )
