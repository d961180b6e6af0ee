"""Fit a marketing-mix model end to end: main fit, holdout fit, parts. Pure: input and configuration in, :class:`Fitted` out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.core.errors import JobError
from tasks.measure.mmm_config import MmmConfig
from tasks.measure.mmm_data import MIN_PERIODS, MmmInput
from tasks.measure.mmm_parts import Fitted, contraction_of, holdout_of, parts_of, response_of

Progress = Callable[[str, float | None, int], None]  # what is done, share of it or None if unknown, divergences

COMPILING = "compiling the model"
_BEAT_S = 3
STORED_DRAWS = 500  # joint draws kept for the budget plan: P(CAC ≤ target) to within ±2 points


def training_periods(data: MmmInput, config: MmmConfig) -> int:
    """Periods the holdout fit may see; JobError if too few remain."""
    periods = len(data.periods) - config.holdout_periods
    if periods < MIN_PERIODS - config.holdout_periods or config.holdout_periods < 1:
        raise JobError(
            f"holdout of {config.holdout_periods} periods leaves {periods} of {len(data.periods)} to learn from; shorten it"
        )
    return periods


def fit(data: MmmInput, config: MmmConfig, progress: Progress | None = None) -> Fitted:
    """Fit the model named in ``config`` and the shorter one that predicts the held-out periods."""
    training_periods(data, config)
    if config.model == "bootstrap_loglog":
        from tasks.measure.bootstrap_loglog import fit_bootstrap

        return fit_bootstrap(data, config)
    return _fit_pymc(data, config, progress)


def _fit_pymc(data: MmmInput, config: MmmConfig, progress: Progress | None) -> Fitted:
    started = time.perf_counter()
    with _beating(COMPILING, progress):  # 3 s where the compile cache is warm, half a minute where it is cold
        from tasks.measure.mmm_model import MmmSampler

        sampler = MmmSampler(data, config)
    posterior = sampler.sample(data, draws=config.draws, tune=config.tune, seed=config.seed, label="main fit", progress=progress)
    seen = data.first(training_periods(data, config))
    test = sampler.sample(
        seen,
        draws=config.holdout_draws,
        tune=config.holdout_tune,
        seed=config.seed + 1,
        label="holdout fit",
        progress=progress,
    )
    return Fitted(
        data=data,
        config=config,
        response=response_of(posterior, data, STORED_DRAWS),
        parts=parts_of(posterior, data, config, seed=config.seed),
        holdout=holdout_of(parts_of(test, data, config, seed=config.seed + 1), data, config.holdout_periods),
        prior_contraction=contraction_of(posterior, data, config),
        r_hat_max=posterior.r_hat_max,
        ess_min=posterior.ess_min,
        divergences=posterior.divergences,
        seconds=time.perf_counter() - started,
    )


@contextmanager
def _beating(label: str, progress: Progress | None) -> Iterator[None]:
    """Report ``label`` at once and every few seconds until the block ends."""
    if progress is None:
        yield
        return
    over = threading.Event()

    def beat() -> None:
        progress(label, None, 0)
        while not over.wait(_BEAT_S):
            progress(label, None, 0)

    thread = threading.Thread(target=beat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
