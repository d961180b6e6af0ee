"""Has the population moved away from what the model was trained on? Population stability index, feature by feature."""

from __future__ import annotations

import numpy as np

from tasks.measure.uplift_data import Floats

LIMIT = 0.25  # above it a shift counts as significant (Siddiqi 2006, §9: below 0.1 none, to 0.25 some)
BINS = 10


def psi(trained: Floats, now: Floats) -> float:
    """Σ (q − p) · ln(q / p) over the training sample's deciles; repeated values share a bin, empty bins count half a unit."""
    edges = np.unique(np.quantile(trained, np.linspace(0, 1, BINS + 1)[1:-1]))
    p, q = (np.bincount(np.searchsorted(edges, x, side="left"), minlength=len(edges) + 1).astype(float) for x in (trained, now))
    p, q = ((np.maximum(counts, 0.5) / np.maximum(counts, 0.5).sum()) for counts in (p, q))
    return float(((q - p) * np.log(q / p)).sum())


def drift(names: tuple[str, ...], trained: Floats, now: Floats) -> dict[str, float]:
    """Name → index of each column of ``trained`` and ``now`` (N, D), largest first."""
    found = {name: psi(trained[:, i], now[:, i]) for i, name in enumerate(names)}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def drift_reason(found: dict[str, float]) -> str | None:
    """Why the scores are withheld, or None; names at most three columns."""
    moved = [f"{name} {value:.2f}" for name, value in found.items() if value > LIMIT][:3]
    if not moved:
        return None
    return f"drift: the people differ from those of the experiment (PSI {', '.join(moved)}, limit {LIMIT}); run a new experiment"
