"""Importing every experiment that the setting AELP2_EXPERIMENTS delivers, with what its arms cost in a YAML file beside it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from tasks.core.errors import JobError
from tasks.ingest.deliveries import Delivery, Run, Taken, find, remember, unchanged
from tasks.ingest.import_assignments import Cost, cost_of, read_assignments, replace_experiment, told, without_forgotten_units

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse

log = structlog.get_logger(source=__name__)
VARIABLE = "AELP2_EXPERIMENTS"
_COST = {"channel": str, "treatment_spend": float, "control_spend": float, "currency": str, "spend_days": int, "coverage": float}


@dataclass
class Outcome:
    """What one run did: a line for each imported file, files left alone, files without a row yet, errors by file."""

    imported: dict[str, str] = field(default_factory=dict)
    unchanged: int = 0
    waiting: int = 0
    errors: dict[str, JobError] = field(default_factory=dict)


def cost_beside(file: Path) -> Cost | None:
    """The cost of the arms in ``NAME.yaml`` beside ``NAME.csv``, None if there is no such file; JobError if it is wrong."""
    import yaml

    name = file.name.lower().removesuffix(".gz").removesuffix(".csv")
    path = file.with_name(f"{file.name[: len(name)]}.yaml")
    if not path.is_file():
        return None
    try:
        given: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise JobError(f"{path.name} is not YAML: {error}") from error
    if not isinstance(given, dict) or set(given) - set(_COST):
        raise JobError(f"{path.name}: give {', '.join(_COST)} and nothing else")
    kinds = {key: (int, float) if kind is float else kind for key, kind in _COST.items()}
    wrong = [key for key, value in given.items() if isinstance(value, bool) or not isinstance(value, kinds[key])]
    wrong += [key for key in ("treatment_spend", "control_spend", "spend_days") if key not in wrong and given.get(key, 1) < 0]
    if wrong:
        raise JobError(f"{path.name}: {', '.join(wrong)}: amounts and days are numbers of 0 and more, channel and currency texts")
    return cost_of(*(given.get(key) for key in _COST))  # in the order of the options


def _read(delivery: Delivery, run_date: date) -> tuple[pl.DataFrame, Cost | None]:
    if delivery.content is None:
        path = Path(delivery.address)
        return read_assignments(path, run_date, is_growing=True), cost_beside(path)
    with tempfile.TemporaryDirectory(prefix="aelp2-") as folder:  # ids of cookies only; gone with the job
        path = Path(folder) / delivery.name
        path.write_bytes(delivery.content)
        return read_assignments(path, run_date, is_growing=True), None


def import_source(warehouse: Warehouse, place: str, salt: bytes, run_date: date) -> Outcome:
    """Import every experiment at ``place`` that is new or has changed; a JobError of one is kept and stops no other."""
    outcome = Outcome()
    known = unchanged(warehouse, "experiments")
    owners: dict[str, str] = {}
    for delivery in find(place, VARIABLE, (".csv",), run_date):
        run = Run("experiments", delivery.name, "csv")
        try:
            frame, cost = _read(delivery, run_date)
            if frame.is_empty():
                outcome.waiting += 1
                continue
            _refuse_twice(owners, str(frame["experiment_id"][0]), delivery.name)
            digest = delivery.digest(f"{cost}, {frame.height} rows")
            if known(delivery.name, digest):
                outcome.unchanged += 1
                continue
            kept = without_forgotten_units(warehouse, frame, salt)
            replace_experiment(warehouse, kept, delivery.name, cost)
        except JobError as error:
            outcome.errors[delivery.name] = error
            log.error("experiment failed", file=delivery.name, error=str(error))
            run.record(warehouse, run_date, str(error))
            continue
        run.read, run.written, run.forgotten = frame.height, kept.height, frame.height - kept.height
        run.span(*frame.select(first=frame["assigned_date"].min(), last=frame["assigned_date"].max()).row(0))
        run.record(warehouse, run_date, None)
        remember(warehouse, "experiments", [Taken(delivery.name, digest, kept.height)], run_date)
        outcome.imported[delivery.name] = told(delivery.name, frame, kept, cost)
    return outcome


def _refuse_twice(owners: dict[str, str], experiment_id: str, name: str) -> None:
    if experiment_id in owners:
        raise JobError(
            f"{name} holds the experiment {experiment_id}, which {owners[experiment_id]} holds too; each import would replace "
            "the other: keep one file an experiment"
        )
    owners[experiment_id] = name
