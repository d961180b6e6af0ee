"""What a fitted model says about each period: baseline, seasonality, controls, channels, and the prediction with its noise.

Pure numpy over posterior draws; tests hold it against PyMC-Marketing's own deterministics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.core.response import ResponseDraws
from tasks.measure.mmm_config import MmmConfig
from tasks.measure.mmm_data import MmmInput
from tasks.measure.mmm_model import Posterior, design_controls

Floats = NDArray[np.float64]

KEPT_DRAWS = 1000  # enough for 3 % and 97 % quantiles to within a few per cent of their width


@dataclass(frozen=True)
class Parts:
    """National parts of the outcome in outcome units: D draws × T periods (× C channels for ``media``), and predictions."""

    baseline: Floats
    seasonality: Floats
    controls: Floats
    media: Floats
    predictive: Floats

    @property
    def mean(self) -> Floats:
        """(D, T) expected outcome."""
        total: Floats = self.baseline + self.seasonality + self.controls + self.media.sum(axis=2)
        return total


@dataclass(frozen=True)
class Holdout:
    """Prediction of the held-out periods by a fit that never saw them: (H,) arrays, 5 % and 95 % predictive quantiles."""

    periods: int
    observed: Floats
    mean: Floats
    p05: Floats
    p95: Floats

    @property
    def mape(self) -> float:
        """Mean absolute percentage error over the held-out periods with a positive outcome."""
        seen = self.observed > 0
        return float(np.mean(np.abs(self.mean[seen] / self.observed[seen] - 1)))

    @property
    def coverage(self) -> float:
        """Share of held-out periods inside the 90 % predictive interval."""
        return float(np.mean((self.observed >= self.p05) & (self.observed <= self.p95)))


@dataclass(frozen=True)
class Fitted:
    """All that the tables need of one fit, whichever model made it; ``prior_contraction`` (C,): 1 − var(posterior)/var(prior)."""

    data: MmmInput
    config: MmmConfig
    response: dict[str, ResponseDraws]
    parts: Parts
    holdout: Holdout
    prior_contraction: Floats | None
    r_hat_max: float | None
    ess_min: float | None
    divergences: int | None
    seconds: float

    @property
    def r2(self) -> float:
        """Share of the variance of the national outcome that the posterior mean explains, on the fitted periods."""
        observed = self.data.outcome.sum(axis=1)
        return float(1 - np.var(observed - self.parts.mean.mean(axis=0)) / np.var(observed))


def kept(total: int, wanted: int) -> NDArray[np.intp]:
    """Indices of at most ``wanted`` of ``total`` draws, evenly spread over the chains."""
    return np.unique(np.linspace(0, total - 1, min(wanted, total)).round().astype(np.intp))


def adstock(spend: Floats, alpha: Floats, l_max: int) -> Floats:
    """Normalised geometric carry-over, as PyMC-Marketing's ``GeometricAdstock(normalize=True)``.

    ``spend`` (T, C), ``alpha`` (D, C) → (D, T, C): ``Σ_l w_l·spend[t−l]`` with ``w_l ∝ alpha^l``, ``l < l_max``; nothing was
    spent before the first period.
    """
    weights = alpha[..., None] ** np.arange(l_max)
    weights /= weights.sum(axis=-1, keepdims=True)
    carried = np.zeros((alpha.shape[0], *spend.shape))
    for lag in range(min(l_max, len(spend))):
        carried[:, lag:] += weights[:, None, :, lag] * spend[None, : len(spend) - lag]
    return carried


def fourier_basis(data: MmmInput, pairs: int) -> Floats:
    """(T, 2·pairs) yearly sines then cosines of the first day of each period, period 365.25 days."""
    days = pd.to_datetime(list(data.periods)).day_of_year.to_numpy()
    phase = 2 * np.pi * np.outer(days / 365.25, np.arange(1, pairs + 1))
    basis: Floats = np.concatenate([np.sin(phase), np.cos(phase)], axis=1)
    return basis


def parts_of(posterior: Posterior, data: MmmInput, config: MmmConfig, *, seed: int) -> Parts:
    """National :class:`Parts` of ``data`` (which may run beyond the fitted periods) under ``posterior``."""
    index = kept(len(posterior.alpha), KEPT_DRAWS)
    scales = posterior.scales
    design = design_controls(data, scales)
    gamma = posterior.gamma[index]
    scale = float(scales.target.sum())
    trend = scale * gamma[:, :1] * design[None, :, 0, 0]
    baseline = (posterior.intercept[index] @ scales.target)[:, None] + trend
    controls = np.einsum("dk,tgk,g->dt", gamma[:, 1:], design[..., 1:], scales.target)
    seasonality = scale * posterior.fourier[index] @ fourier_basis(data, config.fourier_pairs).T
    media = np.zeros((len(index), len(data.periods), len(data.channels)))
    for g in range(len(data.geos)):
        carried = adstock(data.spend[:, g] / scales.channel[g], posterior.alpha[index], config.l_max)
        media += scales.target[g] * posterior.beta[index, None] * np.tanh(posterior.lam[index, None] * carried / 2)
    noise_sd = np.sqrt((posterior.sigma[index] ** 2) @ scales.target**2 + (posterior.shock[index] * scale) ** 2)
    expected = baseline + controls + seasonality + media.sum(axis=2)
    predictive = expected + noise_sd[:, None] * np.random.default_rng(seed).standard_normal(expected.shape)
    return Parts(baseline, seasonality, controls, media, predictive)


def response_of(posterior: Posterior, data: MmmInput, draws: int) -> dict[str, ResponseDraws]:
    """The steady-state response of each channel from ``draws`` evenly spread posterior draws, the same ones for all channels."""
    index = kept(len(posterior.alpha), draws)
    scales = posterior.scales
    shares = data.geo_shares
    geos = len(data.geos)

    def spread(values: Floats) -> Floats:
        return np.repeat(values[index, None], geos, axis=1)

    return {
        channel: ResponseDraws(
            form="logistic",
            adstock_alpha=spread(posterior.alpha[:, c]),
            saturation_lam=spread(posterior.lam[:, c]),
            outcome_beta=spread(posterior.beta[:, c]) * scales.target,
            spend_scale=np.broadcast_to(scales.channel[:, c], (len(index), geos)),
            spend_share=np.broadcast_to(shares[:, c], (len(index), geos)),
        )
        for c, channel in enumerate(data.channels)
    }


def contraction_of(posterior: Posterior, data: MmmInput, config: MmmConfig) -> Floats:
    """(C,) 1 − var(posterior)/var(prior) of each channel's steady-state effect at its mean spend.

    Near 0 the data taught nothing and the curve is the prior's (Betancourt 2018, "Towards a principled Bayesian workflow", 4.3).
    """
    rng = np.random.default_rng(config.seed)
    level = (data.spend.mean(axis=0) / posterior.scales.channel).mean(axis=0)
    size = (4000, len(data.channels))
    shape, rate = config.lam_prior
    lam = rng.gamma(shape, 1 / rate, size)
    beta = np.abs(rng.normal(0, config.beta_sigma(len(data.channels)), size))
    prior = (beta * np.tanh(lam * level / 2)).var(axis=0)
    learned = (posterior.beta * np.tanh(posterior.lam * level / 2)).var(axis=0)
    contraction: Floats = 1 - learned / prior
    return contraction


def holdout_of(parts: Parts, data: MmmInput, periods: int) -> Holdout:
    """The last ``periods`` of ``data`` as predicted in ``parts``, which a fit without them made."""
    late = slice(len(data.periods) - periods, None)
    p05, p95 = np.quantile(parts.predictive[:, late], [0.05, 0.95], axis=0)
    return Holdout(periods, data.outcome.sum(axis=1)[late], parts.mean[:, late].mean(axis=0), p05, p95)
