"""World files: what the simulated advertiser looks like and how its customers really respond. Truth lives here.

A world is a YAML file validated on load; money in it is in whole currency units a day, shares are fractions of one.
"""

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasks.core.errors import JobError

WORLDS = Path(__file__).parent / "worlds"

PlatformName = Literal["google_ads", "meta", "linkedin", "tiktok", "reddit", "x"]
PLATFORMS: tuple[PlatformName, ...] = get_args(PlatformName)
Channel = Literal[
    "SEARCH_BRAND", "SEARCH_NONBRAND", "YOUTUBE", "DEMAND_GEN", "PMAX", "META", "LINKEDIN", "TIKTOK", "REDDIT", "X"
]  # fmt: skip
GOOGLE_CHANNELS = ("SEARCH_BRAND", "SEARCH_NONBRAND", "YOUTUBE", "DEMAND_GEN", "PMAX")
CustomerId = Annotated[str, Field(pattern=r"^\d{10}$")]
AccountId = Annotated[str, Field(pattern=r"^[0-9A-Za-z_]{5,24}$")]  # Google's: ten digits, checked below
EntityId = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Response(_Strict):
    """Steady-state incremental new customers a day: ``ceiling * (1 - exp(-adstocked spend / scale))``."""

    ceiling_customers: Positive
    scale_spend: Positive  # world currency a day
    carry_over: Annotated[float, Field(ge=0, lt=1)]  # geometric, a day


class Reporting(_Strict):
    """How the platform measures the channel, which is not how customers respond."""

    over_attribution: Positive  # conversions claimed for each incremental one
    baseline_claim: Share  # share of customers who come anyway that the platform claims at full delivery
    mean_delay_days: Positive
    cost_per_click: Positive
    click_through_rate: Annotated[float, Field(gt=0, lt=1)]


class ChannelWorld(_Strict):
    """One channel of one account."""

    response: Response
    reporting: Reporting
    auction_noise: Annotated[float, Field(ge=0, lt=1)] = 0.12
    awareness_weight: Annotated[float, Field(ge=0)] = 0.0  # what a unit of spend adds to brand awareness
    awareness_gain: Share = 0.0  # share of the channel's query volume that awareness makes (brand search)


class Budget(_Strict):
    """A campaign budget; ``shared`` is Google's ``explicitly_shared``."""

    id: EntityId
    name: str
    per_day: Positive  # account currency, the amount on the last day of history
    shared: bool = False


class Campaign(_Strict):
    """A campaign; ``auction_per_day`` is what the auctions would take on an average day if no budget stopped them."""

    id: EntityId
    name: str
    channel: Channel
    budget: EntityId
    auction_per_day: Positive  # account currency
    efficiency: Positive = 1.0  # effect of one unit of spend relative to the channel's curve
    rank_lost_share: Share = 0.15
    ad_groups: Annotated[int, Field(ge=1, le=20)] = 2
    ads_per_group: Annotated[int, Field(ge=1, le=20)] = 2


class Account(_Strict):
    """One ad account: on Google Ads a client account under the manager."""

    id: AccountId
    platform: PlatformName = "google_ads"
    name: str
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    time_zone: str
    world_currency_per_unit: Positive = 1.0
    channels: dict[Channel, ChannelWorld]
    budgets: list[Budget]
    campaigns: list[Campaign]

    @model_validator(mode="after")
    def _references(self) -> Self:
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(
                f"account {self.id}: time_zone {self.time_zone!r} is no IANA zone; write e.g. Europe/Berlin"
            ) from None
        if self.platform == "google_ads" and not (self.id.isdigit() and len(self.id) == 10):
            raise ValueError(f"account {self.id}: Google's ids have ten digits")
        own = GOOGLE_CHANNELS if self.platform == "google_ads" else (self.platform.upper(),)
        if strange := sorted(set(self.channels) - set(own)):
            raise ValueError(
                f"account {self.id} is on {self.platform}, which has no channel {strange[0]}; it has {', '.join(own)}"
            )
        members = Counter(campaign.budget for campaign in self.campaigns)
        known = {budget.id: budget for budget in self.budgets}
        for campaign in self.campaigns:
            if campaign.budget not in known:
                raise ValueError(f"campaign {campaign.id} names budget {campaign.budget}, which account {self.id} does not list")
            if campaign.channel not in self.channels:
                raise ValueError(
                    f"campaign {campaign.id} is in channel {campaign.channel}, which account {self.id} does not describe"
                )
        for budget in self.budgets:
            if members[budget.id] == 0:
                raise ValueError(f"budget {budget.id} of account {self.id} has no campaign; remove it or name it in one")
            if members[budget.id] > 1 and not budget.shared:
                raise ValueError(f"budget {budget.id} has {members[budget.id]} campaigns; set shared: true")
        unused = sorted(set(self.channels) - {campaign.channel for campaign in self.campaigns})
        if unused:
            raise ValueError(f"account {self.id} describes {unused[0]} but no campaign is in it")
        return self


