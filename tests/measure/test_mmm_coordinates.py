from collections.abc import Callable

import numpy as np
import pytest

from tasks.measure.mmm_config import MmmConfig
from tasks.measure.mmm_coordinates import Coordinates, spend_grid
from tasks.measure.mmm_data import MmmInput
from tasks.measure.mmm_model import MmmSampler

RNG = np.random.default_rng(4)
COORDINATES = Coordinates(slice(0, 1), slice(1, 4), slice(4, 7), RNG.uniform(0.05, 1, (8, 3)))


def _points(size: int, count: int = 40) -> np.ndarray:
    return np.random.default_rng(8).normal(0, 1.5, (count, size))


def test_points_come_back_from_the_coordinates_unchanged() -> None:
    """to_model and from_model are inverses, also far out."""
    points = _points(8)
    np.testing.assert_allclose(COORDINATES.to_model(COORDINATES.from_model(points)), points, rtol=1e-9, atol=1e-9)


def test_only_intercept_and_beta_move() -> None:
    """Every other parameter is the model's own."""
    points = _points(8)
    np.testing.assert_array_equal(COORDINATES.to_model(points)[:, 4:], points[:, 4:])


def test_the_grid_is_of_every_channel_over_time_and_regions() -> None:
    """Quantiles per channel, so that a region or a week more changes nothing of the shape."""
    spend = np.random.default_rng(1).gamma(2, 1, (50, 3, 2))
    grid = spend_grid(spend)
    assert grid.shape == (8, 2)
    np.testing.assert_allclose(np.quantile(spend[..., 1].ravel(), 0.5 / 8), grid[0, 1])


def _log_jacobian(coordinates: Coordinates, point: np.ndarray) -> float:
    step = 1e-6
    steps = np.eye(len(point)) * step
    matrix = (coordinates.to_model(point + steps) - coordinates.to_model(point - steps)) / (2 * step)
    return float(np.linalg.slogdet(matrix)[1])


@pytest.mark.slow
@pytest.mark.parametrize("geos", [1, 3])
def test_the_density_is_pymc_marketings_in_other_coordinates(make_market: Callable[..., MmmInput], geos: int) -> None:
    """The sampled log density is the library's at the mapped point plus the log Jacobian; its gradient is its slope."""
    sampler = MmmSampler(make_market(periods=40, geos=geos), MmmConfig())
    model = sampler.mmm.model
    reference = model.compile_logp(mode="FAST_COMPILE")
    shapes = [(name, np.shape(value)) for name, value in model.initial_point(0).items()]
    for shift in (0.0, 0.4, -0.3):
        point = sampler._start() + shift * np.random.default_rng(3).uniform(-0.2, 0.2, len(sampler._start()))
        mapped = sampler._coordinates.to_model(point)
        parts, at = {}, 0
        for value_name, _name, shape, _backward in sampler._variables:
            size = int(np.prod(shape, dtype=int))
            parts[value_name] = mapped[at : at + size].reshape(shape)
            at += size
        assert {name for name, _ in shapes} == set(parts)
        expected = float(reference(parts)) + _log_jacobian(sampler._coordinates, point)
        value, gradient = (np.array(result) for result in sampler._logp(point))
        assert float(value) == pytest.approx(expected, rel=1e-6)
        steps = np.eye(len(point)) * 1e-6
        slope = [(float(sampler._logp(point + s)[0]) - float(sampler._logp(point - s)[0])) / 2e-6 for s in steps]
        np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-3)
