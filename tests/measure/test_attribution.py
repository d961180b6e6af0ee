"""Attribution against published results, against brute force, and its laws on random paths."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from shared_data import shared_file

from tasks.measure import attribution
from tasks.measure.attribution import METHODS, Method, Paths, attribute, fit_chain, removal_effects, shapley_values

# eeghor/mta's path data: conversions by rule, and the removal effect of a chain of order 1 by an exact linear solve.
PUBLISHED = {
    "alpha": (6308, 8447, 7574.72, 5344.95),
    "iota": (4606, 3355, 3857.10, 3884.62),
    "eta": (3164, 4167, 3539.95, 3340.85),
    "beta": (2831, 989, 2083.50, 2527.35),
    "theta": (1606, 653, 1022.80, 1971.91),
    "lambda": (902, 1207, 1035.26, 1282.85),
    "epsilon": (99, 531, 272.17, 599.57),
    "zeta": (27, 107, 136.55, 381.06),
    "kappa": (74, 230, 137.96, 274.36),
    "gamma": (165, 92, 121.04, 171.15),
    "delta": (1, 5, 1.73, 4.61),
    "mi": (2, 2, 2.22, 1.72),
}


def paths_of(rows: dict[str, tuple[float, float]]) -> Paths:
    """Rows "a > b" → (conversions, nulls); every conversion is worth 10."""
    touches = [row.split(" > ") for row in rows]
    channels = sorted({channel for path in touches for channel in path})
    conversions = np.array([c for c, _ in rows.values()], dtype=float)
    return Paths(
        tuple(channels),
        tuple(np.array([channels.index(channel) for channel in path]) for path in touches),
        conversions,
        conversions * 10,
        np.array([n for _, n in rows.values()], dtype=float),
    )


@pytest.fixture(scope="module")
def published() -> Paths:
    frame = pl.read_csv(shared_file("paths/path_data.csv.gz"))
    channels = sorted(PUBLISHED)
    return Paths(
        tuple(channels),
        tuple(np.array([channels.index(c) for c in path.split(" > ")]) for path in frame["path"]),
        frame["total_conversions"].cast(pl.Float64).to_numpy(),
        frame["total_conversion_value"].to_numpy(),
        frame["total_null"].cast(pl.Float64).to_numpy(),
    )


@pytest.mark.parametrize(("column", "method"), list(enumerate(["first", "last", "linear", "markov_1"])))
def test_published_results(published: Paths, column: int, method: Method) -> None:
    """All twelve channels to the digits that were published."""
    got = attribute(published, method).conversions
    expected = [PUBLISHED[channel][column] for channel in published.channels]
    assert np.abs(got - expected).max() <= 0.0101


@pytest.mark.parametrize("method", METHODS)
def test_credits_of_the_published_paths_sum_to_the_totals(published: Paths, method: Method) -> None:
    """19,785 conversions and 74,802.97 of value, whatever the method."""
    got = attribute(published, method)
    assert got.conversions.sum() == pytest.approx(19785, abs=1e-6)
    assert got.value.sum() == pytest.approx(74802.97, abs=0.01)
    assert (got.conversions >= 0).all()


def test_the_base_rate_of_a_chain_is_the_observed_one(published: Paths) -> None:
    """A chain of any order converts as often as the journeys it was fitted on."""
    for order in (1, 2, 3):
        conversions, value = fit_chain(published, order).expected()
        assert conversions == pytest.approx(19785 / (19785 + 68602), abs=1e-9)
        assert value == pytest.approx(74802.97 / (19785 + 68602), abs=1e-6)


def test_rules_by_hand() -> None:
    """One path a > b > a > c with one conversion: 40/20/40 with the middle shared; weights that halve every two touches back."""
    paths = paths_of({"a > b > a > c": (1, 0)})
    assert attribute(paths, "position").conversions == pytest.approx([0.4 + 0.1, 0.1, 0.4])
    weights = np.array([0.5**1.5, 0.5, 0.5**0.5, 1]) / (0.5**1.5 + 0.5 + 0.5**0.5 + 1)
    assert attribute(paths, "time_decay").conversions == pytest.approx([weights[0] + weights[2], weights[1], weights[3]])
    assert attribute(paths_of({"a > b": (1, 0)}), "position").conversions == pytest.approx([0.5, 0.5])


def test_the_removal_effect_by_hand() -> None:
    """a: 8 of 10 convert alone; a > b: 5 of 10. Without b the ten that went on to b are lost; without a everything is."""
    paths = paths_of({"a": (8, 2), "a > b": (5, 5)})
    effects = removal_effects(paths, 1)[:, 0]
    # From a: 20 visits, 8 convert, 10 go on to b and 5 of them convert: 13 of 20. Without b: 8 of 20.
    assert effects == pytest.approx([1.0, 1 - 8 / 13])
    assert attribute(paths, "markov_1").conversions == pytest.approx(13 * np.array([13, 5]) / 18)


def test_a_longer_memory_tells_paths_apart_that_order_1_mixes() -> None:
    """a > x converts, b > x does not: order 1 forgets how x was reached, order 2 does not."""
    paths = paths_of({"a > x": (10, 0), "b > x": (0, 10)})
    one, two = (removal_effects(paths, order)[:, 0] for order in (1, 2))
    assert one[:2] == pytest.approx([0.5, 0.5])
    assert two[:2] == pytest.approx([1.0, 0.0])


def worth(paths: Paths, members: set[int]) -> float:
    """The chain's conversion rate if only ``members`` exist, by summing over steps instead of solving."""
    chain = fit_chain(paths, 1)
    kept = np.array([c == -1 or c in members for c in chain.channel])
    inside = chain.transitions.toarray() * kept
    here, total = np.eye(1, len(kept))[0], 0.0
    for _ in range(4000):
        total += float(here @ chain.reward[:, 0])
        here = here @ inside
    return total


