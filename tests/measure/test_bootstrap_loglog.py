"""The low-trust fallback: switched on by a person, said aloud, never taken by itself."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from tasks.core.errors import JobError
from tasks.core.response import weekly_response
from tasks.core.settings import load_settings
from tasks.measure import bootstrap_loglog, mmm_fit
from tasks.measure.bootstrap_loglog import fit_bootstrap
from tasks.measure.mmm_config import MmmConfig
from tasks.measure.mmm_data import MmmInput
from tasks.measure.mmm_parts import Fitted

CONFIG = MmmConfig(model="bootstrap_loglog", bootstrap_replicates=60)


@pytest.fixture(scope="module")
def fitted(make_market: Callable[..., MmmInput]) -> Fitted:
    return fit_bootstrap(make_market(), CONFIG)


def test_nothing_but_the_setting_or_the_option_names_it() -> None:
    """Unset means the Bayesian model; another word than the two known ones is refused by name."""
    assert MmmConfig().model == "pymc_mmm"
    assert load_settings({}).mmm_model == "pymc_mmm"
    assert load_settings({"AELP2_MMM_MODEL": "bootstrap_loglog"}).mmm_model == "bootstrap_loglog"
    with pytest.raises(JobError, match="AELP2_MMM_MODEL='bootstrap'"):
        load_settings({"AELP2_MMM_MODEL": "bootstrap"})


def test_a_sampler_that_breaks_is_an_error_and_not_the_fallback(simulated: MmmInput, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the Bayesian model cannot be fitted, the fit fails; the fallback is not even tried."""

    def broken(*_arguments: object) -> None:
        raise JobError("the sampler broke")

    def unwanted(*_arguments: object) -> None:
        pytest.fail("the fallback was taken silently")

    module = ModuleType("tasks.measure.mmm_model")
    module.MmmSampler = broken  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "tasks.measure.mmm_model", module)
    monkeypatch.setattr(bootstrap_loglog, "fit_bootstrap", unwanted)
    with pytest.raises(JobError, match="the sampler broke"):
        mmm_fit.fit(simulated, MmmConfig())


def test_it_claims_no_diagnosis_of_a_sampler(fitted: Fitted) -> None:
    """R-hat, ESS, divergences and contraction do not exist for it; none is made up."""
    assert (fitted.r_hat_max, fitted.ess_min, fitted.divergences, fitted.prior_contraction) == (None, None, None, None)


def test_its_curves_start_at_zero_and_never_fall(fitted: Fitted) -> None:
    """Elasticities are at least zero in every replicate."""
    spend = np.linspace(0, 5_000, 30)
    for response in fitted.response.values():
        outcome = weekly_response(spend, response)
        np.testing.assert_allclose(outcome[0], 0)
        assert (np.diff(outcome, axis=0) >= -1e-9).all()
        assert response.form == "power"


def test_it_explains_a_market_and_predicts_what_it_never_saw(fitted: Fitted) -> None:
    """On a simulated market with 2 % noise: most of the variance, and held-out weeks within a few per cent."""
    assert fitted.r2 > 0.7
    assert fitted.holdout.mape < 0.1


def test_its_intervals_come_from_the_noise(make_market: Callable[..., MmmInput]) -> None:
    """Twice-noisier weeks give wider curves: the bootstrap resamples what the fit left over."""
    data = make_market()
    noise = np.random.default_rng(2).normal(0, 120, data.outcome.shape)
    loud = replace(data, outcome=np.maximum(data.outcome + noise, 1.0))

    def width(market: MmmInput) -> float:
        return float(
            np.ptp(np.quantile(weekly_response(1_000.0, fit_bootstrap(market, CONFIG).response["channel_1"]), [0.05, 0.95]))
        )

    assert width(loud) > 1.5 * width(data)


def test_the_same_seed_gives_the_same_curves(simulated: MmmInput) -> None:
    """Reproducible, and another seed resamples otherwise."""
    first, again, other = (fit_bootstrap(simulated, replace(CONFIG, seed=seed)) for seed in (5, 5, 6))
    curves = [weekly_response(900.0, fit.response["channel_0"]) for fit in (first, again, other)]
    np.testing.assert_array_equal(curves[0], curves[1])
    assert not np.array_equal(curves[0], curves[2])
