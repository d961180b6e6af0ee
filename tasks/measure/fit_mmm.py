"""`aelp2 fit-mmm`: fit the marketing-mix model on weekly tables and publish its run, curves, draws and allocation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import click
import structlog

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.policy import Policy
    from tasks.core.warehouse import Warehouse
    from tasks.measure.mmm_config import MmmConfig
    from tasks.measure.mmm_data import MmmInput

PLATFORM_WEEKS = 208
_LOG = structlog.get_logger(source=__name__)


@click.command("fit-mmm")
@run_date_option
@click.option(
    "--source",
    default="platforms",
    show_default=True,
    help="Data to model: platforms, or the name of an import (`source` of its map).",
)
@click.option(
    "--target",
    type=click.Choice(["new_customers", "revenue"]),
    default="new_customers",
    show_default=True,
    help="Outcome to explain.",
)
@click.option(
    "--model",
    type=click.Choice(["pymc_mmm", "bootstrap_loglog"]),
    default=None,
    help="bootstrap_loglog is a low-trust fallback a person switches on; it never passes. [default: AELP2_MMM_MODEL]",
)
@click.option(
    "--window-weeks",
    type=click.IntRange(26, 520),
    help="Longest history to use, before the run date. [default: 208 for platforms, all of an import]",
)
@click.option(
    "--target-cost",
    type=click.FloatRange(min=0, min_open=True),
    help="Most to pay for one more unit of outcome, in currency units. "
    "[default: the policy's target CAC for platforms, else spend / outcome of the last 8 periods]",
)
@click.option("--drop-channel", multiple=True, help="Leave a channel out (repeatable), for example one that never varies.")
@click.option("--drop-control", multiple=True, help="Leave a control out (repeatable).")
@click.option(
    "--lift-tests/--no-lift-tests",
    default=True,
    show_default=True,
    help="Calibrate the curves by the experiments in models.lift_tests.",
)
@click.option("--draws", type=click.IntRange(100, 10_000), help="Posterior draws a chain. [default: 500]")
@click.option("--seed", type=click.IntRange(0), help="Seed of the sampler. [default: fixed]")
@click.option("--refit", is_flag=True, help="Fit again although this data and configuration was fitted before.")
def command(
    run_date: date,
    source: str,
    target: str,
    model: str | None,
    window_weeks: int | None,
    target_cost: float | None,
    drop_channel: tuple[str, ...],
    drop_control: tuple[str, ...],
    lift_tests: bool,
    draws: int | None,
    seed: int | None,
    refit: bool,
) -> None:
    """Fit the Bayesian marketing-mix model and publish response curves.

    Reads complete Monday weeks before the run date (an import with weekly rows keeps its own weeks). Spend of all platforms is
    converted to the currency of the outcome; a channel of theirs enters once its data suffice (the rule enough_data: spend in 26
    weeks, some variation, 1 % of all spend), else it is left out and models.mmm_runs says why. The same data and
    configuration fitted before is reused. Causal lift tests (models.lift_tests) of the model's channels and days calibrate the
    curves; the others are named in a warning. Campaigns that the policy lists as remarketing_campaign_ids become channels of
    their own (NAME_REMARKETING beside NAME_PROSPECTING). Nothing becomes live here: review-mmm judges the run first.

    \b
    Example: aelp2 fit-mmm --run-date 2026-03-02
             aelp2 fit-mmm --run-date 2026-03-02 --source small_business --target revenue
    """
    from tasks.core.policy import load_policy
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push
    from tasks.measure.mmm_config import MmmConfig, run_id

    settings = load_settings()
    warehouse = open_warehouse(settings)
    config = MmmConfig(model=model or settings.mmm_model)
    config = replace(config, draws=draws or config.draws, seed=config.seed if seed is None else seed)
    policy = load_policy(settings)
    listed = policy.remarketing_campaign_ids if source == "platforms" else ()
    data = _load(warehouse, source, target, run_date, window_weeks, drop_channel, drop_control, listed)
    if lift_tests:
        data = _calibrated(warehouse, data, config, run_date)
    target_cost = target_cost or _policy_target(policy, source, target)
    run = run_id(source, target, data.sha256, config.sha256, target_cost)
    push({"run_id": run})
    if not refit and _fitted_before(warehouse, run):
        click.echo(f"mmm run {run}: same data and configuration were fitted before; reused (--refit fits again)")
        return
    if config.model != "pymc_mmm":
        _LOG.warning(
            "low-trust fallback model in use", model=config.model, switched_on_by="--model" if model else "AELP2_MMM_MODEL"
        )
    _LOG.info(
        "fitting",
        run_id=run,
        model=config.model,
        periods=len(data.periods),
        first=str(data.periods[0]),
        last=str(data.window_end),
        channels=len(data.channels),
        geos=len(data.geos),
        controls=len(data.control_names),
        lift_tests=[test.experiment_id for test in data.lift_tests],
    )
    _publish(warehouse, data, config, run, run_date, target_cost)


def _policy_target(policy: Policy, source: str, target: str) -> float | None:
    """What the policy lets one more customer cost, in currency units: the model's page and the plan name one target."""
    from tasks.core.money import MICROS

    micros = policy.target_cac_micros
    return micros / MICROS if micros is not None and source == "platforms" and target == "new_customers" else None


