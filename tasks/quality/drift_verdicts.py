"""Verdicts over all columns of an account. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.quality.drift_calibration import Judged, judge, q_values
from tasks.quality.drift_config import DriftConfig, Levels
from tasks.quality.drift_series import Series
from tasks.quality.drift_statistics import Floats
from tasks.quality.drift_windows import Windows, category_history, category_shares, missing_history, numeric_history

Verdict = Literal["ok", "warning", "critical", "unknown"]
_ABSENT = 1e-4  # below this share a category counts as not there: a stray visit is no category
_WORDS = {
    "psi": "the distribution has changed (PSI)",
    "ks": "the distribution has changed (Kolmogorov–Smirnov)",
    "jensenshannon": "the distribution has changed (Jensen–Shannon)",
}


@dataclass(frozen=True)
class Finding:
    """One method on one series. ``limit`` is the value from which on it would have been at least a warning."""

    series: Series
    judged: Judged
    q_value: float
    limit: float
    verdict: Verdict
    detail: str

    @property
    def is_found(self) -> bool:
        """True for a warning or worse."""
        return self.verdict in ("warning", "critical")


@dataclass(frozen=True)
class _Share:
    """A share above zero in the current window, with the largest of the placebo windows and the name it belongs to."""

    method: str
    value: float
    largest_placebo: float
    placebos: float
    name: str


def findings(series: Sequence[Series], config: DriftConfig) -> list[Finding]:
    """Verdicts of all ``series`` of ONE account: the false discovery rate is held over all of them."""
    judged = [(one, found) for one in series for found in _distances(one)]
    adjusted = q_values([found.p_value for _, found in judged])
    rate = config.false_discovery_rate.warning
    tests = sum(not math.isnan(q) for q in adjusted)
    rejected = sum(q <= rate for q in adjusted if not math.isnan(q))
    alpha = rate * max(rejected, 1) / max(tests, 1)  # the p-value at which Benjamini and Hochberg's line is crossed
    found = [_by_distance(one, each, q, alpha, config) for (one, each), q in zip(judged, adjusted, strict=True)]
    return found + [_by_share(one, share, config) for one in series for share in _shares(one)]


def _distances(series: Series) -> list[Judged]:
    if series.kind == "mix":
        history = category_history(series.values, series.windows)
    else:
        history = numeric_history(series.values, series.windows, series.kind)
    return [judge(values, method, series.windows) for method, values in history.items()]


def _level(value: float, levels: Levels, blocks: bool) -> Verdict:
    if value >= levels.critical and blocks:
        return "critical"
    return "warning" if value >= levels.warning else "ok"


def _by_distance(series: Series, judged: Judged, q_value: float, alpha: float, config: DriftConfig) -> Finding:
    effects, rates = config.effects[judged.method], config.false_discovery_rate
    if math.isnan(q_value):
        return Finding(series, judged, q_value, math.nan, "unknown", _unknown(series, judged))
    size = abs(judged.excess) if judged.method in ("level", "spread") else judged.excess
    verdict: Verdict = "ok"
    if q_value <= rates.critical and size >= effects.critical and series.rules.blocks:
        verdict = "critical"
    elif q_value <= rates.warning and size >= effects.warning:
        verdict = "warning"
    limit = max(judged.critical_value(alpha), judged.null_mean + effects.warning)
    return Finding(series, judged, q_value, limit, verdict, _detail(series, judged, limit))


def _unknown(series: Series, judged: Judged) -> str:
    if math.isnan(judged.value):
        return f"{_name(series)}: too few days in one of the windows to compare"
    return f"{_name(series)}: {judged.placebos:.1f} placebo windows, 4 are needed; the history is too short to tell"


def _name(series: Series) -> str:
    return f"{series.column} of {series.segment}"


def _detail(series: Series, judged: Judged, limit: float) -> str:
    if judged.method == "level" and series.kind == "positive":
        return f"{_name(series)}: the mean is {_percent(judged.value)}; up to {_percent(limit, sign=False)} is usual"
    if judged.method == "level":
        return (
            f"{_name(series)}: the mean has moved by {judged.value:+.2f} deviations of the reference; up to {limit:.2f} is usual"
        )
    if judged.method == "spread":
        return (
            f"{_name(series)}: it varies {math.exp(judged.value):.2f} times as much; up to {math.exp(limit):.2f} times is usual"
        )
    return f"{_name(series)}: {_WORDS[judged.method]}, {judged.value:.3f}; up to {limit:.3f} is usual"


def _percent(log_ratio: float, *, sign: bool = True) -> str:
    change = 100 * math.expm1(log_ratio)
    return f"{change:+.0f} %" if sign else f"±{change:.0f} %"


def _shares(series: Series) -> list[_Share]:
    windows = series.windows
    if series.kind != "mix":
        history = missing_history(series.values, windows)
        return [_share("missing", history, windows, "")] if len(history) else []
    ends = list(windows.ends(len(series.values)))
    if not ends:
        return []
    pairs = [category_shares(series.values, windows, end) for end in ends]
    reference, current = np.array([one for one, _ in pairs]), np.array([one for _, one in pairs])
    new = np.where(reference < _ABSENT, current, 0.0)
    lost = np.where(current < _ABSENT, reference, 0.0)
    return [_worst(method, shares, series, windows) for method, shares in (("new_category", new), ("lost_category", lost))]


def _worst(method: str, shares: Floats, series: Series, windows: Windows) -> _Share:
    known = np.nan_to_num(shares)
    worst = int(np.argmax(known[0]))
    name = series.categories[worst] if known[0, worst] > 0 else ""
    return _share(method, known.max(axis=1), windows, name)


def _share(method: str, history: Floats, windows: Windows, name: str) -> _Share:
    placebos = history[windows.current // windows.season :]
    count = (len(placebos) - 1) * windows.season / windows.current + 1 if len(placebos) else 0.0
    return _Share(method, float(history[0]), float(placebos.max(initial=0.0)), count, name)


def _by_share(series: Series, share: _Share, config: DriftConfig) -> Finding:
    levels = config.shares[share.method]
    # A column that had such a gap before is not stopped for it again.
    verdict = _level(share.value, levels, series.rules.blocks) if share.value > share.largest_placebo else "ok"
    limit = max(levels.warning, share.largest_placebo)
    text = {
        "missing": f"{_name(series)}: {100 * share.value:+.0f} % points more of its days are missing",
        "new_category": f"{_name(series)}: {share.name or 'nothing'} is new with {100 * share.value:.1f} %",
        "lost_category": f"{_name(series)}: {share.name or 'nothing'} is gone, it had {100 * share.value:.1f} %",
    }[share.method]
    judged = Judged(share.method, share.value, math.nan, math.nan, share.placebos, math.nan)
    return Finding(series, judged, math.nan, limit, verdict, f"{text}; up to {100 * limit:.0f} % is usual")