class Holiday(_Strict):
    """Yearly days that lift demand; also the promo calendar that the advertiser knows."""

    month: Annotated[int, Field(ge=1, le=12)]
    day: Annotated[int, Field(ge=1, le=31)]
    days: Annotated[int, Field(ge=1, le=60)] = 1
    lift: Annotated[float, Field(gt=-1)]
    kind: Literal["holiday", "promo"] = "holiday"

    @model_validator(mode="after")
    def _real_day(self) -> Self:
        date(2023, self.month, self.day)  # a day that not every year has is refused here, not years later
        return self

    def covers(self, day: date) -> bool:
        """Whether ``day`` lies in the window that starts on month/day of its own or of the previous year."""
        return any(0 <= (day - date(year, self.month, self.day)).days < self.days for year in (day.year - 1, day.year))


class Baseline(_Strict):
    """New customers a day that would come without any advertising, and how the whole market moves."""

    customers_per_day: Positive
    trend_per_year: Annotated[float, Field(gt=-0.9, lt=10)] = 0.0
    weekday: Annotated[list[Positive], Field(min_length=7, max_length=7)]  # Monday first
    yearly_amplitude: Annotated[float, Field(ge=0, lt=1)] = 0.0
    yearly_peak_day: Annotated[int, Field(ge=1, le=366)] = 330
    holidays: list[Holiday] = []
    weekly_noise: Annotated[float, Field(ge=0, lt=1)] = 0.03
    daily_noise: Annotated[float, Field(ge=0, lt=1)] = 0.03
    response_seasonality: Share = 0.25  # the response moves with (market season) ** this


class Revenue(_Strict):
    """First-order revenue of a new customer, in the world's currency."""

    per_customer: Positive
    noise: Annotated[float, Field(ge=0, lt=2)] = 0.4  # coefficient of variation of one order


class MediaPlan(_Strict):
    """How a human buyer moved budgets in the past. Without such movement no model could learn anything."""

    weekly_drift: Annotated[float, Field(ge=0, lt=1)] = 0.10
    weeks_between_tests: Positive = 11.0
    test_factors: list[Positive] = [0.35, 0.6, 1.5, 1.9]
    pauses: bool = True
    calm_days: Annotated[int, Field(ge=0)] = 14  # before the end of history nothing is touched


class Experiment(_Strict):
    """A holdout by lot among the website's visitors, and what treatment truly does; see tasks/lab/people_experiment.py."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    starts_days_before: Annotated[int, Field(ge=1)]  # the end of history
    days: Annotated[int, Field(ge=1)]
    treated_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    mean_days_to_purchase: Annotated[float, Field(ge=1)] = 3.0
    effects: dict[Literal["new", "returning"], Annotated[float, Field(ge=0, le=0.25)]]  # truth: share that buys because of it

    @model_validator(mode="after")
    def _both_segments(self) -> Self:
        if set(self.effects) != {"new", "returning"}:
            raise ValueError(f"experiment {self.id}: effects names {sorted(self.effects)}; give new and returning")
        return self


class People(_Strict):
    """The persons behind the market, as its website's Google Analytics sees them."""

    property_id: Annotated[str, Field(pattern=r"^\d+$")] = "300000001"
    sampling_rate: Annotated[float, Field(gt=0, le=1)] = 0.1  # share of clicks, visits and customers that are simulated
    other_sessions_per_customer: Positive = 30.0  # first visits without an ad, for each customer who would come anyway
    experiment: Experiment | None = None


