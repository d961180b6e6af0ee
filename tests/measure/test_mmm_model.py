import csv
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from shared_data import shared_file

from tasks.core.response import weekly_response
from tasks.measure.mmm_config import MmmConfig
from tasks.measure.mmm_data import MmmInput, check
from tasks.measure.mmm_model import MmmSampler, Posterior, Scales, build_mmm, scales_of, set_data
from tasks.measure.mmm_parts import parts_of, response_of

pytestmark = pytest.mark.slow
CONFIG = MmmConfig()


def _random_posterior(data: MmmInput, scales: Scales, draws: int = 6) -> Posterior:
    rng = np.random.default_rng(11)
    channels, geos = len(data.channels), len(data.geos)
    return Posterior(
        alpha=rng.uniform(0.05, 0.9, (draws, channels)),
        lam=rng.gamma(3, 1, (draws, channels)),
        beta=rng.uniform(0, 0.5, (draws, channels)),
        intercept=rng.normal(0.5, 0.1, (draws, geos)),
        sigma=np.full((draws, geos), 1e-9),
        shock=np.zeros(draws),
        gamma=rng.normal(0, 0.3, (draws, 1 + len(data.control_names))),
        fourier=rng.normal(0, 0.2, (draws, 2 * CONFIG.fourier_pairs)),
        scales=scales, r_hat_max=1.0, ess_min=1.0, divergences=0, seconds=0.0,
    )  # fmt: skip


def _deterministics(model: object, posterior: Posterior, geos: bool, names: list[str]) -> dict[str, np.ndarray]:
    """PyMC-Marketing's own values of ``names`` at the draws of ``posterior``, each (draw, …)."""
    import pymc as pm
    import xarray as xr

    per_geo = ("geo",) if geos else ()
    values = {
        "adstock_alpha": (posterior.alpha, ("channel",)),
        "saturation_lam": (posterior.lam, ("channel",)),
        "saturation_beta": (posterior.beta, ("channel",)),
        "intercept_contribution": (posterior.intercept if geos else posterior.intercept[:, 0], per_geo),
        "y_sigma": (posterior.sigma if geos else posterior.sigma[:, 0], per_geo),
        "gamma_control": (posterior.gamma, ("control",)),
        "gamma_fourier": (posterior.fourier, ("fourier_mode",)),
    }
    if geos:
        values["shock_sigma"] = (posterior.shock, ())
    dataset = xr.Dataset({name: (("chain", "draw", *dims), array[None]) for name, (array, dims) in values.items()})
    with model:
        result = pm.compute_deterministics(dataset, var_names=names, progressbar=False, compile_kwargs={"mode": "FAST_COMPILE"})
    axes = ("chain", "draw", "date", *per_geo, ...)
    return {name: result[name].transpose(*axes, missing_dims="ignore")[0] for name in names}


@pytest.mark.parametrize("geos", [1, 3])
def test_our_parts_and_curves_are_pymc_marketings(make_market: Callable[..., MmmInput], geos: int) -> None:
    """Parts per period and the steady-state response equal the library's own deterministics, national and by geo."""
    data = make_market(periods=40, geos=geos)
    mmm, scales = build_mmm(data, CONFIG), scales_of(data)
    posterior = _random_posterior(data, scales)
    own = parts_of(posterior, data, CONFIG, seed=1)
    theirs = _deterministics(mmm.model, posterior, geos > 1, ["channel_contribution", "mu", "yearly_seasonality_contribution"])
    scale = scales.target if geos > 1 else scales.target[0]
    media = theirs["channel_contribution"].to_numpy() * (scale[:, None] if geos > 1 else scale)
    mean = theirs["mu"].to_numpy() * scale
    np.testing.assert_allclose(own.media, media.sum(axis=2) if geos > 1 else media, rtol=1e-8)
    np.testing.assert_allclose(own.mean, mean.sum(axis=2) if geos > 1 else mean, rtol=1e-8)
    season = theirs["yearly_seasonality_contribution"].to_numpy()
    np.testing.assert_allclose(own.seasonality, season.reshape(own.seasonality.shape) * scales.target.sum(), rtol=1e-8, atol=1e-9)

    shares = data.spend.sum(axis=0) / data.spend.sum(axis=(0, 1))
    constant = replace(data, spend=np.broadcast_to(shares * 900.0, data.spend.shape))
    set_data(mmm, constant, scales)
    steady = _deterministics(mmm.model, posterior, geos > 1, ["channel_contribution"])["channel_contribution"].to_numpy()[:, -1]
    expected = (steady * scales.target[:, None]).sum(axis=1) if geos > 1 else steady * scale
    response = response_of(posterior, data, 500)
    for c, channel in enumerate(data.channels):
        np.testing.assert_allclose(weekly_response(900.0, response[channel]), expected[:, c], rtol=1e-8)


