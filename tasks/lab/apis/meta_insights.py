"""Insights of Meta's sandbox API: what a report may ask for, the life of its job, and its rows."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import product
from typing import Any

from tasks.lab.apis.meta_errors import GraphError
from tasks.lab.apis.view import AccountView, Fact, Level

LEVELS: dict[str, Level] = {"account": "account", "campaign": "campaign", "adset": "adgroup", "ad": "ad"}
WINDOWS = ("1d_click", "7d_click", "28d_click", "1d_view")  # 7d_view and 28d_view are gone since January 2026
HISTORY_MONTHS = 37
MAX_ROWS = 500_000
QUICK_ROWS = 1000  # a report of so many rows is ready when it is first asked about
IDS = {"account_id": "account", "campaign_id": "campaign", "adset_id": "adset", "ad_id": "ad"}
NUMBERS = (
    "impressions",
    "clicks",
    "spend",
    "actions",
    "action_values",
    "video_thruplay_watched_actions",
    "video_p100_watched_actions",
)
_COUNTRIES = (("US", 0.81), ("CA", 0.12), ("MX", 0.07))
_PLACEMENTS = (
    ("facebook:feed", 0.42),
    ("instagram:feed", 0.2),
    ("instagram:instagram_stories", 0.17),
    ("facebook:facebook_reels", 0.14),
    ("audience_network:an_classic", 0.07),
)
_AGES = (("18-24", 0.12), ("25-34", 0.31), ("35-44", 0.27), ("45-54", 0.17), ("55-64", 0.08), ("65+", 0.05))
_GENDERS = (("female", 0.55), ("male", 0.42), ("unknown", 0.03))
_BREAKDOWNS: dict[tuple[str, ...], tuple[tuple[str, float], ...]] = {
    (): (("all", 1.0),),
    ("country",): _COUNTRIES,
    ("publisher_platform", "platform_position"): _PLACEMENTS,
    ("age", "gender"): tuple((f"{age}:{gender}", a * g) for (age, a), (gender, g) in product(_AGES, _GENDERS)),
}
# One result under the names Meta gives it beside each other.
_NAMES = {
    "purchase": ("purchase", "omni_purchase", "offsite_conversion.fb_pixel_purchase"),
    "lead": ("lead", "offsite_conversion.fb_pixel_lead"),
}


@dataclass(frozen=True)
class Asked:
    """A report that may be made."""

    level: str
    first: date
    last: date
    fields: tuple[str, ...]
    breakdowns: tuple[str, ...]
    windows: tuple[str, ...]


@dataclass
class Run:
    """A report's job. Its rows are those of the moment at which it is first asked about."""

    account_id: str
    asked: Asked
    reads: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def advance(self, view: AccountView) -> tuple[str, int]:
        """Status and percentage at the next look at it."""
        self.reads += 1
        if self.reads == 1:
            self.rows = list(_rows(view, self.asked))
        if len(self.rows) > QUICK_ROWS and self.reads == 1:
            return "Job Running", 40
        return "Job Completed", 100


def parse(form: Mapping[str, str], view: AccountView, today: date, max_rows: int) -> Asked:
    """The report that ``form`` asks for; GraphError for what the platform refuses."""
    level = form.get("level", "account")
    if level not in LEVELS:
        raise GraphError(100, f"(#100) level must be one of the following values: {', '.join(LEVELS)}")
    if form.get("time_increment") != "1":
        raise GraphError(100, "(#100) this sandbox reports by day: time_increment=1")
    if unknown := sorted(set(_decoded(form, "action_breakdowns", [])) - {"action_type"}):
        raise GraphError(100, f"(#100) action_breakdowns {unknown} are not modelled")
    fields = tuple(name for name in form.get("fields", "").split(",") if name)
    if not fields or (unknown := sorted(set(fields) - set(IDS) - set(NUMBERS))):
        raise GraphError(100, f"(#100) {', '.join(unknown) if fields else 'nothing'} is not valid for fields param")
    windows = tuple(_decoded(form, "action_attribution_windows", ["7d_click", "1d_view"]))
    if wrong := sorted(set(windows) - set(WINDOWS)):
        raise GraphError(100, f"(#100) action_attribution_windows: {', '.join(wrong)} is no longer available")
    breakdowns = tuple(_decoded(form, "breakdowns", []))
    if breakdowns not in _BREAKDOWNS:
        message = f"(#100) Current combination of data breakdown columns ({', '.join(breakdowns)}) is invalid"
        raise GraphError(100, message, subcode=1487534 if not breakdowns else 0)
    if breakdowns and any(name.startswith("video_") for name in fields):
        raise GraphError(100, "(#100) video metrics by breakdown are not modelled")
    first, last = _days(form, today)
    entities = {"account": 1, "campaign": len(view.campaigns()), "adset": len(view.ad_groups()), "ad": len(view.ads())}[level]
    if ((last - first).days + 1) * entities * len(_BREAKDOWNS[breakdowns]) > max_rows:
        message = "(#100) Please reduce the amount of data you're asking for, then retry your request"
        raise GraphError(100, message, subcode=1487534)
    return Asked(level, first, last, fields, breakdowns, windows)