def _load(
    warehouse: Warehouse,
    source: str,
    target: str,
    run_date: date,
    weeks: int | None,
    drop_channels: tuple[str, ...],
    drop_controls: tuple[str, ...],
    remarketing: tuple[str, ...],
) -> MmmInput:
    """The model's input; channels in which campaigns of ``remarketing`` spend are split if both parts can be told apart."""
    from tasks.measure.mmm_data import assemble, not_enough, with_unmodelled
    from tasks.measure.mmm_segments import split_media

    # An import is a closed table that may be years old; of the platforms, old markets shall not shape the curves.
    weeks = weeks or (PLATFORM_WEEKS if source == "platforms" else None)
    start = run_date - timedelta(weeks=weeks) if weeks else date(1970, 1, 1)
    params = {"source": source, "start_date": start, "run_date": run_date}
    for table in ("ads.ads_campaign_performance", "ads.imported_media", "ads.business_outcomes", "ads.business_controls"):
        warehouse.create(table)
    media = warehouse.query_file("models/mmm_media_weekly/query.sql", params | {"remarketing_campaign_ids": list(remarketing)})
    outcome, controls = (warehouse.query_file(f"models/mmm_{name}_weekly/query.sql", params) for name in ("outcome", "controls"))
    left_out: dict[str, str] = {}
    every = media
    if source == "platforms":
        _check_rates(warehouse, outcome, start, run_date)
        left_out = not_enough(source, media, outcome, drop_channels)
        for channel, why in left_out.items():
            _LOG.warning("channel left out: not enough data", channel=channel, why=why, rule="enough_data")
        media = _without(media, left_out)
    media, split, whole = split_media(media, remarketing)
    for why in whole:
        _LOG.warning("channel stays whole", why=why)
    if unknown := _unknown(warehouse, remarketing, start, run_date):
        _LOG.warning("campaigns of remarketing_campaign_ids have no spend in the window", campaign_ids=unknown)
    constant = sorted(set(_constant(controls)) - set(drop_controls))
    if constant:
        _LOG.warning("controls that never change in the window are left out", controls=constant, source_of_data=source)
    data = assemble(
        source, target, media, outcome, controls, drop_channels=drop_channels, drop_controls=(*drop_controls, *constant)
    )
    data = with_unmodelled(data, every)
    return replace(data, split=split, left_out=tuple(f"{channel} {why}" for channel, why in left_out.items()))


def _without(media: pl.DataFrame, left_out: Mapping[str, str]) -> pl.DataFrame:
    """``media`` without the channels ``left_out``; JobError if that leaves none."""
    from tasks.core.errors import JobError

    kept = media.filter(~media["channel"].is_in(list(left_out)))
    if kept.is_empty() and left_out:
        reasons = "; ".join(f"{channel} {why}" for channel, why in left_out.items())
        raise JobError(f"no channel of the platforms has enough data for a model: {reasons}; load a longer history")
    return kept


def _check_rates(warehouse: Warehouse, outcome: pl.DataFrame, start: date, run_date: date) -> None:
    """JobError naming day and currency if spend cannot be told in the outcome's currency; several of those are refused later."""
    from tasks.core.currencies import missing_rate
    from tasks.core.errors import JobError

    if outcome["currency_code"].n_unique() == 1:
        why = missing_rate(warehouse, outcome["currency_code"][0], start, run_date - timedelta(days=run_date.weekday()))
        if why is not None:
            raise JobError(why)


def _unknown(warehouse: Warehouse, campaign_ids: tuple[str, ...], start: date, run_date: date) -> list[str]:
    """Those of ``campaign_ids`` that spent nothing in the window: old ones, or misspelt."""
    spent = warehouse.query(
        "SELECT DISTINCT campaign_id FROM ads.ads_campaign_performance WHERE campaign_id IN UNNEST(@remarketing_campaign_ids) "
        "AND date >= @start_date AND date < @run_date AND cost_micros > 0",
        {"remarketing_campaign_ids": list(campaign_ids), "start_date": start, "run_date": run_date},
    )
    return sorted(set(campaign_ids) - set(spent["campaign_id"]))


