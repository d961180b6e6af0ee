"""The persons behind a market: who visits on which day, through which door, on which device, and who buys.

A person belongs to the cohort of the day of the first visit. Everything a person may do later (returns, cookie resets, the one
day on which a purchase is possible) is drawn with the cohort, so a day needs only the cohorts of the last ``MAX_LAG_DAYS`` days
and the market up to that day: deterministic in (world, seed, day); a budget changed today leaves all earlier days as they were.

Volumes are the market's, thinned by ``world.people.sampling_rate``: first and returning paid visits of a campaign add up to its
clicks, purchases to the new customers of the CRM, both rounded on the running total, so that no error builds up. Purchases that
an experiment of the world causes are among them, unless it causes more than there are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.lab.layout import MAX_LAG_DAYS, delay_distribution
from tasks.lab.market import Market
from tasks.lab.people_experiment import WAVERERS, Trial

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

Columns = dict[str, NDArray[Any]]
RETURNS = 3  # most returns of one person
OTHER_DELAY_DAYS = 3.0  # mean days from the first visit to the purchase where no ad was clicked
RETURNING_SHARE = 0.12  # of a campaign's clicks; brand search is how people come back
RETURNING_SHARE_BRAND = 0.35
KIOSK_SHARE = 0.01  # purchases made on the one tablet in the shop: many customers, one cookie
BY_EXPERIMENT = -2  # cause of a purchase
BOTS = 3
BOT_SESSIONS = 12  # a day each
# Doors other than ads, with their share of first visits and of returns.
DOORS = ("google_organic", "bing_organic", "direct", "newsletter", "referral", "facebook")
FIRST_DOOR = (0.42, 0.05, 0.28, 0.04, 0.13, 0.08)
RETURN_DOOR = (0.16, 0.02, 0.52, 0.20, 0.04, 0.06)
DEVICES = ("mobile", "desktop", "tablet")
DEVICE_SHARE = (0.58, 0.37, 0.05)
COUNTRIES = ("United States", "Canada", "United Kingdom")
COUNTRY_SHARE = (0.94, 0.04, 0.02)


@dataclass(frozen=True)
class Cohort:
    """Persons by the day of their first visit; every array has one row a person."""

    day: int
    campaign: Ints  # index of the campaign clicked first, -1 for none
    door: Ints  # index into DOORS of the first visit without a campaign
    purchase_lag: Ints  # the one day after the first visit on which the person may buy
    return_lags: Ints  # (n, RETURNS) days of later visits, 0 for none
    reset_lag: Ints  # from this day on the cookie is another one; above MAX_LAG_DAYS: never
    second_device: Bools  # returns happen on another device, with a cookie of its own
    cookie_owner: Ints  # row whose cookie is used: the own one, or that of somebody in the same household
    device: Ints
    country: Ints
    ads_consent: Bools
    analytics_consent: Bools
    has_login: Bools  # signs in on every visit, not only when buying
    is_waverer: Bools  # never buys without being treated in the experiment; nobody where there is none

    @property
    def size(self) -> int:
        """How many persons."""
        return len(self.campaign)


@dataclass(frozen=True)
class Sessions:
    """The visits of one day; one row a session. ``person`` is (cohort day << 24) + row, negative for a bot."""

    person: Ints
    cookie: Ints  # identity of the cookie: persons of a household share one, a reset makes a new one
    lag: Ints  # days since the person's first visit
    number: Ints  # of the person's sessions
    campaign: Ints
    door: Ints
    device: Ints
    country: Ints
    is_new_cookie: Bools
    ads_consent: Bools
    analytics_consent: Bools
    is_signed_in: Bools
    is_purchase: Bools
    value_micros: Ints  # 0 without a purchase
    cause: Ints  # truth: index of the channel that made the purchase, -1 for one that would have come anyway, -2 experiment


@dataclass
class People:
    """Sessions of any day of ``market``, which must have been run to that day."""

    market: Market
    _cohorts: dict[int, Cohort] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = self.market.world.people
        brand = [c.channel == "SEARCH_BRAND" for c in self.market.layout.campaigns]
        self._returning_share = np.where(brand, RETURNING_SHARE_BRAND, RETURNING_SHARE)
        self._is_brand = np.array(brand)
        delays = [s.reporting.mean_delay_days for a in self.market.world.accounts for s in a.channels.values()]
        self._delay = np.stack([delay_distribution(d) for d in [*delays, OTHER_DELAY_DAYS]])
        self._clicks = np.zeros((1, self.market.layout.n_campaigns), dtype=np.int64)
        self._customers = np.zeros(1, dtype=np.int64)
        found = self.settings.experiment
        self.trial = Trial(found, self.market.seed, self.market.history_days, self._arrivals) if found else None

    @property
    def fingerprint(self) -> str:
        """Of what the world says of its persons: files made for others are stale."""
        return hashlib.sha256(self.settings.model_dump_json().encode()).hexdigest()

    def _totals(self, day: int) -> None:
        """Bring the running totals of clicks and customers up to the end of ``day``."""
        layout, known = self.market.layout, len(self._customers) - 1
        if known > day:
            return
        days = self.market.days[known : day + 1]
        clicks = [np.bincount(layout.unit_campaign, weights=d.clicks, minlength=layout.n_campaigns) for d in days]
        grown = self._clicks[-1] + np.cumsum(np.stack(clicks).astype(np.int64), axis=0)
        self._clicks = np.concatenate([self._clicks, grown])
        customers = self._customers[-1] + np.cumsum([d.new_customers for d in days])
        self._customers = np.concatenate([self._customers, customers])

    def paid_sessions(self, day: int) -> Ints:
        """(N,) sessions from each campaign's clicks on ``day``."""
        self._totals(day)
        rate = self.settings.sampling_rate
        return np.asarray(np.floor(self._clicks[day + 1] * rate) - np.floor(self._clicks[day] * rate), dtype=np.int64)

    def purchases(self, day: int) -> int:
        """New customers of ``day`` among the sampled persons."""
        self._totals(day)
        rate = self.settings.sampling_rate
        return int(np.floor(self._customers[day + 1] * rate) - np.floor(self._customers[day] * rate))

    def _returning_paid(self, day: int) -> Ints:
        return np.asarray(np.floor(self.paid_sessions(day) * self._returning_share), dtype=np.int64)

    def cohort(self, day: int) -> Cohort:
        """The persons whose first visit is on ``day``."""
        if day not in self._cohorts:
            for old in [d for d in self._cohorts if abs(d - day) > 2 * MAX_LAG_DAYS]:
                del self._cohorts[old]
            self._cohorts[day] = self._draw(day)
        return self._cohorts[day]

    def _draw(self, day: int) -> Cohort:
        rng = np.random.default_rng([self.market.seed, 11, day])
        paid = np.repeat(np.arange(self.market.layout.n_campaigns), self.paid_sessions(day) - self._returning_paid(day))
        wanted = self.market.days[day].baseline * self.settings.other_sessions_per_customer * self.settings.sampling_rate
        others = max(int(rng.poisson(wanted)), 2 * self.purchases(day) + 2)  # enough for every purchase that no ad made
        campaign = np.concatenate([paid, np.full(others, -1)])
        n = len(campaign)
        channel = np.where(campaign >= 0, self.market.layout.campaign_channel[campaign], -1)
        lags = np.arange(MAX_LAG_DAYS)
        purchase_lag = np.zeros(n, dtype=np.int64)
        for index in np.unique(channel):
            members = channel == index
            purchase_lag[members] = rng.choice(lags, members.sum(), p=self._delay[index])
        returns = rng.geometric(0.25, (n, RETURNS))  # a mean of four days
        returns = np.where((rng.random((n, RETURNS)) < 0.22) & (returns < MAX_LAG_DAYS), returns, 0)
        is_waverer = np.zeros(n, dtype=np.bool_)
        if self.trial and day >= self.trial.first - MAX_LAG_DAYS:
            is_waverer = np.random.default_rng([self.market.seed, 15, day]).random(n) < WAVERERS
        own = np.arange(n)
        shares = (rng.random(n) < 0.03) & (own > 0)  # somebody of the household was here before, on the same device
        return Cohort(
            day=day,
            campaign=campaign,
            door=rng.choice(len(DOORS), n, p=FIRST_DOOR),
            purchase_lag=purchase_lag,
            return_lags=returns,
            reset_lag=np.where(rng.random(n) < 0.2, rng.integers(1, MAX_LAG_DAYS, n), 999),
            second_device=rng.random(n) < 0.18,
            cookie_owner=np.where(shares, own - 1, own),
            device=rng.choice(len(DEVICES), n, p=DEVICE_SHARE),
            country=rng.choice(len(COUNTRIES), n, p=COUNTRY_SHARE),
            ads_consent=rng.random(n) < 0.9,
            analytics_consent=rng.random(n) < 0.96,
            has_login=rng.random(n) < 0.1,
            is_waverer=is_waverer,
        )

    def _cohorts_of(self, day: int) -> list[Cohort]:
        return [self.cohort(d) for d in range(max(0, day - MAX_LAG_DAYS + 1), day + 1)]

    def _arrivals(self, day: int) -> Columns:
        """Visits of ``day`` that do not hang on a purchase, for the experiment's lot."""
        parts = []
        for cohort in self._cohorts_of(day):
            rows = np.flatnonzero(_comes(cohort, day))
            nobody = np.zeros(cohort.size, dtype=np.bool_)
            visits = self._visits(cohort, rows, day - cohort.day, nobody, nobody.astype(np.int64) - 1)
            parts.append(visits | {"is_waverer": cohort.is_waverer[rows], "reset_lag": cohort.reset_lag[rows]})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def sessions(self, day: int) -> Sessions:
        """Every session of ``day``: first visits, returns, purchases, bots."""
        rng = np.random.default_rng([self.market.seed, 12, day])
        persuaded = self._persuaded(day)
        buyers = self._buyers(day, self._cohorts_of(day), rng, len(persuaded["person"]) if persuaded else 0)
        parts = [persuaded] if persuaded else []
        for cohort, bought, cause in buyers:
            rows = np.flatnonzero(_comes(cohort, day) | bought)
            parts.append(self._visits(cohort, rows, day - cohort.day, bought, cause))
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        self._return_doors(day, joined, rng)
        self._values(day, joined, rng)
        kiosk = joined["is_purchase"] & (rng.random(len(joined["person"])) < KIOSK_SHARE) & (joined["cause"] != BY_EXPERIMENT)
        joined["cookie"] = np.where(kiosk, -1, joined["cookie"])
        return Sessions(**_with_bots(joined, rng))

    def _persuaded(self, day: int) -> Columns | None:
        """Visits on which the experiment's treatment makes somebody buy on ``day``, or None."""
        found = self.trial.buyers(day) if self.trial else None
        if found is None:
            return None
        gap, n = found.pop("gap"), len(found["person"])
        del found["is_waverer"], found["reset_lag"]
        yes, no = np.ones(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
        return found | {
            "lag": found["lag"] + gap,
            "number": found["number"] + 1,
            "is_new_cookie": no,
            "is_signed_in": yes,
            "is_purchase": yes,
            "cause": np.full(n, BY_EXPERIMENT),
        }

    def _buyers(
        self, day: int, cohorts: list[Cohort], rng: np.random.Generator, persuaded: int
    ) -> list[tuple[Cohort, Bools, Ints]]:
        """Who buys on ``day`` beside ``persuaded`` others: each cohort with a mask of its buyers and what made these buy."""
        market, layout = self.market, self.market.layout
        result = market.days[day]
        made = np.append(np.asarray(result.incremental, dtype=np.float64), result.baseline)
        wanted = rng.multinomial(max(self.purchases(day) - persuaded, 0), made / made.sum())
        owner = np.concatenate([np.full(c.size, i) for i, c in enumerate(cohorts)])
        row = np.concatenate([np.arange(c.size) for c in cohorts])
        campaign = np.concatenate([c.campaign for c in cohorts])
        lag = np.concatenate([np.full(c.size, day - c.day) for c in cohorts])
        decided = ~np.concatenate([c.is_waverer for c in cohorts])
        eligible = (np.concatenate([c.purchase_lag for c in cohorts]) == lag) & decided
        channel = np.where(campaign >= 0, layout.campaign_channel[campaign], -1)
        anyway = (channel == -1) | ((campaign >= 0) & self._is_brand[campaign])  # brand search claims many who come anyway
        chosen, cause = np.zeros(len(row), dtype=np.bool_), np.full(len(row), -1)
        for index in (*range(layout.n_channels), -1):
            pool = np.flatnonzero(eligible & ~chosen & (anyway if index == -1 else channel == index))
            count = wanted[index]
            if len(pool) < count:  # a thin channel: whoever may buy today, else a first visitor of today
                pool = np.flatnonzero((eligible | (lag == 0)) & decided & ~chosen)
            picked = rng.choice(pool, count, replace=False)
            chosen[picked], cause[picked] = True, index
        return [
            (c, _scatter(c.size, row[mine & chosen]), _fill(c.size, row[mine & chosen], cause[mine & chosen]))
            for c, mine in ((c, owner == i) for i, c in enumerate(cohorts))
        ]

    def _visits(self, cohort: Cohort, rows: Ints, lag: int, bought: Bools, cause: Ints) -> Columns:
        resets = cohort.reset_lag[rows] <= lag
        elsewhere = cohort.second_device[rows] & (lag > 0)
        generation = 2 * elsewhere.astype(np.int64) + resets.astype(np.int64)
        earlier = ((cohort.return_lags[rows] > 0) & (cohort.return_lags[rows] < lag)).sum(axis=1)
        buys = bought[rows]
        return {
            "person": (cohort.day << 24) + rows,
            "cookie": (((cohort.day << 24) + cohort.cookie_owner[rows]) << 2) + generation,
            "lag": np.full(len(rows), lag),
            "number": 1 + earlier + (lag > 0),
            "campaign": cohort.campaign[rows],
            "door": cohort.door[rows],
            "device": np.where(elsewhere, (cohort.device[rows] + 1) % len(DEVICES), cohort.device[rows]),
            "country": cohort.country[rows],
            "is_new_cookie": (np.full(len(rows), lag == 0) & (cohort.cookie_owner[rows] == rows))
            | (cohort.reset_lag[rows] == lag),
            "ads_consent": cohort.ads_consent[rows],
            "analytics_consent": cohort.analytics_consent[rows],
            "is_signed_in": buys | cohort.has_login[rows],
            "is_purchase": buys,
            "cause": cause[rows],
        }

    def _return_doors(self, day: int, joined: Columns, rng: np.random.Generator) -> None:
        """Returns come through the campaigns' returning clicks, the others through a door of their own."""
        back = np.flatnonzero(joined["lag"] > 0)
        joined["door"][back] = rng.choice(len(DOORS), len(back), p=RETURN_DOOR)
        joined["campaign"][back] = -1
        clicks = np.repeat(np.arange(self.market.layout.n_campaigns), self._returning_paid(day))
        rng.shuffle(clicks)
        clickers = rng.choice(back, min(len(back), len(clicks)), replace=False)
        joined["campaign"][clickers] = clicks[: len(clickers)]

    def _values(self, day: int, joined: Columns, rng: np.random.Generator) -> None:
        """Orders of the day's buyers; their mean is that of the CRM's revenue of the day."""
        buyers = np.flatnonzero(joined["is_purchase"])
        result, noise = self.market.days[day], self.market.world.revenue.noise
        values = np.zeros(len(joined["person"]), dtype=np.int64)
        if len(buyers):
            drawn = rng.gamma(noise**-2, 1.0, len(buyers)) if noise else np.ones(len(buyers))
            total = result.revenue_micros * len(buyers) / result.new_customers
            values[buyers] = np.maximum(np.round(drawn / drawn.sum() * total / 10_000), 1).astype(np.int64) * 10_000
        joined["value_micros"] = values


def _comes(cohort: Cohort, day: int) -> Bools:
    """Who of ``cohort`` visits on ``day`` without buying being the reason."""
    lag = day - cohort.day
    return np.ones(cohort.size, dtype=np.bool_) if lag == 0 else np.asarray((cohort.return_lags == lag).any(axis=1))


def _scatter(size: int, rows: Ints) -> Bools:
    mask = np.zeros(size, dtype=np.bool_)
    mask[rows] = True
    return mask


def _fill(size: int, rows: Ints, values: Ints) -> Ints:
    full = np.full(size, -1)
    full[rows] = values
    return full


def _with_bots(joined: Columns, rng: np.random.Generator) -> Columns:
    """The day's sessions and those of a few scrapers, each with one cookie for ever."""
    n = BOTS * BOT_SESSIONS
    bot = np.repeat(np.arange(1, BOTS + 1), BOT_SESSIONS)
    false, zero = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.int64)
    bots: Columns = {
        "person": -bot,
        "cookie": -1 - bot,
        "lag": zero,
        "number": rng.integers(2, 5000, n),
        "campaign": zero - 1,
        "door": np.full(n, DOORS.index("direct")),
        "device": np.full(n, DEVICES.index("desktop")),
        "country": zero,
        "is_new_cookie": false,
        "ads_consent": ~false,
        "analytics_consent": ~false,
        "is_signed_in": false,
        "is_purchase": false,
        "value_micros": zero,
        "cause": zero - 1,
    }
    return {name: np.concatenate([joined[name], values]) for name, values in bots.items()}
