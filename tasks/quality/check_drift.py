"""`aelp2 check-drift`: are the last weeks still like the weeks before?"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    from tasks.core.settings import Settings
    from tasks.core.warehouse import Warehouse

_SHOWN = 10


def _check(warehouse: Warehouse, settings: Settings, run_date: date, draw: bool) -> None:
    from tasks.core.report_store import store
    from tasks.core.xcom import push
    from tasks.quality.drift_config import load_config
    from tasks.quality.drift_job import DriftJob

    found = DriftJob(warehouse, run_date, load_config()).run()
    counts = {verdict: sum(one.verdict == verdict for one in found) for verdict in ("critical", "warning", "ok", "unknown")}
    for one in [one for one in sorted(found, key=lambda one: one.verdict != "critical") if one.is_found][:_SHOWN]:
        click.echo(f"  {one.verdict}: {one.series.platform}:{one.series.account_id} {one.detail}")
    told = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    click.echo(f"drift on {run_date}: {len(found)} comparisons, {told}")
    push({name: number for name, number in counts.items() if name in ("critical", "warning")})
    if draw:
        from tasks.quality.drift_html import page

        # Drawn after the verdicts are written: Evidently alone takes longer to load than all of the check.
        click.echo(f"report written: {store(settings.report_dir, f'drift-{run_date.isoformat()}.html', page(found, run_date))}")


@click.command("check-drift")
@run_date_option
@click.option("--html/--no-html", "draw", default=True, show_default=True, help="Write Evidently's report to AELP2_REPORT_DIR.")
@click.option(
    "--acknowledge",
    "accounts",
    multiple=True,
    help="`platform:account` as the gate names it: let what is critical there on the run date pass; repeatable, needs --why.",
)
@click.option("--why", help="Reason of --acknowledge; it is kept with who gave it.")
@click.option("--days", type=click.IntRange(1, 90), default=28, show_default=True, help="Run dates that --acknowledge holds for.")
def command(run_date: date, draw: bool, accounts: tuple[str, ...], why: str | None, days: int) -> None:
    """Compare the last weeks of ads, journeys, model inputs and model residuals with the weeks before, without the weekly season.

    Verdicts per column go to control.drift_reports, Evidently's report to AELP2_REPORT_DIR. The job ends well whatever it finds:
    it is the gate before plan-budgets that stops on a critical drift, until the source is mended or a person acknowledges it.

    \b
    aelp2 check-drift --run-date 2026-03-01
    aelp2 check-drift --run-date 2026-03-01 --acknowledge google_ads:1234567890 --why "spring sale, wanted"
    """
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse

    settings = load_settings()
    warehouse = open_warehouse(settings)
    if not accounts:
        _check(warehouse, settings, run_date, draw)
        return
    if not (why and why.strip()):
        raise click.UsageError('say why: --why "…"; it is kept with the acknowledgement')
    from tasks.core.actor import person
    from tasks.quality.drift_acknowledge import acknowledge

    actor = person(settings.actor)
    for account in accounts:
        names = acknowledge(warehouse, run_date=run_date, account=account, why=why, actor=actor, days=days)
        click.echo(f"acknowledged by {actor}, for {days} run dates: {', '.join(names)}")
