"""People with a known effect of treatment: what the estimators of uplift are held against."""

from __future__ import annotations

import numpy as np

from tasks.measure.uplift_data import Floats, Units

EFFECTS = {"keen": 0.10, "lukewarm": 0.03, "lost": 0.0}


def people(size: int, seed: int, *, randomised: bool = True, odds: float = 0.5, confounding: float = 1.5) -> tuple[Units, Floats]:
    """(units, their true effects). Without a lot, those who buy anyway are exposed more often (``confounding``)."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(size, 4))
    segment = np.where(features[:, 0] > 0.3, "keen", np.where(features[:, 0] > -0.8, "lukewarm", "lost"))
    effect = np.array([EFFECTS[name] for name in segment])
    base = 0.75 / (1 + np.exp(2.0 - 0.8 * features[:, 1]))
    exposed = np.full(size, odds) if randomised else 1 / (1 + np.exp(-confounding * features[:, 1]))
    treated = (rng.random(size) < exposed).astype(float)
    outcome = (rng.random(size) < base + treated * effect).astype(float)
    known = np.full(size, odds) if randomised else None
    return Units(("a", "b", "c", "d"), features, treated, outcome, known, segment), effect
