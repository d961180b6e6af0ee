"""What a platform's own reports say of one account: entities, and numbers by day, entity and part.

Attribution windows are cumulative as on the platforms: ``7d_click`` holds what ``1d_click`` holds. A quarter of the conversions
of the first day are view-throughs; every other follows a click.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.lab.cube import Cube
from tasks.lab.fields import VIDEO_END_SHARE, VIDEO_VIEW_SHARE
from tasks.lab.layout import Unit
from tasks.lab.sandbox import Made, Sandbox
from tasks.lab.world import Account, Campaign

Level = Literal["account", "campaign", "adgroup", "ad"]
Ints = NDArray[np.int64]

CENT = 10_000  # micros
VIEW_SHARE = 4  # one of so many first-day conversions follows a view
CLICK_WINDOWS = {"1d_click": 1, "7d_click": 7, "28d_click": 28, "30d_click": 30}
VIEW_WINDOW = "1d_view"


@dataclass(frozen=True)
class Node:
    """A campaign, an ad group or an ad as it stands now."""

    id: str
    parent_id: str
    campaign_id: str
    name: str
    is_enabled: bool


@dataclass(frozen=True)
class Fact:
    """Numbers of one entity, day and part; ``actions`` maps (purchase or lead, window) to (count, value in micros)."""

    date: date
    campaign_id: str
    adgroup_id: str
    ad_id: str
    segment: str
    impressions: int
    clicks: int
    cost_micros: int
    video_views: int
    video_completions: int
    actions: Mapping[tuple[str, str], tuple[int, int]]

    def result(self, action: str, *windows: str) -> tuple[int, int]:
        """Count and value of an action over windows that do not overlap, e.g. 7d_click and 1d_view."""
        found = [self.actions[action, window] for window in windows]
        return sum(n for n, _ in found), sum(value for _, value in found)


@dataclass(frozen=True)
class AccountView:
    """One account as its platform shows it at this moment; ``cube`` is the market's days."""

    sandbox: Sandbox
    cube: Cube
    account: Account

    def campaigns(self) -> list[Node]:
        """The account's campaigns."""
        own = [
            Node(str(c.id), self.account.id, str(c.id), c.name, bool(self.sandbox.current("campaign", c.id)))
            for c in self.account.campaigns
        ]
        return own + [Node(str(m.id), self.account.id, str(m.id), m.fields["name"], m.is_enabled) for m in self._made("campaign")]

    def ad_groups(self) -> list[Node]:
        """Ad groups (ad sets, line items) of these; they are always on."""
        groups = {u.ad_group_id: u.campaign for u in self._units()}
        own = [Node(str(g), str(c.id), str(c.id), f"{c.name} | Group {g % 100}", is_enabled=True) for g, c in groups.items()]
        return own + [Node(str(m.id), m.parent_id, m.parent_id, m.fields["name"], m.is_enabled) for m in self._made("adgroup")]

    def ads(self) -> list[Node]:
        """Ads of these."""
        own = [
            Node(
                str(u.ad_id),
                str(u.ad_group_id),
                str(u.campaign.id),
                f"Ad {u.ad_id % 100} of group {u.ad_group_id % 100}",
                bool(self.sandbox.current("ad", u.ad_id)),
            )
            for u in self._units()
        ]
        campaign_of = {str(m.id): m.parent_id for m in self._made("adgroup")}
        return own + [
            Node(str(m.id), m.parent_id, campaign_of.get(m.parent_id, ""), m.fields["name"], m.is_enabled)
            for m in self._made("ad")
        ]

    def _made(self, kind: str) -> list[Made]:
        return self.sandbox.created(self.account.platform, self.account.id, kind)

    def campaign(self, campaign_id: str) -> Campaign:
        """The world's campaign of this id; KeyError if the account has none."""
        return {str(c.id): c for c in self.account.campaigns}[campaign_id]

    def budget_micros(self, campaign_id: str) -> int:
        """Daily budget of a campaign now."""
        made = {str(m.id): m.fields["budget_micros"] for m in self._made("campaign")}
        if campaign_id in made:
            return int(made[campaign_id])
        return self.sandbox.current("budget", self.campaign(campaign_id).budget)

    def facts(
        self, level: Level, first: date, last: date, parts: Sequence[tuple[str, float]] = (("all", 1.0),)
    ) -> Iterator[Fact]:
        """Numbers by day, entity and part, oldest day first; days without delivery and conversions are left out.

        ``parts`` are names with their shares, which sum to one: a breakdown. Parts of a day are whole and sum to the day.
        """
        units, groups = self._grouped(level)
        start = self.sandbox.market.start
        low, high = max(0, (first - start).days), min(len(self.cube.clicks) - 1, (last - start).days)
        if not units or high < low:
            return
        days = slice(low, high + 1)
        members = np.zeros((len(self.sandbox.market.layout.units), len(groups)), dtype=np.int64)
        for column, (_, indices) in enumerate(groups):
            members[indices, column] = 1

        def total(daily: Ints) -> Ints:
            return np.asarray(daily @ members, dtype=np.int64)

        counts = [total(table[days]) for table in (self.cube.impressions, self.cube.clicks, self.cube.cost_micros)]
        video = [
            total(np.floor(self.cube.impressions[days] * share).astype(np.int64)) for share in (VIDEO_VIEW_SHARE, VIDEO_END_SHARE)
        ]
        actions = {key: (total(n), total(value)) for key, (n, value) in self._actions(days).items()}
        names = [name for name, _ in parts]
        edges = np.cumsum([share for _, share in parts])
        for offset, day in enumerate(range(low, high + 1)):
            at = start + timedelta(days=day)
            for column, (unit, _) in enumerate(groups):
                numbers = [int(table[offset, column]) for table in counts]
                results = {key: (int(n[offset, column]), int(v[offset, column])) for key, (n, v) in actions.items()}
                if not any(numbers) and not any(n for n, _ in results.values()):
                    continue
                seen = [int(table[offset, column]) for table in video]
                yield from _split(at, unit, level, names, edges, (*numbers, *seen), results)

    def _units(self) -> list[Unit]:
        ids = {c.id for c in self.account.campaigns}
        return [u for u in self.sandbox.market.layout.units if u.campaign.id in ids and u.ad_id]

    def _grouped(self, level: Level) -> tuple[list[Unit], list[tuple[Unit, list[int]]]]:
        """The account's ads, and per entity of ``level`` a first ad with the places of all of its ads."""
        units = self._units()
        found: dict[int, tuple[Unit, list[int]]] = {}
        for unit in units:
            place = self.sandbox.market.layout.unit_index[unit.ad_id]
            key = {"account": 0, "campaign": unit.campaign.id, "adgroup": unit.ad_group_id, "ad": unit.ad_id}[level]
            found.setdefault(key, (unit, []))[1].append(place)
        return units, list(found.values())

    def _actions(self, days: slice) -> dict[tuple[str, str], tuple[Ints, Ints]]:
        """(action, window) → counts and value in micros, both (D, U)."""
        found = {}
        for action, by_lag in self.cube.conversions.items():
            per = self.cube.order_micros[days] if action == "purchase" else 0
            viewed = by_lag[days, :, 0] // VIEW_SHARE
            found[action, VIEW_WINDOW] = (viewed, viewed * per)
            for window, length in CLICK_WINDOWS.items():
                clicked = by_lag[days, :, :length].sum(axis=2) - viewed
                found[action, window] = (clicked, clicked * per)
        return found


