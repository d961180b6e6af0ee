"""`aelp2 fit-uplift`: what treatment adds, for whom, and how sure that is."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse
    from tasks.measure.uplift_fit import Fit
    from tasks.measure.uplift_inputs import Experiment, Trial
    from tasks.measure.uplift_tables import Price, Stamp


def price_of(cost: float | None, target: float | None, currency: str | None) -> Price | None:
    """The price of a treatment, None if it is not given; JobError if it is given in part or is no price."""
    from tasks.core.errors import JobError
    from tasks.core.money import MICROS
    from tasks.measure.uplift_tables import Price

    if cost is None and target is None and currency is None:
        return None
    if cost is None or target is None or currency is None:
        raise JobError("--treatment-cost, --target-cac and --currency come together: give all three or none")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise JobError(f"--currency {currency!r}: write three capital letters (ISO 4217), for example EUR")
    micros = [round(amount * MICROS) if math.isfinite(amount) else 0 for amount in (cost, target)]
    if min(micros) < 1:
        raise JobError(f"--treatment-cost {cost} and --target-cac {target}: both are finite amounts above zero")
    return Price(micros[0], micros[1], currency)


def score_people(warehouse: Warehouse, stamp: Stamp, fit: Fit, active_days: int, seed: int) -> tuple[pl.DataFrame, str | None]:
    """Rows of ``models.segment_scores_daily`` for everybody seen lately, and why they are withheld, if they are."""
    import numpy as np

    from tasks.measure.uplift_drift import drift, drift_reason
    from tasks.measure.uplift_fit import fit_propensity
    from tasks.measure.uplift_inputs import LOOKBACK_DAYS, features_of, segments_of
    from tasks.measure.uplift_tables import score_rows

    people = warehouse.query_file(
        "models/uplift_people/query.sql", {"run_date": stamp.run_date, "lookback_days": LOOKBACK_DAYS, "active_days": active_days}
    )
    if people.is_empty():
        return score_rows(stamp, fit, people, np.array([]), np.array([]), np.array([]), None), None
    features = features_of(people)
    propensity_of = fit_propensity(fit.units, seed)
    propensity, uplift = propensity_of(features), fit.predict(features)
    trained = [fit.units.features, propensity_of(fit.units.features)[:, None], fit.predict(fit.units.features)[:, None]]
    now = [features, propensity[:, None], uplift[:, None]]
    names = (*fit.units.names, "propensity", "uplift")
    moved = drift_reason(drift(names, np.hstack(trained), np.hstack(now)))
    return score_rows(stamp, fit, people, segments_of(people), propensity, uplift, moved), moved


def write_lift(warehouse: Warehouse, stamp: Stamp, trial: Trial, experiment: Experiment, seed: int) -> str:
    """Publish the lift of a randomised experiment, or take an earlier one of it back; returns what was done."""
    from tasks.measure.uplift_lift import lift_of
    from tasks.measure.uplift_tables import lift_rows

    lift = lift_of(trial.units, trial.is_customer, experiment, seed) if experiment.is_randomised else None
    if lift is None:
        warehouse.delete("models.lift_tests", column="experiment_id", values=[experiment.experiment_id])
        why = "the cost of its arms is not known or it is too small" if experiment.is_randomised else "it was not randomised"
        return f"no lift test for the MMM: {why}"
    warehouse.merge("models.lift_tests", lift_rows(stamp, lift))
    said = f"{lift.delta_y:+,.1f} ± {lift.sigma:,.1f} new customers a week for {lift.delta_x:,.0f} {lift.currency_code}"
    return f"lift test of {lift.channel}: {said}" + (f"; not usable, {lift.problem}" if lift.problem else "")


@dataclass(frozen=True)
class Options:
    """What the caller said; the same for every experiment of a run."""

    outcome_days: int
    active_days: int
    price: Price | None
    replicates: int
    seed: int


def fit_one(warehouse: Warehouse, experiment_id: str, run_date: date, options: Options) -> dict[str, object]:
    """Fit and publish one experiment, tell of it, and return what the job hands on.

    Raises:
        NothingToDo: no outcome window is over. TooSmall: too few outcomes. GateStop: the arms do not fit the lot.
    """
    from tasks.core.clock import utc_now
    from tasks.measure import uplift_tables
    from tasks.measure.uplift_fit import fit_trial
    from tasks.measure.uplift_inputs import read_experiment, read_trial

    experiment = read_experiment(warehouse, experiment_id)
    trial = read_trial(warehouse, experiment, run_date, options.outcome_days)
    fit = fit_trial(trial.units, options.replicates, options.seed)
    stamp = uplift_tables.Stamp(run_date, experiment_id, f"{experiment_id}-{run_date}-{trial.fingerprint}", utc_now())
    scores, moved = score_people(warehouse, stamp, fit, options.active_days, options.seed)
    one, here = {"experiment_id": experiment_id}, [run_date]
    segments = uplift_tables.segment_rows(stamp, fit, options.outcome_days)
    learners = uplift_tables.learner_rows(stamp, fit, options.price)
    warehouse.replace_partitions("models.uplift_segment_daily", segments, partitions=here, where=one)
    warehouse.replace_partitions("models.uplift_learners_daily", learners, partitions=here, where=one)
    deciles, curves = uplift_tables.decile_rows(stamp, fit), uplift_tables.curve_rows(stamp, fit)
    warehouse.replace_partitions("models.uplift_deciles_daily", deciles, partitions=here, where=one)
    warehouse.replace_partitions("models.uplift_curves", curves, partitions=here, where=one)
    warehouse.replace_partitions("models.segment_scores_daily", scores, partitions=here, where=one)
    lifted = write_lift(warehouse, stamp, trial, experiment, options.seed)
    early = experiment.units - trial.units.size
    waiting = f" ({early:,} more are forgotten or not over yet)" if early else ""
    click.echo(f"{experiment_id}: {trial.units.size:,} units{waiting}; {uplift_tables.told(fit)}")
    click.echo(f"{scores.height:,} people scored" + (f", all withheld: {moved}" if moved else ""))
    click.echo(lifted)
    return {
        "experiment_id": experiment_id,
        "effect_kind": fit.units.kind,
        "people": scores.height,
        "is_drifted": moved is not None,
    }


def fit_all(warehouse: Warehouse, run_date: date, options: Options) -> list[dict[str, object]]:
    """Fit every imported experiment that has enough outcomes; what each one hands on.

    Raises:
        NothingToDo: there is none, or none is ready. GateStop: the arms of one do not fit its lot; the others are fitted.
    """
    from tasks.core.errors import GateStop, NothingToDo
    from tasks.measure.uplift_core import TooSmall

    known = warehouse.query("SELECT experiment_id FROM gaelp_users.experiments ORDER BY experiment_id")["experiment_id"]
    if known.is_empty():
        raise NothingToDo("no experiment was imported; bring one with import-assignments")
    fitted, waiting, refused = [], [], []
    for experiment_id in known:
        try:
            fitted.append(fit_one(warehouse, experiment_id, run_date, options))
        except (NothingToDo, TooSmall) as error:
            waiting.append(f"{experiment_id} waits: {error}")
        except GateStop as error:
            refused.append(f"{experiment_id}: {error}")
    if refused:
        raise GateStop(f"{len(refused)} of {len(known)} experiments cannot be fitted: {'; '.join(refused)}")
    if not fitted:
        raise NothingToDo("; ".join(waiting))
    for line in waiting:
        click.echo(line)
    return fitted


@click.command("fit-uplift")
@click.option("--experiment", "experiment_id", help="Experiment that import-assignments loaded. Default: all that are ready.")
@click.option(
    "--outcome-days", default=28, show_default=True, type=click.IntRange(1, 90), help="Days in which conversions count."
)
@click.option("--active-days", default=90, show_default=True, type=click.IntRange(1, 90), help="Score who was seen so lately.")
@click.option("--treatment-cost", type=float, help="Cost of treating one unit, for the value of a policy.")
@click.option("--target-cac", type=float, help="Highest cost a further conversion may have.")
@click.option("--currency", help="Currency of the two, for example EUR.")
@click.option("--replicates", default=200, show_default=True, type=click.IntRange(20, 2000), help="Bootstrap replicates.")
@click.option("--seed", default=20260101, show_default=True, type=click.IntRange(0), help="Seed of folds and bootstrap.")
@run_date_option
def command(
    *,
    experiment_id: str | None,
    outcome_days: int,
    active_days: int,
    treatment_cost: float | None,
    target_cac: float | None,
    currency: str | None,
    replicates: int,
    seed: int,
    run_date: date,
) -> None:
    """Estimate what treatment adds, by segment and by person.

    Where a lot decided, effects are causal; exposed against unexposed is adjusted for what is known of the people and labelled
    observational: it is shown and feeds neither the MMM nor bids nor audiences. Learners are judged out of fold by Qini, uplift
    at k and calibration, with intervals; people are scored unless they have drifted away from those of the experiment.

    \b
    aelp2 fit-uplift --run-date 2026-03-02
    aelp2 fit-uplift --run-date 2026-03-02 --experiment holdout
    aelp2 fit-uplift --run-date 2026-03-02 --experiment holdout --treatment-cost 0.4 --target-cac 60 --currency EUR

    Without --experiment every imported one is fitted whose outcomes suffice; the others wait.

    Exit code 3: the arms do not fit the lot, or the import broke off; with --experiment also: too few outcomes. 99: nothing was
    imported, or no outcome window is over yet.
    """
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push

    options = Options(outcome_days, active_days, price_of(treatment_cost, target_cac, currency), replicates, seed)
    warehouse = open_warehouse(load_settings())
    if experiment_id is None:
        push({"experiments": fit_all(warehouse, run_date, options)})
    else:
        push(fit_one(warehouse, experiment_id, run_date, options))
