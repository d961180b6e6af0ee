"""Low-trust fallback: log–log regression with geometric adstock, intervals by a moving-block bootstrap of the residuals.

``log y = a + b·t + season + controls + Σ_c e_c · log(1 + adstock(x_c)/scale_c)`` with elasticities ``e_c ≥ 0`` and one retention
rate for all channels, taken from a grid by least squares in every replicate. It has no prior, cannot separate a channel from
another that moves with it, and multiplies effects instead of adding them; a person must switch it on, and it can never PASS.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from tasks.core.errors import JobError
from tasks.core.response import ResponseDraws
from tasks.measure.mmm_config import MmmConfig
from tasks.measure.mmm_data import MmmInput
from tasks.measure.mmm_parts import Fitted, Holdout, Parts, adstock, fourier_basis

Floats = NDArray[np.float64]

RETENTION_GRID = (0.0, 0.2, 0.4, 0.6, 0.8)
BLOCK = 4  # periods resampled together, so that a month's correlated errors stay together (Künsch 1989)


def fit_bootstrap(data: MmmInput, config: MmmConfig) -> Fitted:
    """Fit on the national sums; JobError if a period's outcome is zero, whose logarithm does not exist."""
    started = time.perf_counter()
    outcome = data.outcome.sum(axis=1)
    if (outcome <= 0).any():
        day = data.periods[int(np.argmin(outcome))]
        raise JobError(f"bootstrap_loglog needs a positive outcome in every period; {data.target} is {outcome.min():g} in {day}")
    spend = data.spend.sum(axis=1)
    scale = np.where(spend > 0, spend, np.nan)
    scale = np.nanmean(scale, axis=0)
    other = _other_terms(data, config)
    logs = {alpha: _log_media(spend, scale, alpha, config.l_max) for alpha in RETENTION_GRID}
    periods = len(outcome)
    draws = _bootstrap(np.log(outcome), other, logs, config, np.random.default_rng(config.seed))
    parts = _parts(data, config, other, logs, draws)
    train = periods - config.holdout_periods
    early = {alpha: values[:train] for alpha, values in logs.items()}
    test = _bootstrap(np.log(outcome[:train]), other[:train], early, config, np.random.default_rng(config.seed + 1))
    predicted = _parts(data, config, other, logs, test)
    p05, p95 = np.quantile(predicted.predictive[:, train:], [0.05, 0.95], axis=0)
    holdout = Holdout(config.holdout_periods, outcome[train:], predicted.mean[:, train:].mean(axis=0), p05, p95)
    return Fitted(
        data=data,
        config=config,
        response=_response(data, scale, parts, draws),
        parts=parts,
        holdout=holdout,
        prior_contraction=None,
        r_hat_max=None,
        ess_min=None,
        divergences=None,
        seconds=time.perf_counter() - started,
    )


def _log_media(spend: Floats, scale: Floats, alpha: float, l_max: int) -> Floats:
    values: Floats = np.log1p(adstock(spend / scale, np.full((1, spend.shape[1]), alpha), l_max)[0])
    return values


def _other_terms(data: MmmInput, config: MmmConfig) -> Floats:
    controls = data.controls.mean(axis=1)
    largest = np.abs(controls).max(axis=0) if data.control_names else np.zeros(0)
    trend = np.linspace(0, 1, len(data.periods))
    terms: Floats = np.column_stack([np.ones(len(trend)), trend, fourier_basis(data, config.fourier_pairs), controls / largest])
    return terms


def _solve(target: Floats, other: Floats, logs: dict[float, Floats]) -> tuple[float, Floats, Floats]:
    best: tuple[float, float, Floats, Floats] | None = None
    for alpha, media in logs.items():
        design = np.column_stack([media, other])
        lower = np.r_[np.zeros(media.shape[1]), np.full(other.shape[1], -np.inf)]
        result = lsq_linear(design, target, bounds=(lower, np.inf))
        residual = target - design @ result.x
        loss = float(residual @ residual)
        if best is None or loss < best[0]:
            best = (loss, alpha, result.x, residual)
    assert best is not None  # the grid is not empty
    return best[1], best[2], best[3]


def _bootstrap(
    target: Floats, other: Floats, logs: dict[float, Floats], config: MmmConfig, rng: np.random.Generator
) -> list[tuple[float, Floats, float]]:
    """(retention, coefficients, residual sd) of each replicate, whose outcome is the fit plus resampled residual blocks."""
    alpha, coefficients, residual = _solve(target, other, logs)
    fitted = np.column_stack([logs[alpha], other]) @ coefficients
    periods = len(target)
    blocks = -(-periods // BLOCK)
    replicates = []
    for _ in range(config.bootstrap_replicates):
        starts = rng.integers(0, periods - BLOCK + 1, blocks)
        noise = residual[(starts[:, None] + np.arange(BLOCK)).ravel()[:periods]]
        retained, values, rest = _solve(fitted + noise - residual.mean(), other, logs)
        replicates.append((retained, values, float(rest.std())))
    return replicates


def _parts(
    data: MmmInput, config: MmmConfig, other: Floats, logs: dict[float, Floats], draws: list[tuple[float, Floats, float]]
) -> Parts:
    """A channel's part is what the prediction loses without it; what is left is the baseline with season and controls."""
    channels = len(data.channels)
    seasons = slice(channels + 2, channels + 2 + 2 * config.fourier_pairs)
    rng = np.random.default_rng(config.seed)
    rows: dict[str, list[Floats]] = {name: [] for name in ("baseline", "seasonality", "controls", "media", "predictive")}
    for alpha, values, sd in draws:
        media = logs[alpha] * values[:channels]
        level = other[:, :2] @ values[channels : channels + 2]
        season = other[:, 2 : 2 + 2 * config.fourier_pairs] @ values[seasons]
        control = other[:, 2 + 2 * config.fourier_pairs :] @ values[seasons.stop :]
        expected = np.exp(media.sum(axis=1) + level + season + control)
        lost = expected[:, None] * -np.expm1(-media)
        base = np.exp(level)
        rest = expected - lost.sum(axis=1) - base
        seasonal, controlled = base * np.expm1(season), base * np.expm1(control)
        rows["seasonality"].append(seasonal)
        rows["controls"].append(controlled)
        rows["baseline"].append(base + rest - seasonal - controlled)
        rows["media"].append(lost)
        rows["predictive"].append(expected * np.exp(sd * rng.standard_normal(len(expected))))
    return Parts(**{name: np.array(values) for name, values in rows.items()})


def _response(data: MmmInput, scale: Floats, parts: Parts, draws: list[tuple[float, Floats, float]]) -> dict[str, ResponseDraws]:
    expected = parts.mean.mean(axis=1)
    response = {}
    for c, channel in enumerate(data.channels):
        without = (expected - parts.media[..., c].mean(axis=1))[:, None]
        ones = np.ones_like(without)
        response[channel] = ResponseDraws(
            form="power",
            adstock_alpha=np.array([alpha for alpha, *_ in draws])[:, None],
            saturation_lam=np.array([values[c] for _, values, _ in draws])[:, None],
            outcome_beta=without,
            spend_scale=scale[c] * ones,
            spend_share=ones,
        )
    return response