def _split(
    at: date,
    unit: Unit,
    level: Level,
    names: Sequence[str],
    edges: NDArray[np.float64],
    numbers: tuple[int, ...],
    results: Mapping[tuple[str, str], tuple[int, int]],
) -> Iterator[Fact]:
    """A fact for each part; whole counts and whole cents that sum to the day."""
    ids = (
        str(unit.campaign.id) if level != "account" else "",
        str(unit.ad_group_id) if level in ("adgroup", "ad") else "",
        str(unit.ad_id) if level == "ad" else "",
    )
    if len(names) == 1:
        yield _fact(at, ids, names[0], numbers, results)
        return
    cost = [part * CENT for part in _parts(numbers[2] // CENT, edges)]
    pieces = [_parts(n, edges) if place != 2 else cost for place, n in enumerate(numbers)]
    acts = {
        key: (_parts(n, edges), [part * CENT for part in _parts(value // CENT, edges)]) for key, (n, value) in results.items()
    }
    for number, name in enumerate(names):
        own = {key: (n[number], value[number]) for key, (n, value) in acts.items()}
        yield _fact(at, ids, name, [piece[number] for piece in pieces], own)


def _fact(
    at: date, ids: tuple[str, str, str], segment: str, numbers: Sequence[int], actions: Mapping[tuple[str, str], tuple[int, int]]
) -> Fact:
    impressions, clicks, cost, views, ends = numbers
    return Fact(at, *ids, segment, impressions, clicks, cost, views, ends, actions)


def _parts(total: int, edges: NDArray[np.float64]) -> list[int]:
    cuts = [0, *(int(total * edge + 0.5) for edge in edges[:-1]), total]
    return [high - low for low, high in pairwise(cuts)]
