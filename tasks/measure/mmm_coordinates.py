"""Coordinates in which the posterior of a marketing-mix model is easy to walk. They change its shape, not what it says.

PyMC samples ``log beta``, ``log lam`` and the intercept. That bends: data tell how much of the outcome's *variation* follows a
channel, so ``beta`` is narrow where the curve is steep and wide where it is saturated; effects trade off against each other as
they are, not as their logarithms; and the constant part of an effect is one with the intercept. So the sampler walks ``v`` and
``c`` instead of ``beta`` and the intercept. With mean and sd of the saturation ``S = tanh(lam · spend / 2)`` over the window:

    beta · sqrt(sd(S)² + FLOOR²) = SOFTNESS · log(1 + e^(v / SOFTNESS))
    intercept                    = c − Σ beta · mean(S)

The left side is linear in ``v`` above ``SOFTNESS`` (in units of the largest outcome), logarithmic below. Where ``S`` hardly
varies the prior bounds ``beta``; ``FLOOR`` is the sd at which data and prior weigh the same. The figures:
docs/decisions/0005-mmm-sampler.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SOFTNESS = 0.01
FLOOR = 0.005  # noise 0.05 of the largest outcome over √100 periods, against a prior sd of beta of 1
GRID = 8  # quantiles of spend that stand for the window


def spend_grid(scaled_spend: Floats) -> Floats:
    """(GRID, C) evenly spread quantiles of the scaled spend (T, G, C)."""
    grid: Floats = np.quantile(scaled_spend, (np.arange(GRID) + 0.5) / GRID, axis=(0, 1))
    return grid


@dataclass(frozen=True)
class Coordinates:
    """Where intercept, ``log beta`` and ``log lam`` lie in the flat point, and ``grid``: the :func:`spend_grid` of the window.

    Any grid gives the same posterior; that of the data gives the easiest one.
    """

    intercept: slice
    beta: slice
    lam: slice
    grid: Floats

    def to_model(self, points: Floats) -> Floats:
        """PyMC's own unconstrained points of sampled ``points``; (…, size) both."""
        result = np.array(points, dtype=float)
        mean, spread = self._saturation(points)
        beta = SOFTNESS * np.logaddexp(0, points[..., self.beta] / SOFTNESS) / spread
        result[..., self.beta] = np.log(beta)
        result[..., self.intercept] -= (beta * mean).sum(axis=-1, keepdims=True)
        return result

    def from_model(self, points: Floats) -> Floats:
        """The inverse of :meth:`to_model`."""
        result = np.array(points, dtype=float)
        mean, spread = self._saturation(points)
        beta = np.exp(points[..., self.beta])
        result[..., self.beta] = beta * spread + SOFTNESS * np.log(-np.expm1(-beta * spread / SOFTNESS))
        result[..., self.intercept] += (beta * mean).sum(axis=-1, keepdims=True)
        return result

    def _saturation(self, points: Floats) -> tuple[Floats, Floats]:
        saturation = np.tanh(np.exp(points[..., None, self.lam]) * self.grid / 2)
        return saturation.mean(axis=-2), np.sqrt(saturation.var(axis=-2) + FLOOR**2)

    def density(self, density: Any, flat: Any) -> tuple[Any, Any]:
        """The symbolic log ``density`` of PyMC's ``flat`` point in these coordinates, Jacobian included, and its new point."""
        import pytensor
        import pytensor.tensor as pt
        from pytensor.graph.replace import graph_replace

        point = flat.type("point")
        grid = pytensor.shared(self.grid, name="grid")  # shared: as a constant, each data set would be compiled anew
        saturation = pt.tanh(pt.exp(point[self.lam]) * grid / 2)
        mean = pt.mean(saturation, axis=0)
        log_spread = pt.log(pt.mean((saturation - mean) ** 2, axis=0) + FLOOR**2) / 2
        scaled = point[self.beta] / SOFTNESS
        log_size = pt.log(SOFTNESS * pt.softplus(scaled))
        models = pt.set_subtensor(point[self.beta], log_size - log_spread)
        models = pt.inc_subtensor(models[self.intercept], -pt.sum(pt.exp(log_size - log_spread) * mean))
        # d log beta / d v = sigmoid(v / s) / size; all else are shifts by other coordinates, so the matrix is triangular.
        return graph_replace(density, {flat: models}) - pt.sum(pt.softplus(-scaled) + log_size), point
