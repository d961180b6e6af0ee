"""`aelp2 evaluate-fidelity`: did what was predicted come true?"""

from __future__ import annotations

from datetime import date

import click

from tasks.core.cli_options import run_date_option


@click.command("evaluate-fidelity")
@run_date_option
def command(run_date: date) -> None:
    """Hold predictions of the model and of applied change sets against what came, and say whether they may be trusted.

    Weeks count that a live run had not seen, change sets once a week has passed since; outcomes when they are due. Verdicts go to
    control.fidelity_evaluations, the pairs behind them to control.fidelity_periods. Missing data blocks. The job ends well
    whatever it finds.

    \b
    Example: aelp2 evaluate-fidelity --run-date 2026-03-01
    """
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push
    from tasks.quality.fidelity_config import load_config
    from tasks.quality.fidelity_job import FidelityJob

    evaluations = FidelityJob(open_warehouse(load_settings()), run_date, load_config()).run()
    for one in evaluations:
        click.echo(f"fidelity of {one.basis} {one.target}, {one.platform}:{one.account_id}: {one.verdict.result}")
        for metric in one.metrics:
            click.echo(f"  {metric.result:8} {metric.detail}")
    push({"verdicts": [one.verdict.result for one in evaluations]})
