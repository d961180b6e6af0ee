"""Has the population moved away from what the model was trained on? Population stability index, feature by feature."""

from __future__ import annotations

import numpy as np

from tasks.measure.uplift_data import Floats

LIMIT = 0.25  # above it a shift counts as significant (Siddiqi 2006, §9: below 0.1 none, to 0.25 some)
BINS = 10


def psi(trained: Floats, now: Floats) -> float:
    """Σ (q − p) · ln(q / p) over the training sample's deciles; a value that is an edge has a bin of its own.

    A bin that only one sample has counts half a unit in the other. Values equal to nine digits of the largest are one: a score
    of few values differs by the rounding of floats from batch to batch.
    """
    scale = float(np.abs(trained).max(initial=0.0)) or 1.0
    trained, now = np.round(trained / scale, 9), np.round(now / scale, 9)
    edges = np.unique(np.quantile(trained, np.linspace(0, 1, BINS + 1)[1:-1]))

    def counted(values: Floats) -> Floats:
        number = np.searchsorted(edges, values, side="left") + np.searchsorted(edges, values, side="right")
        return np.bincount(number, minlength=2 * len(edges) + 1).astype(np.float64)

    both = np.stack([counted(trained), counted(now)])
    both = np.maximum(both[:, both.sum(axis=0) > 0], 0.5)
    p, q = both / both.sum(axis=1, keepdims=True)
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
