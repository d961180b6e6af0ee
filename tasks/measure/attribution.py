"""Attribution of conversions to the channels of a path: rules, Markov removal effect, Shapley value. Pure: paths in, credits out.

One interface for every method: ``attribute(paths, method) -> credits``, so that a report, a cross-check and a simulation ask the
same way. All of it describes who was present, not who caused: attribution is a cross-check of the marketing-mix model, never
its replacement.

Sources:
    Anderl, Becker, von Wangenheim, Schumann (2016), "Mapping the customer journey", IJRM 33(3): removal effect, chains
    of order k.
    Shapley (1953), "A value for n-person games"; Castro, Gómez, Tejada (2009), "Polynomial calculation of the Shapley value
    based on sampling".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Method = Literal["first", "last", "linear", "position", "time_decay", "markov_1", "markov_2", "markov_3", "shapley"]

METHODS: tuple[Method, ...] = (
    "first", "last", "linear", "position", "time_decay", "markov_1", "markov_2", "markov_3", "shapley",
)  # fmt: skip

POSITION_ENDS = 0.4  # share of the first and of the last touch; the touches between share the rest
DECAY_HALF_LIFE = 2.0  # touches after which a touch's weight has halved, counted back from the conversion
EXACT_SHAPLEY_CHANNELS = 12  # 2^12 coalitions; beyond, permutations are sampled
SHAPLEY_PERMUTATIONS = 4000
_BATCH = 512  # coalitions solved at once


@dataclass(frozen=True)
class Paths:
    """Distinct paths with their counts.

    ``touches``: for each path the channel indices in order (at least one). ``conversions``, ``value`` and ``nulls`` (journeys
    that ended without a conversion): (P,) non-negative.
    """

    channels: tuple[str, ...]
    touches: tuple[NDArray[np.int64], ...]
    conversions: Floats
    value: Floats
    nulls: Floats

    def __post_init__(self) -> None:
        sizes = {len(self.touches), len(self.conversions), len(self.value), len(self.nulls)}
        if len(sizes) != 1:
            raise ValueError(f"touches, conversions, value and nulls have different lengths: {sorted(sizes)}")
        for number, path in enumerate(self.touches):
            if len(path) == 0:
                raise ValueError(f"path {number} has no touch; leave journeys without one out")
        for name, counts in (("conversions", self.conversions), ("value", self.value), ("nulls", self.nulls)):
            if not np.isfinite(counts).all() or (counts < 0).any():
                raise ValueError(
                    f"{name} holds {counts[~np.isfinite(counts) | (counts < 0)][0]}; counts are finite and not negative"
                )

    @property
    def journeys(self) -> float:
        """Converted and not converted journeys together."""
        return float(self.conversions.sum() + self.nulls.sum())


@dataclass(frozen=True)
class Credits:
    """What each channel is credited with; (C,) each. Both sum to the totals of the paths.

    ``standard_error`` is the sampling error of ``conversions`` where the method samples, else zero.
    """

    channels: tuple[str, ...]
    conversions: Floats
    value: Floats
    standard_error: Floats


def attribute(paths: Paths, method: Method, *, seed: int = 0) -> Credits:
    """Credits of all channels by ``method``; they sum to the conversions and the value of ``paths``.

    The order-k Markov methods and the Shapley value give each channel its share of conversions and of value by the same game,
    played once with conversions and once with value per journey as the stake.

    Raises:
        ValueError: unknown method.
    """
    if method in _WEIGHTS:
        return _by_rule(paths, _WEIGHTS[method])
    if method.startswith("markov_"):
        return _scaled(paths, removal_effects(paths, int(method[-1])), np.zeros(len(paths.channels)))
    if method == "shapley":
        return _scaled(paths, *shapley_values(paths, seed))
    raise ValueError(f"no attribution method {method!r}; known: {', '.join(METHODS)}")


# ---------------------------------------------------------------------------------------------------------------- rules


def _position(n: int) -> Floats:
    if n <= 2:
        return np.full(n, 1 / n)
    weights = np.full(n, (1 - 2 * POSITION_ENDS) / (n - 2))
    weights[[0, -1]] = POSITION_ENDS
    return weights


def _time_decay(n: int) -> Floats:
    weights = 0.5 ** (np.arange(n - 1, -1, -1) / DECAY_HALF_LIFE)
    return np.asarray(weights / weights.sum())


_WEIGHTS: dict[str, Callable[[int], Floats]] = {
    "first": lambda n: np.eye(1, n, 0)[0],
    "last": lambda n: np.eye(1, n, n - 1)[0],
    "linear": lambda n: np.full(n, 1 / n),
    "position": _position,
    "time_decay": _time_decay,
}


def _sums(index: NDArray[np.int64], weights: Floats, size: int) -> Floats:
    """(size,) sums of ``weights`` by ``index``."""
    return np.bincount(index, weights=weights, minlength=size).astype(np.float64)


def _by_rule(paths: Paths, weights_of: Callable[[int], Floats]) -> Credits:
    lengths = np.array([len(path) for path in paths.touches])
    weights = {n: weights_of(int(n)) for n in np.unique(lengths)}
    flat = np.concatenate(paths.touches)
    share = np.concatenate([weights[n] for n in lengths])
    channels = len(paths.channels)
    conversions, value = (
        _sums(flat, share * np.repeat(counts, lengths), channels) for counts in (paths.conversions, paths.value)
    )
    return Credits(paths.channels, conversions, value, np.zeros(channels))


# --------------------------------------------------------------------------------------------------------------- chains


@dataclass(frozen=True)
class Chain:
    """An absorbing Markov chain over the last k touches; state 0 is the start.

    ``transitions`` (S, S) sparse probabilities between transient states; ``reward`` (S, 2) expected conversions and value of the
    step out of a state; ``channel`` (S,) channel of a state's last touch, -1 for the start. What is missing to one in a row of
    ``transitions`` is absorbed.
    """

    transitions: Any
    reward: Floats
    channel: NDArray[np.int64]

    def expected(self, removed: int | None = None) -> Floats:
        """(2,) expected conversions and value of a journey; a journey that touches channel ``removed`` ends there with nothing.

        Exact: one sparse linear solve for the expected visits of each state.
        """
        from scipy.sparse import diags, identity
        from scipy.sparse.linalg import splu

        inside = self.transitions
        if removed is not None:
            inside = inside @ diags((self.channel != removed).astype(float))
        start = np.zeros(inside.shape[0])
        start[0] = 1.0
        visits = splu((identity(inside.shape[0], format="csc") - inside.T).tocsc()).solve(start)
        return np.asarray(visits @ self.reward, dtype=np.float64)


def fit_chain(paths: Paths, order: int) -> Chain:
    """The chain of ``order`` (1 to 3) by maximum likelihood: counts of steps over counts of visits."""
    from scipy.sparse import coo_array, diags

    base = len(paths.channels) + 1
    if base**order >= 2**62:
        raise ValueError(f"{base - 1} channels are too many for a chain of order {order}; group them")
    lengths = np.array([len(path) for path in paths.touches])
    ends = np.cumsum(lengths)
    starts = ends - lengths
    flat = np.concatenate(paths.touches) + 1
    position = np.arange(len(flat)) - np.repeat(starts, lengths)
    code = np.zeros(len(flat), dtype=np.int64)
    for back in range(order):
        known = position >= back
        code[known] += flat[np.flatnonzero(known) - back] * base**back
    before = np.where(position > 0, np.roll(code, 1), 0)
    codes, number = np.unique(np.concatenate([[0], code]), return_inverse=True)
    to, source = number[1:], np.searchsorted(codes, before)
    count = np.repeat(paths.conversions + paths.nulls, lengths)
    last = to[ends - 1]
    visits = _sums(source, count, len(codes)) + _sums(last, paths.conversions + paths.nulls, len(codes))
    rate = np.divide(1.0, visits, out=np.zeros_like(visits), where=visits > 0)
    reward = np.stack([_sums(last, paid, len(codes)) * rate for paid in (paths.conversions, paths.value)], axis=1)
    steps = coo_array((count, (source, to)), shape=(len(codes), len(codes))).tocsr()
    return Chain(diags(rate) @ steps, reward, codes % base - 1)


def removal_effects(paths: Paths, order: int) -> Floats:
    """(C, 2) share of expected conversions and of expected value that is lost without each channel; exact."""
    chain = fit_chain(paths, order)
    whole = chain.expected()
    without = np.stack([chain.expected(channel) for channel in range(len(paths.channels))])
    return np.divide(whole - without, whole, out=np.zeros_like(without), where=whole > 0)


def shapley_values(paths: Paths, seed: int = 0) -> tuple[Floats, Floats]:
    """(C, 2) Shapley values of conversions and value, and their (C,) standard error.

    A coalition is worth what a journey is expected to bring if only its channels exist, on the chain of order 1. Up to
    ``EXACT_SHAPLEY_CHANNELS`` channels every coalition is valued; beyond, ``SHAPLEY_PERMUTATIONS`` permutations in mirrored pairs
    are sampled, and the error is relative to the sum of the values.
    """
    chain = fit_chain(paths, 1)
    dense, channels = chain.transitions.toarray(), len(paths.channels)

    def values(members: NDArray[np.bool_]) -> Floats:
        """(M, 2) of coalitions (M, C)."""
        columns = np.concatenate([np.ones((len(members), 1), dtype=bool), members], axis=1)[:, chain.channel + 1]
        start = np.zeros((len(dense), 1))
        start[0] = 1.0
        parts = []
        for low in range(0, len(members), _BATCH):
            inside = dense[None] * columns[low : low + _BATCH, None, :]
            visits = np.linalg.solve(
                np.eye(len(dense)) - inside.transpose(0, 2, 1), np.broadcast_to(start, (len(inside), *start.shape))
            )
            parts.append(visits[..., 0] @ chain.reward)
        return np.concatenate(parts)

    if channels <= EXACT_SHAPLEY_CHANNELS:
        return _exact_shapley(channels, values), np.zeros(channels)
    return _sampled_shapley(channels, values, np.random.default_rng(seed))


def _exact_shapley(channels: int, values: Callable[[NDArray[np.bool_]], Floats]) -> Floats:
    masks = np.arange(2**channels)
    members = (masks[:, None] >> np.arange(channels)) & 1 == 1
    worth, size = values(members), members.sum(axis=1)
    weight = np.array([math.factorial(s) * math.factorial(channels - s - 1) / math.factorial(channels) for s in range(channels)])
    result = np.zeros((channels, 2))
    for channel in range(channels):
        without = masks[~members[:, channel]]
        gain = worth[without | (1 << channel)] - worth[without]
        result[channel] = weight[size[without]] @ gain
    return result


def _sampled_shapley(
    channels: int, values: Callable[[NDArray[np.bool_]], Floats], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    half = SHAPLEY_PERMUTATIONS // 2
    orders = np.stack([rng.permutation(channels) for _ in range(half)])
    orders = np.concatenate([orders, orders[:, ::-1]])
    rank = np.argsort(orders, axis=1)
    # Coalition k of an order: its first k channels.
    members = rank[:, None, :] < np.arange(channels + 1)[None, :, None]
    worth = values(members.reshape(-1, channels)).reshape(len(orders), channels + 1, 2)
    gain = np.take_along_axis(np.diff(worth, axis=1), rank[:, :, None], axis=1)
    pairs = (gain[:half] + gain[half:]) / 2
    mean = pairs.mean(axis=0)
    error = pairs[..., 0].std(axis=0, ddof=1) / math.sqrt(half)
    return mean, np.asarray(error / max(float(mean[:, 0].sum()), 1e-300))


def _scaled(paths: Paths, effects: Floats, error: Floats) -> Credits:
    """Effects (C, 2) as shares of the totals."""
    totals = np.array([paths.conversions.sum(), paths.value.sum()])
    sums = effects.sum(axis=0)
    share = np.divide(effects, sums, out=np.zeros_like(effects), where=sums > 0)
    return Credits(paths.channels, share[:, 0] * totals[0], share[:, 1] * totals[1], error * totals[0])