def _calibrated(warehouse: Warehouse, data: MmmInput, config: MmmConfig, run_date: date) -> MmmInput:
    """``data`` with the lift tests that fit its model; the others are named in a warning each."""
    from tasks.measure.mmm_lift import choose

    known = {"source": data.source, "target": data.target, "run_date": run_date}
    chosen, left_out = choose(warehouse.query_file("models/mmm_lift_inputs/query.sql", known), data)
    for why in left_out:
        _LOG.warning("lift test left out", why=why)
    if chosen.lift_tests and config.model != "pymc_mmm":
        names = [test.experiment_id for test in chosen.lift_tests]
        _LOG.warning("the fallback model cannot be calibrated; lift tests left out", model=config.model, lift_tests=names)
        return data
    return chosen


def _constant(controls: pl.DataFrame) -> list[str]:
    """Controls with one value in the whole window: beside the intercept they say nothing, and no weekly run can ask a person."""
    import polars as pl

    counted = controls.group_by("control").agg(pl.col("value").n_unique().alias("values"))
    return counted.filter(pl.col("values") == 1)["control"].to_list()


def _fitted_before(warehouse: Warehouse, run: str) -> bool:
    warehouse.create("models.mmm_runs")
    found = warehouse.query("SELECT run_id FROM models.mmm_runs WHERE run_id = @run_id", {"run_id": run})
    return not found.is_empty()


def _publish(
    warehouse: Warehouse, data: MmmInput, config: MmmConfig, run: str, run_date: date, target_cost: float | None
) -> None:
    """Fit, then write the detail tables first and the run's own row last: a run that is listed is complete."""
    from tasks.core.clock import utc_now
    from tasks.measure import mmm_tables
    from tasks.measure.mmm_fit import fit

    fitted = fit(data, config, _progress())
    cost = target_cost or mmm_tables.blended_cost(fitted)
    allocations = mmm_tables.allocation_rows(fitted, run, cost)
    warehouse.merge("models.mmm_curves", mmm_tables.curve_rows(fitted, run))
    warehouse.merge("models.mmm_allocations", allocations)
    warehouse.merge("models.mmm_draws", mmm_tables.draw_rows(fitted, run))
    warehouse.merge("models.mmm_fit_weekly", mmm_tables.period_rows(fitted, run))
    lifts = mmm_tables.lift_rows(fitted, run)
    warehouse.merge("models.mmm_lift_tests", lifts)
    warehouse.merge("models.mmm_runs", mmm_tables.run_row(fitted, run_id=run, run_date=run_date, fitted_at=utc_now()))
    if fitted.r_hat_max is not None and fitted.ess_min is not None:
        click.echo(
            f"sampling: R-hat {fitted.r_hat_max:.3f}, ESS {fitted.ess_min:.0f}, "
            f"divergences {fitted.divergences}, {fitted.seconds:.0f} s"
        )
    click.echo(
        f"fit: R2 {fitted.r2:.2f}, holdout of {fitted.holdout.periods} periods: MAPE {fitted.holdout.mape:.1%}, "
        f"coverage {fitted.holdout.coverage:.0%}"
    )
    for row in lifts.iter_rows(named=True):
        click.echo(
            f"calibrated by {row['experiment_id']} ({row['channel']}): measured {row['delta_y']:,.4g} ± {row['sigma']:,.4g} for "
            f"{row['delta_x']:,.2f} {data.currency_code} a period, the curve says {row['model_mean']:,.4g} "
            f"[{row['model_p05']:,.4g}, {row['model_p95']:,.4g}]"
        )
    for row in allocations.iter_rows(named=True):
        click.echo(
            f"{row['channel']}: now {row['current_spend_micros'] / 1e6:,.2f}, optimum {row['optimal_spend_micros'] / 1e6:,.2f} "
            f"{data.currency_code} a period, return {row['roas_mean']:.4g} [{row['roas_p03']:.4g}, {row['roas_p97']:.4g}]"
        )
    click.echo(
        f"mmm run {run}: fitted {config.model} on {len(data.periods)} periods of {data.source} to {data.window_end}; "
        "review-mmm decides if it goes live"
    )


def _progress() -> Callable[[str, float | None, int], None]:
    """Log what a fit is doing: each new part at once, then every three seconds."""
    began = time.monotonic()
    last: dict[str, str | float] = {"label": "", "at": 0.0}

    def report(label: str, share: float | None, divergences: int) -> None:
        now = time.monotonic()
        if label == last["label"] and now - float(last["at"]) < 2.9:
            return
        last.update(label=label, at=now)
        if share is None:
            _LOG.info(label, seconds=round(now - began))
        else:
            _LOG.info("sampling", part=label, done=f"{share:.0%}", divergences=divergences)

    return report
