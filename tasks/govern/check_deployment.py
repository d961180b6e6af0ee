"""After a release: does this very pod have what its jobs need? It looks and changes nothing."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING

import click

from tasks.core.errors import GateStop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from tasks.core.settings import Settings
    from tasks.govern.deployment import Access, Finding


def findings(settings: Settings, access: Access | None) -> Iterator[Finding]:
    """Each check as it ends; ``access`` is what a pod promises to hold, None on a machine that is no pod."""
    from tasks.core.warehouse import open_warehouse
    from tasks.govern import deployment
    from tasks.govern.deployment import checked

    warehouse = open_warehouse(settings)
    yield checked("mode", lambda: deployment.mode(settings))
    yield checked("rules", lambda: deployment.rules(settings))
    yield (reached := checked("warehouse", lambda: deployment.answers(settings, warehouse)))
    if reached.holds:  # else the two would only say the same once more
        yield checked("tables", lambda: deployment.tables(settings, warehouse))
        yield checked("switches", lambda: deployment.switches(warehouse))
    if access is not None:
        if access != "none":
            yield checked("salt", lambda: deployment.salt(settings))
        yield checked("credentials", lambda: deployment.credentials(settings, access))
        yield checked("disk", deployment.disk)


@click.command("check-deployment")
@click.option("--run-date", type=click.DateTime(["%Y-%m-%d"]), help="Accepted for uniformity; the check is of this moment.")
@click.option(
    "--access",
    type=click.Choice(["none", "salt", "read", "mutate"]),
    default="none",
    show_default=True,
    help="Which secret this pod must hold, and no other. Told from nothing on a machine that is no pod.",
)
def command(run_date: date | None, access: Access) -> None:  # noqa: ARG001 - see its help
    """Check that this machine or pod has what the jobs need: settings, rules, tables, credentials, disk.

    One line a check, with what to do where it fails; exit code 3 if one does. Nothing is written, no platform is asked, no secret
    is shown. The DAG `smoke` runs it once in each image and role after a release. In a pod it also holds secrets and disk
    against --access; on your own machine these are yours and are left alone.

    \b
    aelp2 check-deployment
    aelp2 check-deployment --access read
    """
    from tasks.core import xcom
    from tasks.core.settings import load_settings
    from tasks.govern.deployment import in_container

    settings = load_settings()
    found = []
    for finding in findings(settings, access if in_container(os.environ) else None):
        found.append(finding)
        click.echo(f"{'ok  ' if finding.holds else 'FAIL'} {finding.name:<12} {finding.said}")
    failed = [finding.name for finding in found if not finding.holds]
    xcom.push(
        {"version": version("aelp2"), "mode": settings.mode, "backend": settings.backend, "checks": len(found), "failed": failed}
    )
    if failed:
        raise GateStop(f"not fit to run: {', '.join(failed)}; what to do stands beside each above (runbook smoke)")
    click.echo(f"aelp2 {version('aelp2')}: all {len(found)} checks hold")
