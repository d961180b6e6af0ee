"""Configuration of the marketing-mix model: one frozen value, hashed into the run id."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from importlib.metadata import version

# The packages whose version can change a posterior.
PACKAGES = ("pymc-marketing", "pymc", "pytensor", "nutpie", "numba", "numpy")


@dataclass(frozen=True)
class MmmConfig:
    """Everything besides the data that shapes a fit. Spend and outcome are scaled to at most one before the priors apply.

    ``l_max`` periods of carry-over; ``fourier_pairs`` yearly sine/cosine pairs; ``trend`` is linear over the window;
    ``*_prior`` are the parameters of the priors named in ``mmm_model``; ``holdout_periods`` last periods are left out of a
    second, shorter fit (``holdout_draws`` a chain) that predicts them.
    """

    model: str = "pymc_mmm"
    l_max: int = 8
    adstock: str = "geometric_normalised"
    saturation: str = "logistic"
    fourier_pairs: int = 2
    trend: str = "linear"
    alpha_prior: tuple[float, float] = (1.0, 3.0)
    lam_prior: tuple[float, float] = (3.0, 1.0)
    beta_prior_sigma: float = 1.0
    intercept_prior: tuple[float, float] = (0.5, 0.3)
    control_prior_sigma: float = 1.0
    fourier_prior_b: float = 0.3
    noise_prior_sigma: float = 0.5
    shock_prior_sigma: float = 0.5
    sampler: str = "nutpie_low_rank_whitened"
    chains: int = 4
    draws: int = 500
    tune: int = 500
    target_accept: float = 0.9
    holdout_periods: int = 8
    holdout_draws: int = 250
    holdout_tune: int = 300
    bootstrap_replicates: int = 500
    risk_aversion: float = 0.5
    seed: int = 20260101

    def beta_sigma(self, channels: int) -> float:
        """Prior scale of one channel's effect. The spread of the sum of all stays the same however many channels there are."""
        return self.beta_prior_sigma / math.sqrt(channels)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @property
    def sha256(self) -> str:
        """SHA-256 of :meth:`to_json`."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def package_versions() -> str:
    """Canonical JSON of the versions of the packages that shape the result."""
    return json.dumps({name: version(name) for name in PACKAGES}, sort_keys=True, separators=(",", ":"))


def run_id(source: str, target: str, data_sha256: str, config_sha256: str, target_cost: float | None = None) -> str:
    """Id of the run: the same data, configuration and target cost always give the same one, so a repeated fit is recognised."""
    parts = [source, target, data_sha256, config_sha256] + ([] if target_cost is None else [f"{target_cost:.6f}"])
    return "mmm-" + hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