class Shock(_Strict):
    """A change of the market itself, counted in days after the last day of history (1 = the first day after it)."""

    first_day_after_history: int
    days: Annotated[int, Field(ge=1)] = 365
    baseline_factor: Positive = 1.0
    response_factor: Positive = 1.0
    demand_factor: Positive = 1.0


class Manager(_Strict):
    """The manager account."""

    id: CustomerId
    name: str
    currency: str = "USD"
    time_zone: str = "America/New_York"


class World(_Strict):
    """A simulated advertiser, its ad accounts and the truth about its market."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    description: str
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    manager: Manager
    baseline: Baseline
    revenue: Revenue
    target_cac: Positive | None = None  # what the business says a new customer may cost at the margin; policy, not truth
    media_plan: MediaPlan = MediaPlan()
    people: People = People()
    today_share: Share = 0.2  # how much of today has already happened when an API call asks for it
    shocks: list[Shock] = []
    accounts: Annotated[list[Account], Field(min_length=1)]

    def on(self, platform: str) -> list[Account]:
        """The accounts on one platform."""
        return [account for account in self.accounts if account.platform == platform]

    @model_validator(mode="after")
    def _has_ads(self) -> Self:
        if all(c.channel == "PMAX" for a in self.on("google_ads") for c in a.campaigns):
            raise ValueError("every campaign on Google Ads is PMAX, so it has no ads; add a campaign of another channel")
        order = [a.platform for a in self.accounts]
        if order != sorted(order, key=PLATFORMS.index):
            raise ValueError(f"accounts stand by platform in the order {', '.join(PLATFORMS)}, not {', '.join(order)}")
        return self

    @model_validator(mode="after")
    def _unique_ids(self) -> Self:
        for kind, ids in (
            ("account", [account.id for account in self.accounts] + [self.manager.id]),
            ("campaign", [str(c.id) for a in self.accounts for c in a.campaigns]),
            ("budget", [str(b.id) for a in self.accounts for b in a.budgets]),
        ):
            twice = [value for value, n in Counter(ids).items() if n > 1]
            if twice:
                raise ValueError(f"{kind} id {twice[0]} is used twice; ids are unique in a world")
        return self


def world_ids() -> list[str]:
    """The ids of the worlds that come with the package."""
    return sorted(path.stem for path in WORLDS.glob("*.yaml"))


def _read(path: Path) -> object:
    """The file's content; ``extends: <world id>`` lays its keys over another world's, ``more_accounts`` adds to its accounts."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or "extends" not in content:
        return content
    base = WORLDS / f"{content.pop('extends')}.yaml"
    if not base.is_file():
        raise JobError(
            f"world file {path.name} extends {base.stem!r}, which does not exist; give one of {', '.join(world_ids())}"
        )
    more = content.pop("more_accounts", [])
    below = _read(base)
    if more and isinstance(below, dict):
        below = below | {"accounts": [*below["accounts"], *more]}
    return _overlay(below, content)


def _overlay(below: object, above: object) -> object:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _overlay(below.get(key), value) for key, value in above.items()}
    return above


def load_world(name_or_path: str) -> World:
    """The world with this id, or the one in this YAML file.

    Raises:
        JobError: no such world, not YAML, or a field that is unknown, missing or out of range (all of them are listed).
    """
    path = Path(name_or_path) if name_or_path.endswith((".yaml", ".yml")) else WORLDS / f"{name_or_path}.yaml"
    if not path.is_file():
        raise JobError(f"no world {name_or_path!r}; give one of {', '.join(world_ids())} or the path of a world YAML file")
    try:
        return World.model_validate(_read(path))
    except yaml.YAMLError as error:
        raise JobError(f"world file {path.name} is not YAML: {error}") from error
    except ValidationError as error:
        lines = [f"  {'.'.join(str(part) for part in e['loc']) or 'world'}: {e['msg']}" for e in error.errors()]
        raise JobError(
            f"world file {path.name} has {len(lines)} mistake(s); mend them and start again:\n" + "\n".join(lines)
        ) from error