def _decoded(form: Mapping[str, str], name: str, default: list[str]) -> list[str]:
    try:
        found = json.loads(form[name]) if name in form else default
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, list):
        raise GraphError(100, f"(#100) {name} must be an array")
    return [str(one) for one in found]


def _days(form: Mapping[str, str], today: date) -> tuple[date, date]:
    try:
        asked = json.loads(form["time_range"])
        first, last = date.fromisoformat(asked["since"]), date.fromisoformat(asked["until"])
    except (KeyError, TypeError, ValueError):
        raise GraphError(100, "(#100) time_range must be an object with since and until as YYYY-MM-DD") from None
    if first > last:
        raise GraphError(100, "(#100) time_range: since must be before until")
    months = (today.year - first.year) * 12 + today.month - first.month - (today.day < first.day)
    if months >= HISTORY_MONTHS:
        message = "(#3018) The start date of the time range cannot be beyond 37 months from the current date"
        raise GraphError(3018, message)
    return first, last


def _rows(view: AccountView, asked: Asked) -> Iterator[dict[str, Any]]:
    """What is empty is left out of a row, as by the platform."""
    wanted = set(asked.fields)
    for fact in view.facts(LEVELS[asked.level], asked.first, asked.last, _BREAKDOWNS[asked.breakdowns]):
        day = fact.date.isoformat()
        counts, values = _actions(fact, asked.windows)
        everything: dict[str, Any] = {
            "account_id": view.account.id,
            "campaign_id": fact.campaign_id,
            "adset_id": fact.adgroup_id,
            "ad_id": fact.ad_id,
            "impressions": str(fact.impressions),
            "clicks": str(fact.clicks),
            "spend": decimal(fact.cost_micros),
            "actions": counts,
            "action_values": values,
            "video_thruplay_watched_actions": _video(fact.video_views),
            "video_p100_watched_actions": _video(fact.video_completions),
        }
        row: dict[str, Any] = {name: value for name, value in everything.items() if value and name in wanted}
        row |= {"date_start": day, "date_stop": day}
        yield row | dict(zip(asked.breakdowns, fact.segment.split(":"), strict=False))


def _actions(fact: Fact, windows: tuple[str, ...]) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Counts and values of each result; windows without any are left out. Leads have no value."""
    clicks = str(fact.clicks)
    counts: list[dict[str, str]] = [{"action_type": "link_click", "value": clicks, "7d_click": clicks}] if fact.clicks else []
    values: list[dict[str, str]] = []
    for action, names in _NAMES.items():
        told = {window: fact.actions[action, window] for window in windows}
        if not any(n for n, _ in told.values()):
            continue
        default = fact.result(action, "7d_click", "1d_view")
        by_count = {"value": str(default[0])} | {window: str(n) for window, (n, _) in told.items() if n}
        counts += [{"action_type": name, **by_count} for name in names]
        if action != "lead":
            by_value = {"value": decimal(default[1])} | {window: decimal(value) for window, (_, value) in told.items() if value}
            values += [{"action_type": name, **by_value} for name in names]
    return counts, values


def _video(count: int) -> list[dict[str, str]]:
    return [{"action_type": "video_view", "value": str(count)}] if count else []


def decimal(micros: int) -> str:
    """Micros as the decimal number of currency that they are: exact, no more digits than needed."""
    whole, rest = divmod(micros, 1_000_000)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
