"""May the data and the predictions be trusted today? Drift and fidelity in the report: what is read, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

_WINDOW_DAYS = 14  # an older verdict says nothing about today
_WORST = 8
_ORDER = {"critical": 0, "warning": 1, "ok": 2, "unknown": 3}


@dataclass(frozen=True)
class Trust:
    """Frames as the query files give them; each is empty where its job has not run."""

    drift: pl.DataFrame
    fidelity: pl.DataFrame
    periods: pl.DataFrame


@dataclass(frozen=True)
class Drift:
    """The newest check: columns by their worst verdict, by dataset, and the worst columns with their findings."""

    day: date
    datasets: tuple[dict[str, Any], ...]  # dataset; critical, warning, ok, unknown: columns
    worst: tuple[dict[str, Any], ...]
    is_stopping: bool


@dataclass(frozen=True)
class Fidelity:
    """The newest evaluation of one basis: its verdict, its metrics, and its target."""

    day: date
    basis: str
    account: str
    target: str
    verdict: dict[str, Any]
    metrics: tuple[dict[str, Any], ...]


def read_trust(warehouse: Warehouse, run_date: date) -> Trust:
    """What check-drift and evaluate-fidelity have left behind up to ``run_date``."""
    window = {"start_date": run_date - timedelta(days=_WINDOW_DAYS), "run_date": run_date}
    return Trust(
        drift=warehouse.query_file("control/report_drift/query.sql", window),
        fidelity=warehouse.query_file("control/report_fidelity/query.sql", window),
        periods=warehouse.query_file("control/report_fidelity_periods/query.sql", window),
    )


def drift(trust: Trust) -> Drift | None:
    """The newest drift check, or None before the first.

    A column is as bad as its worst method.
    """
    found = trust.drift
    if found.is_empty():
        return None
    key = ["platform", "account_id", "dataset", "segment", "column_name"]
    rank = pl.col("verdict").replace_strict(_ORDER, return_dtype=pl.Int8)
    # A column that one method can judge is known, even where another has too little history.
    columns = found.with_columns(rank=rank).sort(["rank", "q_value"], nulls_last=True).group_by(key, maintain_order=True).first()
    counts = [
        {"dataset": dataset, **{name: rows.filter(pl.col("verdict") == name).height for name in _ORDER}}
        for (dataset,), rows in columns.sort("dataset").group_by(["dataset"], maintain_order=True)
    ]
    worst = columns.filter(pl.col("verdict").is_in(["critical", "warning"])).sort(["rank", "q_value"], nulls_last=True)
    stopping = found.filter((pl.col("verdict") == "critical") & ~pl.col("is_acknowledged"))
    return Drift(found["run_date"][0], tuple(counts), tuple(worst.head(_WORST).to_dicts()), not stopping.is_empty())


def fidelity(trust: Trust) -> list[Fidelity]:
    """The newest evaluation, the model's first."""
    found = []
    for key, rows in trust.fidelity.group_by(["basis", "platform", "account_id", "target"], maintain_order=True):
        verdict = rows.filter(pl.col("metric") == "verdict").row(0, named=True)
        metrics = tuple(rows.filter(pl.col("metric") != "verdict").to_dicts())
        account = "the whole business" if key[2] == "all" else f"{key[1]} {key[2]}"
        found.append(Fidelity(rows["run_date"][0], str(key[0]), account, str(key[3]), verdict, metrics))
    return sorted(found, key=lambda one: (one.basis, one.account, one.target))


def predicted(trust: Trust, target: str) -> pl.DataFrame:
    """Weeks of the model of ``target`` as the picture of fit takes them; empty without any whose outcome is known."""
    return (
        trust.periods.filter((pl.col("target") == target) & pl.col("realised").is_not_null())
        .rename({"realised": "observed", "predicted_mean": "mean", "predicted_p05": "p05", "predicted_p95": "p95"})
        .with_columns(is_holdout=pl.col("kind") == "holdout")
    )
