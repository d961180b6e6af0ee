"""Keywords and audiences split what the ads report: exactly, in known shares, and for good."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tasks.lab.criteria import PER_GROUP
from tasks.lab.cube import Cube, build_cube
from tasks.lab.sandbox import Sandbox
from tasks.lab.world import load_world

DAYS = 200


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, load_world("acme"), 7, date(2023, 8, 28), DAYS)


def of_ads(sandbox: Sandbox, cube: Cube, name: str) -> np.ndarray:
    """(D, S) of the units that are ads."""
    return np.asarray(getattr(cube, name)[:, [unit.ad_id > 0 for unit in sandbox.market.layout.units]])


def test_the_parts_of_an_ad_sum_to_the_ad(sandbox: Sandbox) -> None:
    """On every day, in every number and lag; and no part has more clicks than impressions."""
    cube = build_cube(sandbox)
    parts = cube.by_criterion
    for name in ("impressions", "clicks", "cost_micros"):
        whole = of_ads(sandbox, cube, name)
        np.testing.assert_array_equal(getattr(parts, name).reshape(*whole.shape, PER_GROUP).sum(axis=2), whole)
    is_ad = [unit.ad_id > 0 for unit in sandbox.market.layout.units]
    for action, counts in cube.conversions.items():
        ads = counts[:, is_ad]
        days, units, lags = ads.shape
        np.testing.assert_array_equal(parts.conversions[action].reshape(days, units, PER_GROUP, lags).sum(axis=2), ads)
    assert (parts.clicks <= parts.impressions).all()
    assert min(parts.clicks.min(), parts.cost_micros.min()) >= 0


def test_shares_and_factors_are_those_that_are_known(sandbox: Sandbox) -> None:
    """Spend follows the shares; conversions per spend differ between the criteria of a group by their factors."""
    parts = build_cube(sandbox).by_criterion
    cost = parts.cost_micros.sum(axis=0)
    won = parts.conversions["purchase"].sum(axis=(0, 2))
    rates: dict[float, list[float]] = {}
    for group in {c.ad_group_id for c in sandbox.market.criteria.all}:
        own = [c for c in sandbox.market.criteria.all if c.ad_group_id == group]
        spend = {c.criterion_id: float(cost[list(c.pairs)].sum()) for c in own}
        for c in own:
            assert spend[c.criterion_id] / sum(spend.values()) == pytest.approx(c.share, abs=1e-6)
        level = sum(c.share * c.conversion_factor for c in own) / sum(won[list(c.pairs)].sum() for c in own)
        for c in own:
            rates.setdefault(c.conversion_factor, []).append(float(won[list(c.pairs)].sum()) * level / c.share)
    for factor, found in rates.items():
        assert np.mean(found) == pytest.approx(factor, rel=0.1), factor


def test_a_conversion_that_has_arrived_keeps_its_keyword(sandbox: Sandbox) -> None:
    """As days pass and as the platform counts more of them, each keyword only gains."""
    before = build_cube(sandbox).by_criterion
    sandbox.advance(3)
    sandbox.add_fault({"kind": "restate", "days": 20, "factor": 1.5})
    after = build_cube(sandbox).by_criterion
    gained = after.conversions["purchase"][:DAYS] - before.conversions["purchase"][:DAYS]
    assert gained.min() == 0
    assert gained[-20:].sum() > 0
    np.testing.assert_array_equal(after.cost_micros[:DAYS], before.cost_micros[:DAYS])


def test_which_is_the_better_one_is_drawn_from_the_seed(tmp_path: Path) -> None:
    """Two seeds differ, one seed agrees with itself, and search alone has keywords."""

    def drawn(seed: int, name: str) -> list[tuple[int, float, float]]:
        world = Sandbox(tmp_path / name, load_world("acme"), seed, date(2023, 8, 28), 40)
        assert {(c.kind, c.campaign.channel.startswith("SEARCH")) for c in world.market.criteria.all} == {
            ("keyword", True),
            ("audience", False),
        }
        return [(c.criterion_id, c.share, c.conversion_factor) for c in world.market.criteria.all]

    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    assert drawn(7, "a") == drawn(7, "b") != drawn(8, "c")
