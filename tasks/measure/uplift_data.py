"""What the uplift estimators work on: outcomes, arms, features and odds of an experiment's units. Pure NumPy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Kind = Literal["causal", "observational"]


@dataclass(frozen=True)
class Units:
    """N units of one experiment.

    ``features`` (N, D) known before the assignment; ``treated`` and ``outcome`` (N,) 0 or 1; ``odds`` (N,) probability of
    treatment of the lot, or None where nothing was randomised; ``segment`` (N,) names.
    """

    names: tuple[str, ...]
    features: Floats
    treated: Floats
    outcome: Floats
    odds: Floats | None
    segment: NDArray[np.str_]

    @property
    def size(self) -> int:
        """N."""
        return len(self.outcome)

    @property
    def kind(self) -> Kind:
        """causal only if the arms were decided by lot."""
        return "observational" if self.odds is None else "causal"

    def where(self, mask: Bools) -> Units:
        """The units where ``mask`` holds."""
        odds = None if self.odds is None else self.odds[mask]
        return replace(
            self,
            features=self.features[mask],
            treated=self.treated[mask],
            outcome=self.outcome[mask],
            odds=odds,
            segment=self.segment[mask],
        )
