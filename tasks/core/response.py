"""Steady-state response of a channel to spend, recomputed exactly from posterior draws. Pure numpy, vectorised over draws.

Two forms, both increasing and zero at zero spend, with ``x = spend · share / scale``:

- ``logistic``: ``beta · (1 − e^(−lam·x)) / (1 + e^(−lam·x))``, the logistic saturation of PyMC-Marketing
  (Jin et al. 2017, section 2.2, for the shape of the model). The geometric adstock there is normalised: its weights sum to
  one, so spend held constant carries over to itself and the decay drops out of the steady state.
- ``power``: ``beta · ((1 + x)^lam − 1)``, the log–log fallback model.

A model by region has one set of parameters per region; spend is split over regions by ``spend_share`` and the answers
are added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import JobError

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
FORMS = ("logistic", "power")


@dataclass(frozen=True)
class ResponseDraws:
    """Parameters of one channel over D joint draws and G regions; every array is (D, G).

    ``saturation_lam`` is dimensionless (the exponent of the ``power`` form), ``outcome_beta`` in outcome units per period,
    ``spend_scale`` in currency units per period, ``spend_share`` the fixed share of the channel's spend that goes to the region.
    """

    form: str
    adstock_alpha: Floats
    saturation_lam: Floats
    outcome_beta: Floats
    spend_scale: Floats
    spend_share: Floats

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise JobError(f"response form {self.form!r} is unknown; known: {', '.join(FORMS)}")
        shapes = {self.saturation_lam.shape, self.outcome_beta.shape, self.spend_scale.shape, self.spend_share.shape}
        if len(shapes) != 1 or len(self.saturation_lam.shape) != 2:
            raise JobError(f"response draws must be (draw, region) arrays of one shape, got {sorted(map(str, shapes))}")
        if not (self.spend_scale > 0).all():
            raise JobError("spend_scale must be positive: a channel without spend has no response curve")


def _scaled(spend: float | Floats, draws: ResponseDraws) -> Floats:
    amount = np.asarray(spend, dtype=float)
    if (amount < 0).any():
        raise JobError(f"spend must not be negative, got {amount.min():g}")
    scaled: Floats = amount[..., None, None] * (draws.spend_share / draws.spend_scale)
    return scaled


def weekly_response(spend: float | Floats, draws: ResponseDraws) -> Floats:
    """Incremental outcome per period if ``spend`` (currency units per period, any shape S) is held constant: shape S + (D,).

    A period is the model's own (a week, or what the import brought). Raises JobError for negative spend.
    """
    return _outcome(_scaled(spend, draws), draws)


def _outcome(x: Floats, draws: ResponseDraws) -> Floats:
    """Outcome summed over regions of scaled spend ``x``, shape S + (D, G)."""
    if draws.form == "logistic":
        # (1 − e^−z) / (1 + e^−z) = tanh(z / 2): the same value without overflow.
        outcome = draws.outcome_beta * np.tanh(draws.saturation_lam * x / 2)
    else:
        outcome = draws.outcome_beta * np.expm1(draws.saturation_lam * np.log1p(x))
    total: Floats = outcome.sum(axis=-1)
    return total


def response_to(spend: Floats, draws: ResponseDraws, l_max: int) -> Floats:
    """Incremental outcome of each period if ``spend`` (T,) was spent: shape (T, D), with carry-over of ``l_max`` periods.

    The carry-over is the model's own: geometric weights that sum to one; nothing was spent before the first period, so give at
    least ``l_max`` periods before those you ask for. Raises JobError for negative spend.
    """
    x = _scaled(spend, draws)
    weights = draws.adstock_alpha[..., None] ** np.arange(l_max)
    weights /= weights.sum(axis=-1, keepdims=True)
    carried = np.zeros_like(x)
    for lag in range(min(l_max, len(spend))):
        carried[lag:] += weights[None, ..., lag] * x[: len(spend) - lag]
    return _outcome(carried, draws)


def marginal_response(spend: float | Floats, draws: ResponseDraws) -> Floats:
    """Derivative of :func:`weekly_response`: outcome units per currency unit at ``spend``; shape S + (D,)."""
    x = _scaled(spend, draws)
    per_currency = draws.spend_share / draws.spend_scale
    if draws.form == "logistic":
        slope = draws.outcome_beta * draws.saturation_lam / 2 * (1 - np.tanh(draws.saturation_lam * x / 2) ** 2)
    else:
        slope = draws.outcome_beta * draws.saturation_lam * (1 + x) ** (draws.saturation_lam - 1)
    total: Floats = (slope * per_currency).sum(axis=-1)
    return total


def draws_by_channel(frame: pl.DataFrame) -> dict[str, ResponseDraws]:
    """Rows of ``models.mmm_draws`` of ONE run as :class:`ResponseDraws` per channel, draws in the same order for all channels.

    Raises JobError if rows of several runs are mixed, or a region or draw is missing for a channel.
    """
    runs = frame["run_id"].unique().to_list()
    if len(runs) != 1:
        raise JobError(f"draws of exactly one MMM run are needed, got {len(runs)}: {', '.join(map(str, sorted(runs)))}")
    geos = frame["geo"].n_unique()
    numbers = frame["draw"].n_unique()
    by_channel = {}
    for (channel,), rows in frame.sort("draw", "geo").group_by(["channel"], maintain_order=True):
        if len(rows) != geos * numbers:
            raise JobError(
                f"models.mmm_draws of run {runs[0]} has {len(rows)} rows for channel {channel}, "
                f"not {numbers} draws × {geos} regions; refit with fit-mmm --refit"
            )

        def column(name: str, rows: pl.DataFrame = rows) -> Floats:
            values: Floats = rows[name].to_numpy().astype(float).reshape(numbers, geos)
            return values

        by_channel[str(channel)] = ResponseDraws(
            form=rows["form"][0],
            adstock_alpha=column("adstock_alpha"),
            saturation_lam=column("saturation_lam"),
            outcome_beta=column("outcome_beta"),
            spend_scale=column("spend_scale"),
            spend_share=column("spend_share"),
        )
    return dict(sorted(by_channel.items()))