def test_the_shapley_value_is_the_mean_gain_over_all_orders() -> None:
    """Against brute force over every order of four channels."""
    paths = paths_of({"a > b": (6, 4), "b > c > a": (3, 9), "c": (2, 8), "d > b > d": (1, 5), "a": (4, 1)})
    gains = np.zeros(4)
    for order in itertools.permutations(range(4)):
        for at, channel in enumerate(order):
            gains[channel] += worth(paths, set(order[: at + 1])) - worth(paths, set(order[:at]))
    values, error = shapley_values(paths)
    assert values[:, 0] == pytest.approx(gains / math.factorial(4), abs=1e-9)
    assert (error == 0).all()


def test_the_sampled_shapley_value_stays_within_its_error(published: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more channels than are valued exactly it samples, says how sure it is, and still sums to the total."""
    exact = attribute(published, "shapley")
    monkeypatch.setattr(attribution, "EXACT_SHAPLEY_CHANNELS", 5)
    sampled = attribute(published, "shapley", seed=3)
    assert (sampled.standard_error > 0).all()
    distance = np.abs(sampled.conversions - exact.conversions) / sampled.standard_error
    assert distance.max() < 4
    assert sampled.conversions.sum() == pytest.approx(exact.conversions.sum())
    again = attribute(published, "shapley", seed=3)
    assert (again.conversions == sampled.conversions).all()


_path = st.lists(st.integers(0, 4), min_size=1, max_size=7)
_count = st.integers(0, 40)


@hypothesis_settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(_path, _count, _count), min_size=1, max_size=12).filter(lambda rows: sum(c for _, c, _ in rows) > 0))
def test_laws_on_random_paths(rows: list[tuple[list[int], int, int]]) -> None:
    """Any paths: credits are not negative and sum up; a channel nobody touched gets nothing; names play no part."""
    conversions = np.array([c for _, c, _ in rows], dtype=float)
    nulls = np.array([n for _, _, n in rows], dtype=float)
    touches = tuple(np.array(path) for path, _, _ in rows)
    touched = np.isin(np.arange(6), np.concatenate(touches))
    paths = Paths(tuple("abcdef"), touches, conversions, conversions * 2, nulls)
    turned = Paths(tuple("fedcba"), tuple(5 - path for path in touches), conversions, conversions * 2, nulls)
    for method in METHODS:
        got = attribute(paths, method)
        assert got.conversions.min() >= -1e-9, method
        assert got.conversions.sum() == pytest.approx(conversions.sum()), method
        assert got.value == pytest.approx(got.conversions * 2, abs=1e-6), method
        assert np.abs(got.conversions[~touched]).max(initial=0) < 1e-9, method
        assert attribute(turned, method).conversions[::-1] == pytest.approx(got.conversions, abs=1e-6), method


def test_no_conversion_gives_no_credit() -> None:
    """Journeys that all end without a conversion: zeros, not a division by zero."""
    paths = paths_of({"a > b": (0, 5), "b": (0, 2)})
    for method in METHODS:
        assert (attribute(paths, method).conversions == 0).all(), method


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"touches": (np.array([], dtype=int), np.array([0]))}, "path 0 has no touch"),
        ({"conversions": np.array([1.0, -2.0])}, "conversions holds -2.0"),
        ({"value": np.array([np.nan, 1.0])}, "value holds nan"),
        ({"nulls": np.array([1.0])}, "different lengths"),
    ],
)
def test_wrong_paths_are_refused(change: dict[str, object], message: str) -> None:
    good = {"touches": (np.array([0]), np.array([0])), "conversions": np.ones(2), "value": np.ones(2), "nulls": np.ones(2)}
    with pytest.raises(ValueError, match=message):
        Paths(("a",), **{**good, **change})  # type: ignore[arg-type]


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match="no attribution method 'shap'; known: first, last"):
        attribute(paths_of({"a": (1, 1)}), "shap")  # type: ignore[arg-type]
