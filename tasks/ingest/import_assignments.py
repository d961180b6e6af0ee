"""`aelp2 import-assignments`: who was put into which arm of an experiment."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.settings import Settings
    from tasks.core.warehouse import Warehouse

ASSIGNMENTS = "gaelp_users.experiment_assignments"


@dataclass(frozen=True)
class Cost:
    """What the arms cost: amounts in units of the currency, the days they were spent over, the audience share covered."""

    channel: str
    treatment: float
    control: float
    currency: str
    days: int
    coverage: float


def cost_of(
    channel: str | None,
    treatment: float | None,
    control: float | None,
    currency: str | None,
    days: int | None,
    coverage: float | None,
) -> Cost | None:
    """The cost of the arms, None if no option of it is given; JobError names the options that are missing or wrong."""
    from tasks.core.errors import JobError

    options = {
        "--channel": channel,
        "--treatment-spend": treatment,
        "--control-spend": control,
        "--currency": currency,
        "--spend-days": days,
        "--coverage": coverage,
    }
    missing = [name for name, value in options.items() if value is None]
    if len(missing) == len(options):
        return None
    if channel is None or treatment is None or control is None or currency is None or days is None or coverage is None:
        raise JobError(f"the cost of the arms is said in part: {', '.join(missing)} missing; give all six options or none")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise JobError(f"--currency {currency!r}: write three capital letters (ISO 4217), for example EUR")
    if not all(math.isfinite(value) for value in (treatment, control, coverage)) or not 0 < coverage <= 1:
        raise JobError("--treatment-spend and --control-spend are finite amounts, --coverage lies above 0 and at most at 1")
    return Cost(channel, treatment, control, currency, days, coverage)


def read_assignments(path: Path, run_date: date, *, is_growing: bool = False) -> pl.DataFrame:
    """Typed, checked rows of the file at ``path``; JobError lists everything wrong with it.

    Of a file that ``is_growing`` the rows before ``run_date`` are taken.
    """
    from tasks.core.errors import JobError
    from tasks.ingest.assignments_read import parse, read_texts
    from tasks.ingest.csv_problems import Problems

    if not path.is_file():
        raise JobError(f"no file {path.name!r} at that path; give the path of the CSV to import")
    problems = Problems(path.name)
    texts = read_texts(path, problems)
    frame = parse(texts, run_date, problems, is_growing=is_growing)
    problems.stop_if_any()
    return frame


def without_forgotten_units(warehouse: Warehouse, frame: pl.DataFrame, salt: bytes) -> pl.DataFrame:
    """``frame``, whose units are of one kind, without those of people who asked to be forgotten."""
    from tasks.core.forgotten import read_forgotten, without_forgotten

    kind = str(frame["unit_id_kind"][0])
    return without_forgotten(frame.rename({"unit_id": kind}), read_forgotten(warehouse), salt).rename({kind: "unit_id"})


def replace_experiment(warehouse: Warehouse, frame: pl.DataFrame, source: str, cost: Cost | None) -> None:
    """Replace all that is held of the file's experiment: its assignments in one transaction, then its row of experiments.

    A crash between the two leaves an experiment written at another time than its assignments, which fit-uplift refuses.
    """
    import polars as pl

    from tasks.core.clock import utc_now
    from tasks.core.contracts import load_contract
    from tasks.core.money import MICROS

    experiment_id, now = str(frame["experiment_id"][0]), utc_now()
    stamp = pl.lit(now).cast(pl.Datetime("us", "UTC")).alias("loaded_at")
    rows = frame.with_columns(pl.lit(source).alias("source"), stamp).select(load_contract(ASSIGNMENTS).columns)
    experiment = {
        "experiment_id": experiment_id,
        "is_randomised": bool(frame["is_randomised"][0]),
        "units": frame.height,
        "channel": cost.channel if cost else None,
        "treatment_spend_micros": round(cost.treatment * MICROS) if cost else None,
        "control_spend_micros": round(cost.control * MICROS) if cost else None,
        "currency_code": cost.currency if cost else None,
        "spend_days": cost.days if cost else None,
        "coverage_ratio": cost.coverage if cost else None,
        "source": source,
        "loaded_at": now,
    }
    with warehouse.exclusive(f"import-assignments-{experiment_id}"):
        held = warehouse.query(
            "SELECT DISTINCT assigned_date FROM gaelp_users.experiment_assignments WHERE experiment_id = @experiment_id",
            {"experiment_id": experiment_id},
        )
        days = sorted({*held["assigned_date"], *rows["assigned_date"]})
        warehouse.replace_partitions(
            "gaelp_users.experiment_assignments", rows, partitions=days, where={"experiment_id": experiment_id}
        )
        schema = load_contract("gaelp_users.experiments").polars_schema()
        warehouse.merge("gaelp_users.experiments", pl.DataFrame([experiment], schema=schema))


def summary(frame: pl.DataFrame, cost: Cost | None) -> str:
    """What was read, in one line."""
    arms = frame["arm"].value_counts()
    counts = {arm: int(n) for arm, n in arms.iter_rows()}
    way = "by lot" if frame["is_randomised"][0] else "NOT by lot: effects will be labelled observational"
    first, last = frame["assigned_date"].min(), frame["assigned_date"].max()
    spent = f"; {cost.channel}: {cost.treatment:,.2f} against {cost.control:,.2f} {cost.currency}" if cost else "; spend unknown"
    return (
        f"{frame.height:,} units ({frame['unit_id_kind'][0]}), {counts.get('treatment', 0):,} treatment and "
        f"{counts.get('control', 0):,} control, {first!s} to {last!s}, assigned {way}{spent}"
    )


@click.command("import-assignments")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--source", help="Where the assignments come from; the file's name if not given.")
@click.option("--channel", help="Media channel of the MMM whose ads the treatment arm could see.")
@click.option("--treatment-spend", type=click.FloatRange(0), help="The channel's spend on the treatment arm.")
@click.option("--control-spend", type=click.FloatRange(0), help="The channel's spend on the control arm (0 for a holdout).")
@click.option("--currency", help="Currency of the spend, for example EUR.")
@click.option("--spend-days", type=click.IntRange(1), help="Days over which the spend was spent.")
@click.option("--coverage", type=float, help="Share of the channel's audience in the experiment, above 0, at most 1.")
@click.option("--check-only", is_flag=True, help="Read and check the file, write nothing.")
@run_date_option
def command(
    *,
    file: Path | None,
    source: str | None,
    channel: str | None,
    treatment_spend: float | None,
    control_spend: float | None,
    currency: str | None,
    spend_days: int | None,
    coverage: float | None,
    check_only: bool,
    run_date: date,
) -> None:
    """Load who was put into which arm of one experiment.

    Without FILE all experiments are loaded that AELP2_EXPERIMENTS names: a folder of CSV files, one such file, or an http(s)
    address. What the arms cost then stands in NAME.yaml beside NAME.csv, under the names of the options (treatment_spend: 12000).
    Such a file may grow: rows of the run date and later are left out. One that has not changed is not read again.

    A file is a CSV (also .csv.gz) with experiment_id, unit_id_kind (person_id or user_pseudo_id), unit_id, arm (treatment or
    control), is_randomised (true or false), and assigned_at (ISO 8601 with offset) or assigned_date; propensity (probability of
    treatment, needed if randomised) and segment where there are some.

    \b
    aelp2 import-assignments --run-date 2026-03-02
    aelp2 import-assignments holdout.csv --run-date 2026-03-02 --check-only
    aelp2 import-assignments holdout.csv --run-date 2026-03-02 --channel YOUTUBE --treatment-spend 12000
      --control-spend 0 --currency EUR --spend-days 28 --coverage 1

    The whole file is checked before anything is written: an error names row, column and remedy, and the tables stay as they
    were. Importing again replaces the experiment. With the spend of the arms a randomised lift can calibrate the MMM
    (models.lift_tests). Exit code 99: neither FILE nor setting.
    """
    from tasks.core.errors import NothingToDo
    from tasks.core.redaction import load_salt
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push

    cost, settings = cost_of(channel, treatment_spend, control_spend, currency, spend_days, coverage), load_settings()
    if file is None and settings.experiments is None:
        raise NothingToDo("AELP2_EXPERIMENTS is not set and no file is given: this advertiser has no experiments")
    if file is None:
        if cost or source or check_only:
            raise click.UsageError(
                "the options go with a FILE; for the setting's files write the cost into a .yaml beside the .csv"
            )
        _import_all(settings, run_date)
        return
    frame = read_assignments(file, run_date)
    if check_only:
        click.echo(f"{file.name}: {summary(frame, cost)}; nothing was written (--check-only)")
        return
    warehouse = open_warehouse(settings)
    salt = load_salt(settings.name_salt_file, may_create=settings.backend == "duckdb")
    kept = without_forgotten_units(warehouse, frame, salt)
    replace_experiment(warehouse, kept, source or file.name, cost)
    push({"experiment_id": str(frame["experiment_id"][0]), "rows": kept.height, "forgotten": frame.height - kept.height})
    click.echo(told(file.name, frame, kept, cost))


def told(name: str, frame: pl.DataFrame, kept: pl.DataFrame, cost: Cost | None) -> str:
    """What was imported, in one line."""
    left = f"; {frame.height - kept.height:,} of forgotten people left out" if kept.height < frame.height else ""
    return f"imported {name} as {frame['experiment_id'][0]}: {summary(kept, cost)}{left}"


def _import_all(settings: Settings, run_date: date) -> None:
    from tasks.core.redaction import load_salt
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push
    from tasks.ingest.assignments_source import import_source
    from tasks.ingest.deliveries import raise_errors

    salt = load_salt(settings.name_salt_file, may_create=settings.backend == "duckdb")
    outcome = import_source(open_warehouse(settings), settings.experiments or "", salt, run_date)
    push({"imported": sorted(outcome.imported), "unchanged": outcome.unchanged, "waiting": outcome.waiting})
    for line in outcome.imported.values():
        click.echo(line)
    click.echo(
        f"{len(outcome.imported):,} imported, {outcome.unchanged:,} unchanged, {outcome.waiting:,} not begun by {run_date}"
    )
    raise_errors(outcome.errors, len(outcome.imported) + len(outcome.errors), "experiments")
