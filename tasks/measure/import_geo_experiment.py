"""`aelp2 import-geo-experiment`: measure what a change of spend in some regions brought, as a lift test of the MMM."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    import polars as pl

    from tasks.measure.geo_effect import GeoLift
    from tasks.measure.geo_panel import GeoPanel

SEED = 20260101
PERIOD_DAYS = 7
TREND_LEVEL = 0.05


@click.command("import-geo-experiment")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--experiment", "experiment_id", required=True, help="Name of the experiment; again, it replaces its lift test.")
@click.option("--channel", required=True, help="Media channel of the MMM whose spend was changed.")
@click.option("--currency", required=True, help="Currency of the spend, for example EUR.")
@click.option(
    "--assigned-by",
    type=click.Choice(["lot", "choice"]),
    required=True,
    help="How the treated geos were picked. Only a lot calibrates the MMM; geos of choice are labelled observational.",
)
@click.option("--outcome-column", default="outcome", show_default=True, help="Column of the outcome, in units of --target.")
@click.option("--spend-column", default="spend", show_default=True, help="Column of the channel's spend, in currency units.")
@click.option("--coverage", default=1.0, show_default=True, type=float, help="Share of the whole market's outcome in the file.")
@click.option("--source", default="platforms", show_default=True, help="Data of the MMM to calibrate: platforms or an import.")
@click.option(
    "--target", default="new_customers", show_default=True, type=click.Choice(["new_customers", "revenue"]), help="Its outcome."
)
@click.option("--check-only", is_flag=True, help="Read, check and measure; write nothing.")
@run_date_option
def command(
    *,
    file: Path,
    experiment_id: str,
    channel: str,
    currency: str,
    assigned_by: str,
    outcome_column: str,
    spend_column: str,
    coverage: float,
    source: str,
    target: str,
    check_only: bool,
    run_date: date,
) -> None:
    """Measure a geo experiment and publish it as a lift test of the MMM.

    FILE is a CSV with a row a geo and day (or week): geo, date, group (treatment or control), period (pre, test, or cooldown for
    days after the test on which its spend is still at work), the outcome and the channel's spend. The treated geos may spend
    more than before or less. Lift: difference in differences of ratios; interval: permutation of the geos.

    \b
    Example: aelp2 import-geo-experiment holdout.csv --run-date 2026-03-02 --experiment youtube_dark
               --channel YOUTUBE --currency EUR --assigned-by lot

    fit-mmm takes the test in from its next run on, if its days lie within the model's.
    """
    from tasks.core.clock import utc_now
    from tasks.core.errors import JobError
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push
    from tasks.measure.geo_effect import measure
    from tasks.measure.geo_panel import read_panel

    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", experiment_id):
        raise JobError(f"--experiment {experiment_id!r}: write a-z, 0-9, _ and -, at most 64")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise JobError(f"--currency {currency!r}: write three capital letters (ISO 4217), for example EUR")
    if not 0 < coverage <= 1:
        raise JobError(f"--coverage {coverage}: write a share above 0 and at most 1")
    panel = read_panel(file, outcome_column, spend_column, run_date)
    lift = measure(panel, coverage, SEED)
    click.echo(told(experiment_id, panel, lift, target))
    if lift.trend_p is not None and lift.trend_p < TREND_LEVEL:
        click.echo(
            f"warning: before the test the groups already moved apart (p = {lift.trend_p:.3f}); look for what else differs",
            err=True,
        )
    if not (panel.period == 2).any():
        click.echo("note: no cool-down; what spend of the test brings later is not counted, so the lift is rather too small")
    said = f"{lift.delta_y:+,.1f} ± {lift.sigma:,.1f} {target} a week for {lift.delta_x:,.0f} {currency} above {lift.x:,.0f}"
    why = lift.problem or ("the geos were picked by choice: observational" if assigned_by == "choice" else None)
    outcome = f"lift test of {channel}: {said}" + (f"; it does not calibrate the MMM, {why}" if why else "")
    if check_only:
        click.echo(f"{outcome}; nothing was written (--check-only)")
        return
    row: dict[str, object] = {
        "experiment_id": experiment_id,
        "target": target,
        "source": source,
        "channel": channel,
        "effect_kind": "causal" if assigned_by == "lot" else "observational",
        "currency_code": currency,
        "run_date": run_date,
        "loaded_at": utc_now(),
    }
    warehouse = open_warehouse(load_settings())
    warehouse.merge("models.lift_tests", lift_row(row, panel, lift))
    push({"experiment_id": experiment_id, "effect_kind": row["effect_kind"], "delta_y": lift.delta_y, "sigma": lift.sigma})
    click.echo(outcome)


def lift_row(named: dict[str, object], panel: GeoPanel, lift: GeoLift) -> pl.DataFrame:
    """The row of ``models.lift_tests``."""
    import polars as pl

    from tasks.core.contracts import load_contract

    measured = {
        "design": "geo_experiment",
        "x": lift.x,
        "delta_x": lift.delta_x,
        "delta_y": lift.delta_y,
        "sigma": lift.sigma,
        "period_days": PERIOD_DAYS,
        "test_start_date": panel.start,
        "test_end_date": panel.end,
        "is_usable": lift.problem is None,
        "withheld_reason": lift.problem,
    }
    return pl.DataFrame([named | measured], schema=load_contract("models.lift_tests").polars_schema())


def told(experiment_id: str, panel: GeoPanel, lift: GeoLift, target: str) -> str:
    """What was measured on the treated geos, in one line."""
    effect, treated = lift.effect, int(panel.treated.sum())
    return (
        f"{experiment_id}: {treated} treated and {len(panel.geos) - treated} control geos, test {panel.start} to {panel.end}; "
        f"{target} {effect.lift:+.2%} ({effect.low:+.2%} to {effect.high:+.2%}, p = {effect.p_value:.3f})"
    )
