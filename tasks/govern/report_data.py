"""What the report shows, read from tables only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.ledger import Ledger, Row
from tasks.core.switches import Switch, read_switches

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse

_DAILY_WINDOW_DAYS = 91
_HEALTH_WINDOW_DAYS = 7
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Model:
    """The live MMM run and what was published with it, or the newest run while none has passed a review.

    ``newest_run_id`` differs from the run's own id where a newer fit failed its review and the older one stays live.
    """

    run: Record
    is_live: bool
    newest_run_id: str
    reviews: pl.DataFrame
    curves: pl.DataFrame
    allocations: pl.DataFrame
    fit: pl.DataFrame


@dataclass(frozen=True)
class Report:
    """All frames of one report. ``change_set`` is None before the first plan, ``model`` before the first fit."""

    run_date: date
    source: str
    model: Model | None
    change_set: Record | None
    proposals: pl.DataFrame
    decisions: pl.DataFrame
    watch: pl.DataFrame
    ledger: tuple[Row, ...]
    ledger_rows: int
    ledger_problems: tuple[str, ...]
    switches: tuple[Switch, ...]
    daily: pl.DataFrame
    health: pl.DataFrame
    safety: pl.DataFrame


def _first(frame: pl.DataFrame) -> Record | None:
    return frame.row(0, named=True) if frame.height else None


def _read_model(warehouse: Warehouse, run_date: date, source: str, target: str | None) -> Model | None:
    for candidate in (target,) if target else ("new_customers", "revenue"):
        params = {"run_date": run_date, "source": source, "target": candidate}
        newest = _first(warehouse.query_file("models/mmm_newest_run/query.sql", params))
        live = _first(warehouse.query_file("models/live_mmm_run/query.sql", params))
        if newest is not None:
            break
    else:
        return None
    shown = live["run_id"] if live is not None else newest["run_id"]
    columns = ", ".join(load_contract("models.mmm_runs").columns)
    run = warehouse.query(
        f"SELECT {columns} FROM models.mmm_runs WHERE run_id = @run_id",  # noqa: S608 - names of the contract
        {"run_id": shown},
    ).row(0, named=True)
    by_run = {"run_id": run["run_id"]}
    return Model(
        run=run,
        is_live=live is not None,
        newest_run_id=newest["run_id"],
        reviews=warehouse.query(
            "SELECT `check`, result, value, threshold, detail FROM models.mmm_reviews WHERE run_id = @run_id ORDER BY `check`",
            by_run,
        ),
        curves=warehouse.query(
            "SELECT channel, spend_micros, outcome_mean, outcome_p05, outcome_p95, marginal_mean, is_extrapolated "
            "FROM models.mmm_curves WHERE run_id = @run_id AND geo = 'national' ORDER BY channel, spend_micros",
            by_run,
        ),
        allocations=warehouse.query(
            "SELECT channel, current_spend_micros, optimal_spend_micros, binding_bound, roas_mean, roas_p03, roas_p97, "
            "outcome_current_mean, outcome_optimal_mean, outcome_gain_p05, outcome_gain_p95, marginal_cac_current_micros, "
            "p_cac_le_target, target_cac_micros, risk_measure FROM models.mmm_allocations "
            "WHERE run_id = @run_id ORDER BY channel",
            by_run,
        ),
        fit=warehouse.query(
            "SELECT period_start_date, component, observed, mean, p05, p95, is_holdout FROM models.mmm_fit_weekly "
            "WHERE run_id = @run_id AND geo = 'national' ORDER BY period_start_date, component",
            by_run,
        ),
    )


def read_report(warehouse: Warehouse, *, run_date: date, source: str, target: str | None) -> Report:
    """Everything the page needs; JobError if there is neither a model nor a plan for ``source``."""
    by_source = {"run_date": run_date, "source": source}
    model = _read_model(warehouse, run_date, source, target)
    change_set = _first(warehouse.query_file("control/report_change_set/query.sql", by_source))
    decisions = warehouse.query_file("control/report_decisions/query.sql", by_source)
    if model is None and change_set is None and decisions.is_empty():
        raise JobError(
            f"nothing to report for source {source!r} up to {run_date}: no MMM run and no plan. "
            f"Run aelp2 fit-mmm --source {source} --run-date {run_date} first"
        )
    set_id = change_set["change_set_id"] if change_set else ""
    ledger = Ledger(warehouse)
    rows = ledger.rows()
    health_from = {"start_date": run_date - timedelta(days=_HEALTH_WINDOW_DAYS), "run_date": run_date}
    daily_from = {"start_date": run_date - timedelta(days=_DAILY_WINDOW_DAYS), "run_date": run_date}
    return Report(
        run_date=run_date,
        source=source,
        model=model,
        change_set=change_set,
        proposals=warehouse.query_file("control/report_proposals/query.sql", {"change_set_id": set_id}),
        decisions=decisions,
        watch=warehouse.query_file("control/report_watch/query.sql", {"change_set_id": set_id, "run_date": run_date}),
        ledger=tuple(row for row in rows if set_id and row.change_set_id == set_id),
        ledger_rows=len(rows),
        ledger_problems=tuple(ledger.problems()),
        switches=tuple(switch for switch in read_switches(warehouse).values() if switch.is_on),
        daily=warehouse.query_file("ads/report_daily/query.sql", daily_from),
        health=warehouse.query_file("control/report_health/query.sql", health_from),
        safety=warehouse.query_file("control/report_safety/query.sql", health_from),
    )
