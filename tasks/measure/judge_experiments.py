"""`aelp2 judge-experiments`: is the split sound, and may the experiment be called yet?"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse
    from tasks.measure.ab_verdict import Judged

TABLE = "models.ab_experiments"


def experiment_rows(
    experiment_id: str, arms: pl.DataFrame, outcome_days: int, run_date: date
) -> tuple[Judged, list[dict[str, Any]]]:
    """The verdict of one experiment and a row for each variation, also for one that nobody is in."""
    from tasks.core.clock import utc_now
    from tasks.measure.ab_verdict import Variation, judge

    found = {row["variation"]: row for row in arms.iter_rows(named=True)}
    treated = float(arms["propensity"][0])  # the probability of treatment, the same for all units of a lot
    share = {"treatment": treated, "control": 1 - treated}
    empty = {"exposures": 0, "converted": 0}
    counts = {name: found.get(name, empty) for name in share}
    of = {name: Variation(one["exposures"], one["converted"], share[name]) for name, one in counts.items()}
    judged = judge(of["treatment"], of["control"])
    shared = {
        "run_date": run_date,
        "experiment_id": experiment_id,
        "srm_p_value": judged.srm_p_value,
        "is_srm": judged.is_srm,
        "lift": judged.lift,
        "lift_low": judged.low,
        "lift_high": judged.high,
        "verdict": judged.verdict,
        "outcome_days": outcome_days,
        "first_date": arms["first_date"].min(),
        "last_date": arms["last_date"].max(),
        "loaded_at": utc_now(),
    }
    rows = [
        shared
        | {
            "variation": name,
            "exposures": one.exposures,
            "converted": one.converted,
            "expected_share": one.share,
            "conversion_rate": one.converted / one.exposures if one.exposures else None,
        }
        for name, one in of.items()
    ]
    return judged, rows


def judge_all(warehouse: Warehouse, run_date: date, outcome_days: int) -> dict[str, Judged]:
    """Judge every randomised experiment and write its rows of the day; NothingToDo if no unit's days are over."""
    import polars as pl

    from tasks.core.contracts import load_contract
    from tasks.core.errors import NothingToDo

    exposures = warehouse.query_file("models/ab_exposures/query.sql", {"run_date": run_date, "outcome_days": outcome_days})
    if exposures.is_empty():
        raise NothingToDo(f"no unit of a randomised experiment had its {outcome_days} days by {run_date}; see import-assignments")
    verdicts, rows = {}, []
    for (name,), arms in exposures.group_by("experiment_id", maintain_order=True):
        verdicts[str(name)], more = experiment_rows(str(name), arms, outcome_days, run_date)
        rows += more
    frame = pl.DataFrame(rows, schema=load_contract(TABLE).polars_schema())
    warehouse.replace_partitions("models.ab_experiments", frame, partitions=[run_date])
    return verdicts


@click.command("judge-experiments")
@click.option(
    "--outcome-days", default=28, show_default=True, type=click.IntRange(1, 90), help="Days in which a unit may convert."
)
@run_date_option
def command(outcome_days: int, run_date: date) -> None:
    """Count exposures of every randomised experiment, check its split, and give a verdict that may be read on any day.

    \b
    aelp2 judge-experiments --run-date 2026-03-02

    The split is checked by chi-square; the verdict rests on a confidence sequence, so looking daily does not make it err more.
    Exit code 99: there is no randomised experiment whose units had their days.
    """
    from tasks.core import xcom
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse

    verdicts = judge_all(open_warehouse(load_settings()), run_date, outcome_days)
    for name, judged in verdicts.items():
        lift = f"lift {judged.lift:+.4f} ({judged.low:+.4f} to {judged.high:+.4f})"
        click.echo(f"{name}: {judged.verdict}; {lift}, P of the split {judged.srm_p_value:.3g}")
    xcom.push({name: judged.verdict for name, judged in verdicts.items()})