def test_regions_share_a_shock_that_is_integrated_out_exactly(make_market: Callable[..., MmmInput]) -> None:
    """The density of the outcome is a multivariate normal's with diag(sigma²) + shock² in every cell, period by period."""
    from scipy.stats import multivariate_normal

    model = build_mmm(make_market(periods=30, geos=3), CONFIG).model
    point = model.initial_point(0) | {"shock_sigma_log__": np.array(np.log(0.3)), "y_sigma_log__": np.log([0.1, 0.2, 0.4])}
    own = model.compile_logp(vars=[model["y"], model["shared_shock"]], mode="FAST_COMPILE")(point)
    function = model.compile_fn(model.replace_rvs_by_values([model["mu"]]), mode="FAST_COMPILE", on_unused_input="ignore")
    [mean] = function({name: value for name, value in point.items() if "sigma" not in name})
    target = model["target_data"].get_value() / model["target_scale"].get_value()
    covariance = np.diag([0.01, 0.04, 0.16]) + 0.09
    expected = multivariate_normal(np.zeros(3), covariance).logpdf(target - np.asarray(mean).T).sum()
    assert float(own) == pytest.approx(expected, rel=1e-9)


def test_shared_shocks_widen_the_national_prediction(make_market: Callable[..., MmmInput]) -> None:
    """Noise of one region averages out over regions, a shared shock does not: the national sd is the shock times all outcome."""
    data = make_market(periods=40, geos=3)
    posterior = replace(_random_posterior(data, scales_of(data), draws=800), shock=np.full(800, 0.05))
    parts = parts_of(posterior, data, CONFIG, seed=1)
    assert (parts.predictive - parts.mean).std() == pytest.approx(0.05 * scales_of(data).target.sum(), rel=0.02)


def test_other_periods_in_a_compiled_model_give_the_density_of_a_fresh_one(make_market: Callable[..., MmmInput]) -> None:
    """Setting data, as the holdout fit does, and building anew are the same model."""
    data = make_market(periods=48)
    short = data.first(40)
    reused = build_mmm(data, CONFIG)
    set_data(reused, short, scales_of(short))
    fresh = build_mmm(short, CONFIG)
    full = build_mmm(data, CONFIG)
    point = fresh.model.initial_point(0)
    density = {
        name: float(mmm.model.compile_logp(mode="FAST_COMPILE")(point))
        for name, mmm in (("reused", reused), ("fresh", fresh), ("full", full))
    }
    assert density["reused"] == pytest.approx(density["fresh"], rel=1e-10)
    assert density["full"] != pytest.approx(density["fresh"], rel=1e-3)


def test_the_same_seed_gives_the_same_posterior(simulated: MmmInput) -> None:
    """Sampling is reproducible, and another seed gives other draws of the same posterior."""
    sampler = MmmSampler(simulated, CONFIG)
    first, again, other = (
        sampler.sample(simulated, draws=150, tune=250, seed=seed, label="t", progress=None) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first.beta, again.beta)
    assert not np.array_equal(first.beta, other.beta)
    np.testing.assert_allclose(first.beta.mean(axis=0), other.beta.mean(axis=0), rtol=0.25)
    assert first.r_hat_max < 1.05


def _small_business() -> tuple[MmmInput, np.ndarray]:
    path: Path = shared_file("mmm_recovery/small_business.csv")
    rows = list(csv.DictReader(path.open()))
    channels = tuple(sorted(name for name in rows[0] if name.startswith("x")))

    def values(names: tuple[str, ...]) -> np.ndarray:
        return np.array([[[float(row[name]) for name in names]] for row in rows])

    truth = json.loads(path.with_name("small_business_truth.json").read_text())["Local"]
    data = MmmInput(
        "small_business", "revenue", "USD", 7, tuple(date.fromisoformat(row["date"]) for row in rows), ("national",), channels,
        values(channels), values(("y",))[..., 0], ("c1", "c2"), values(("c1", "c2")),
    )  # fmt: skip
    return check(data), np.array([truth[name.split("_", 1)[1]] for name in channels])


def test_true_roas_of_a_published_market_is_recovered() -> None:
    """On small_business the median relative ROAS error is at most 10 % and all four true values lie inside the 94 % interval."""
    data, truth = _small_business()
    posterior = MmmSampler(data, CONFIG).sample(
        data, draws=CONFIG.draws, tune=CONFIG.tune, seed=CONFIG.seed, label="t", progress=None
    )
    roas = parts_of(posterior, data, CONFIG, seed=1).media.sum(axis=1) / data.spend.sum(axis=(0, 1))
    low, high = np.quantile(roas, [0.03, 0.97], axis=0)
    assert ((low <= truth) & (truth <= high)).all()
    assert np.median(np.abs(roas.mean(axis=0) / truth - 1)) <= 0.10
    assert posterior.r_hat_max <= 1.02
    assert posterior.ess_min >= 300
