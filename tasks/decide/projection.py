"""From the optimum of channels to one small step of each campaign budget, within every cap. Pure integers, no I/O.

Money moves by transfers: the increase whose channel gains most per unit of money is paid by the decrease whose channel loses
least, until a cap, the optimum or the last payer ends it. With a linear value within the small steps this greedy order is the
best there is (a fractional knapsack on each side). Amounts are integer micros; results are multiples of the platform's smallest
unit, rounded towards the present amount so that no cap is passed by a rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limit:
    """A named bound: an amount a budget must not pass, or a sum a channel must not move by; micros."""

    name: str
    micros: int


@dataclass(frozen=True)
class Movable:
    """A budget that may move, in the direction its channel asks for.

    ``tops`` are bounds an increase must stay at or below, ``bottoms`` bounds a decrease must stay at or above (amounts, micros).
    ``priority`` orders budgets of one channel: the higher gets an increase first and pays for others last.
    """

    budget_id: str
    channel: str
    amount_micros: int
    tops: tuple[Limit, ...]
    bottoms: tuple[Limit, ...]
    priority: float


@dataclass(frozen=True)
class Move:
    """What a channel is asked to do: how far it may move (micros a day, signed by ``direction``) and what one unit is worth."""

    direction: int  # +1 more, −1 less
    limits: tuple[Limit, ...]
    value: float  # outcome units per currency unit at the present spend, adjusted for risk


@dataclass(frozen=True)
class Step:
    """The outcome for one budget; ``binding`` names what ended its step, ``none`` if it got all it was asked for."""

    budget_id: str
    before_micros: int
    after_micros: int
    binding: str

    @property
    def delta_micros(self) -> int:
        """Signed change of the daily amount."""
        return self.after_micros - self.before_micros


@dataclass
class _Account:
    """Running state of the transfers: room and step by budget, room by channel."""

    room: dict[str, int] = field(default_factory=dict)
    pool: dict[str, int] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=dict)
    ended_by: dict[str, str] = field(default_factory=dict)


def _tightest(limits: Sequence[Limit], *, highest: bool) -> Limit:
    """The bound that is met first; the earlier named one wins a tie."""
    return (max if highest else min)(limits, key=lambda limit: limit.micros)


def _room(budget: Movable, move: Move) -> tuple[int, str]:
    if move.direction > 0:
        top = _tightest(budget.tops, highest=False)
        return max(top.micros - budget.amount_micros, 0), top.name
    bottom = _tightest(budget.bottoms, highest=True)
    return max(budget.amount_micros - bottom.micros, 0), bottom.name


def _order(budgets: Sequence[Movable], moves: Mapping[str, Move], direction: int) -> list[Movable]:
    wanted = [b for b in budgets if moves[b.channel].direction == direction]
    # Ids break ties, so the same inputs give the same bytes whatever order the tables gave them in.
    return sorted(wanted, key=lambda b: (-direction * moves[b.channel].value, -direction * b.priority, b.budget_id))


class _Transfers:
    """The greedy transfers of one account."""

    def __init__(self, budgets: Sequence[Movable], moves: Mapping[str, Move], daily_cap_micros: int) -> None:
        self.moves = moves
        self.increases = _order(budgets, moves, +1)
        self.decreases = _order(budgets, moves, -1)
        self.cap_left = daily_cap_micros
        self.state = _Account(pool={c: _tightest(m.limits, highest=False).micros for c, m in moves.items()})
        self.own_limit: dict[str, str] = {}
        for budget in (*self.increases, *self.decreases):
            self.state.room[budget.budget_id], self.own_limit[budget.budget_id] = _room(budget, moves[budget.channel])
            self.state.moved[budget.budget_id] = 0

    def open(self, budget: Movable) -> int:
        """What the budget and its channel still allow; notes what ended it when that is nothing."""
        room, pool = self.state.room[budget.budget_id], self.state.pool[budget.channel]
        if min(room, pool) <= 0:
            name = (
                self.own_limit[budget.budget_id]
                if room <= 0
                else _tightest(self.moves[budget.channel].limits, highest=False).name
            )
            self.state.ended_by.setdefault(budget.budget_id, name)
            return 0
        return min(room, pool)

    def move(self, budget: Movable, micros: int) -> None:
        """Book ``micros`` on the budget, its channel and the account's rolling cap."""
        self.state.room[budget.budget_id] -= micros
        self.state.pool[budget.channel] -= micros
        self.state.moved[budget.budget_id] += micros
        self.cap_left -= micros
        self.open(budget)

    def _first_open(self, budgets: Sequence[Movable]) -> Movable | None:
        return next((b for b in budgets if self.open(b) > 0), None)

    def run(self, net_micros: int, daily_cap_name: str) -> None:
        """Transfers first, then what may grow (``net_micros`` > 0) or must shrink (< 0) beyond them."""
        while True:
            up, down = self._first_open(self.increases), self._first_open(self.decreases)
            if up is None or down is None:
                break
            if self.moves[up.channel].value <= self.moves[down.channel].value:
                break
            micros = min(self.open(up), self.open(down), self.cap_left // 2)
            if micros <= 0:
                break
            self.move(up, micros)
            self.move(down, micros)
        self._alone(self.increases if net_micros > 0 else self.decreases, abs(net_micros))
        for budget in (*self.increases, *self.decreases):
            if self.open(budget) > 0:
                self.state.ended_by[budget.budget_id] = daily_cap_name if self.cap_left <= 1 else self._unpaired(budget)

    def _alone(self, budgets: Sequence[Movable], micros: int) -> None:
        while micros > 0 and (budget := self._first_open(budgets)) is not None:
            step = min(self.open(budget), micros, self.cap_left)
            if step <= 0:
                return
            self.move(budget, step)
            micros -= step

    def _unpaired(self, budget: Movable) -> str:
        return "financing" if self.moves[budget.channel].direction > 0 else "total_constant"


def _toward_before(before: int, moved: int, direction: int, unit: int) -> int:
    """``before ± moved`` as a multiple of ``unit``, rounded towards ``before`` and never past it."""
    if direction > 0:
        return max((before + moved) // unit * unit, before)
    return min(-((moved - before) // unit) * unit, before)


def _take_back(
    after: dict[str, int], order: Sequence[Movable], excess: int, direction: int, unit: int, *, overshoot: bool
) -> int:
    """Take steps of ``order`` (least useful first) back, unit by unit, until ``excess`` is gone; how much was taken.

    An amount off the unit ends where it began: its last piece is smaller than a unit. With ``overshoot`` the last piece may
    be more than is left of the excess, without it that piece stays.
    """
    left = excess
    for budget in order:
        while left > 0 and (step := direction * (after[budget.budget_id] - budget.amount_micros)) > 0:
            piece = min(unit, step)
            if piece > left and not overshoot:
                break
            after[budget.budget_id] -= direction * piece
            left -= piece
    return excess - left


def project(
    budgets: Sequence[Movable],
    moves: Mapping[str, Move],
    *,
    daily_cap_micros: int,
    daily_cap_name: str,
    net_micros: int = 0,
    unit_micros: int,
) -> list[Step]:
    """One step for each of ``budgets`` of one account.

    Args:
        budgets: those that may move; each channel of theirs has an entry in ``moves``.
        moves: what the model asks of each channel.
        daily_cap_micros: what is left of the rolling 24 h cap on the sum of absolute changes (M3).
        daily_cap_name: name of that cap, for ``Step.binding``.
        net_micros: 0 keeps the total; > 0 lets it grow by up to that; < 0 asks for that much less.
        unit_micros: amounts are set in multiples of this.

    Returns:
        Steps in the order of ``budgets``. Σ increases ≤ Σ decreases + max(net, 0); Σ |steps| ≤ the daily cap.
    """
    transfers = _Transfers(budgets, moves, daily_cap_micros)
    transfers.run(net_micros, daily_cap_name)
    state = transfers.state
    after = {
        b.budget_id: _toward_before(b.amount_micros, state.moved.get(b.budget_id, 0), moves[b.channel].direction, unit_micros)
        for b in budgets
    }
    up = sum(max(after[b.budget_id] - b.amount_micros, 0) for b in budgets)
    down = sum(max(b.amount_micros - after[b.budget_id], 0) for b in budgets)
    # Taken back: an increase nobody pays for, then a decrease that pays for nothing.
    up -= _take_back(after, transfers.increases[::-1], up - down - max(net_micros, 0), +1, unit_micros, overshoot=True)
    _take_back(after, transfers.decreases[::-1], down - up + min(net_micros, 0), -1, unit_micros, overshoot=False)
    return [Step(b.budget_id, b.amount_micros, after[b.budget_id], state.ended_by.get(b.budget_id, "none")) for b in budgets]
