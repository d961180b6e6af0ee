"""Evidently's report on the columns that matter most, with our verdicts above it. Evidently is loaded here and nowhere else.

It draws what was judged: the same windows without the weekly season, with the limits that the placebo windows gave as its
thresholds. Its PSI and Jensen–Shannon distance must be ours; if they are not, its definition has changed and the job fails.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from datetime import date
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from tasks.core.errors import JobError
from tasks.quality.drift_series import Series
from tasks.quality.drift_statistics import Floats
from tasks.quality.drift_verdicts import Finding
from tasks.quality.drift_windows import category_shares, without_season

if TYPE_CHECKING:
    import pandas as pd

_LEAST_COLUMNS, _MOST_COLUMNS = 4, 12  # each takes about a quarter of a second
_DRAWN = ("psi", "ks", "jensenshannon")
_MIX_ROWS = 1000  # Evidently takes rows, a mix is shares: so many rows in those shares
_ORDER = {"critical": 0, "warning": 1, "ok": 2, "unknown": 3}


def page(found: Sequence[Finding], run_date: date) -> str:
    """One self-contained HTML page: our verdicts, then Evidently's pictures of the columns that stand out most."""
    drawn = _most_notable(found)
    head = _summary(found, run_date)
    if not drawn:
        return f'<!DOCTYPE html><html lang="en"><head><meta charset="UTF-8"></head><body>{head}</body></html>'
    snapshot = _evidently(drawn)
    _must_agree(snapshot, drawn)
    text = str(snapshot.get_html_str(as_iframe=False))
    body = text.index(">", text.index("<body")) + 1
    return text[:body] + head + text[body:]


def _key(series: Series) -> tuple[str, ...]:
    return (series.platform, series.account_id, series.dataset, series.segment, series.column)


def _most_notable(found: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Name of the column → its findings by PSI, KS and Jensen–Shannon; what was found first, then the smallest p-values."""
    by_column: dict[tuple[str, ...], list[Finding]] = {}
    for one in found:
        by_column.setdefault(_key(one.series), []).append(one)

    def rank(key: tuple[str, ...]) -> tuple[int, float]:
        of_column = by_column[key]
        known = [one.judged.p_value for one in of_column if not math.isnan(one.judged.p_value)]
        return min(_ORDER[one.verdict] for one in of_column), min(known, default=1.0)

    chosen: dict[str, list[Finding]] = {}
    for key in sorted(by_column, key=rank):
        distances = [one for one in by_column[key] if one.judged.method in _DRAWN and not math.isnan(one.limit)]
        is_found = any(one.is_found for one in by_column[key])
        if distances and (len(chosen) < _LEAST_COLUMNS or (is_found and len(chosen) < _MOST_COLUMNS)):
            chosen[" / ".join(key)] = distances
    return chosen


def _samples(series: Series) -> tuple[list[Any], list[Any]]:
    """Reference and current as Evidently takes them."""
    windows = series.windows
    if series.kind == "mix":
        reference, current = category_shares(series.values, windows, len(series.values))
        return _rows(reference, series.categories), _rows(current, series.categories)
    values = without_season(series.values[len(series.values) - windows.length :], windows, series.kind)
    return _seen(values[: windows.reference]), _seen(values[windows.reference :])


def _seen(values: Floats) -> list[float]:
    return [float(value) for value in values[~np.isnan(values)]]


def _rows(shares: Floats, categories: Sequence[str]) -> list[str]:
    return [name for name, share in zip(categories, shares, strict=True) for _ in range(round(share * _MIX_ROWS))]


def _frame(columns: dict[str, list[Any]]) -> pd.DataFrame:
    """Columns of different lengths side by side; Evidently leaves the empty cells out."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})


def _threshold(one: Finding, reference: int, current: int) -> float:
    """The limit on Evidently's scale: of KS it shows the p-value of independent days."""
    if one.judged.method != "ks":
        return one.limit
    return float(stats.kstwo.sf(one.limit, max(1, round(reference * current / (reference + current)))))


def _evidently(drawn: dict[str, list[Finding]]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own code: invalid escapes, deprecated pandas
        from evidently import DataDefinition, Dataset, Report  # type: ignore[import-untyped]  # it ships no types
        from evidently.metrics import ValueDrift  # type: ignore[import-untyped]

        samples = {name: _samples(of_column[0].series) for name, of_column in drawn.items()}
        metrics = [
            ValueDrift(column=name, method=one.judged.method, threshold=_threshold(one, *map(len, samples[name])))
            for name, of_column in drawn.items()
            for one in of_column
        ]
        mixes = [name for name, of_column in drawn.items() if of_column[0].series.kind == "mix"]
        definition = DataDefinition(numerical_columns=[name for name in drawn if name not in mixes], categorical_columns=mixes)
        reference = _frame({name: sample for name, (sample, _) in samples.items()})
        current = _frame({name: sample for name, (_, sample) in samples.items()})
        return Report(metrics).run(
            Dataset.from_pandas(current, data_definition=definition), Dataset.from_pandas(reference, data_definition=definition)
        )


def _must_agree(snapshot: Any, drawn: dict[str, list[Finding]]) -> None:
    expected = [one for of_column in drawn.values() for one in of_column]
    for metric, one in zip(snapshot.dict()["metrics"], expected, strict=True):
        if one.judged.method == "ks" or one.series.kind == "mix":
            continue  # a p-value there, and rounded rows here
        if not math.isclose(float(metric["value"]), one.judged.value, rel_tol=1e-6, abs_tol=1e-6):
            raise JobError(
                f"Evidently's {one.judged.method} of {one.series.column} is {metric['value']}, ours {one.judged.value}: did a "
                "new version of Evidently change its definition? See tasks/quality/drift_statistics.py"
            )


def _summary(found: Sequence[Finding], run_date: date) -> str:
    notable = sorted((one for one in found if one.is_found), key=lambda one: (_ORDER[one.verdict], _key(one.series)))
    rows = "".join(
        f"<tr><td>{escape(one.verdict)}</td><td>{escape(one.series.platform)}:{escape(one.series.account_id)}</td>"
        f"<td>{escape(one.series.dataset)}</td><td>{escape(one.detail)}</td></tr>"
        for one in notable
    )
    told = (
        f"<table cellpadding='6'><tr><th>verdict</th><th>account</th><th>dataset</th><th>what</th></tr>{rows}</table>"
        if rows
        else "<p>No drift was found.</p>"
    )
    unknown = sum(one.verdict == "unknown" for one in found)
    return (
        f"<section style='font-family:sans-serif;padding:24px'><h1>Drift on {run_date.isoformat()}</h1>{told}"
        f"<p>{len(found)} comparisons, {unknown} of them without enough history to tell. Below, Evidently draws the columns "
        "that stand out most: values without the weekly season; its thresholds are the limits that placebo windows of the same "
        "column gave. How to read this: docs/how-to/drift-and-fidelity.md.</p></section>"
    )
