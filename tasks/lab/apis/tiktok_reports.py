"""TikTok's synchronous reports: basic ones and audience ones, by day and campaign or ad."""

import json
from collections.abc import Mapping
from datetime import date
from itertools import product
from typing import Any

from tasks.lab.apis.server import Request
from tasks.lab.apis.tiktok_words import PARAMETERS, BadRequestError, listed
from tasks.lab.apis.view import AccountView, Fact, Level

LONGEST_DAYS = 30
CLICK_WINDOW, VIEW_WINDOW = "7d_click", "1d_view"
_LEVELS: dict[str, Level] = {"AUCTION_CAMPAIGN": "campaign", "AUCTION_AD": "ad"}
_SHARES: dict[str, tuple[tuple[str, float], ...]] = {
    "country_code": (("US", 0.8), ("CA", 0.12), ("GB", 0.08)),
    "age": (
        ("AGE_18_24", 0.3),
        ("AGE_25_34", 0.34),
        ("AGE_35_44", 0.2),
        ("AGE_45_54", 0.1),
        ("AGE_55_100", 0.06),
    ),
    "gender": (("FEMALE", 0.55), ("MALE", 0.42), ("NONE", 0.03)),
    "placement": (("PLACEMENT_TIKTOK", 0.86), ("PLACEMENT_PANGLE", 0.09), ("PLACEMENT_GLOBAL_APP_BUNDLE", 0.05)),
}
# Sets of dimensions beside day and id that the API takes together.
_PARTS = {
    "BASIC": {frozenset[str](), frozenset({"country_code"})},
    "AUDIENCE": {
        frozenset({"country_code"}),
        frozenset({"age"}),
        frozenset({"gender"}),
        frozenset({"age", "gender"}),
        frozenset({"placement"}),
    },
}
_DELIVERY = {"spend", "impressions", "clicks", "conversion", "video_play_actions", "video_views_p100"}
_PAGE_EVENTS = {"complete_payment", "form"}
_WHOLE_ONLY = {"total_complete_payment_rate", "total_purchase", "total_purchase_value", "cta_conversion", "vta_conversion"}


def report(request: Request, view: AccountView, most_ads: int) -> tuple[list[dict[str, Any]], bool]:
    """Every row that is asked for, and whether ads were left out because the account holds more than ``most_ads``."""
    level, parts = _asked(request)
    first, last = (_day(request, name) for name in ("start_date", "end_date"))
    days = (last - first).days + 1
    if not 1 <= days <= LONGEST_DAYS:
        raise BadRequestError(PARAMETERS, f"The time range by stat_time_day must be 1 to {LONGEST_DAYS} days; it is {days}.")
    metrics = listed(request, "metrics", _metrics(request.query["report_type"], level, parts)) or ["spend", "impressions"]
    _check_filters(request, level)
    shares = [("|".join(name for name, _ in cell), _share(cell)) for cell in product(*(_SHARES[part] for part in parts))] or [
        ("all", 1.0)
    ]
    ads = sorted((int(node.id) for node in view.ads()), reverse=True)
    kept = {str(one) for one in ads[:most_ads]}
    facts = [f for f in view.facts(level, first, last, shares) if level != "ad" or f.ad_id in kept]
    return [_row(fact, level, parts, metrics) for fact in facts], len(ads) > most_ads


def _asked(request: Request) -> tuple[Level, list[str]]:
    """Level and further dimensions; BadRequestError where type, level and dimensions do not belong together."""
    kind, level = request.query.get("report_type", ""), request.query.get("data_level", "")
    if kind not in _PARTS:
        raise BadRequestError(PARAMETERS, f"report_type: {kind!r} is not supported here.")
    if level not in _LEVELS:
        raise BadRequestError(PARAMETERS, f"data_level: {level!r} is not supported here.")
    dimensions = listed(request, "dimensions")
    own = {"stat_time_day", f"{_LEVELS[level]}_id"}
    parts = [name for name in dimensions if name not in own]
    if not own <= set(dimensions) or frozenset(parts) not in _PARTS[kind]:
        raise BadRequestError(PARAMETERS, "Conflict occurs. The input params including metrics and dimensions have no relation.")
    return _LEVELS[level], parts


def _metrics(kind: str, level: Level, parts: list[str]) -> set[str]:
    if kind == "AUDIENCE":
        return _DELIVERY
    attributes = {"campaign_id", "adgroup_id"} if level == "ad" else set()
    return attributes | _DELIVERY | _PAGE_EVENTS | (set() if parts else _WHOLE_ONLY)


def _check_filters(request: Request, level: Level) -> None:
    """The filters' form; nothing is ever deleted in the market, so STATUS_ALL and the default show the same."""
    for one in json.loads(request.query.get("filtering", "[]")):
        if set(one) != {"field_name", "filter_type", "filter_value"}:
            raise BadRequestError(PARAMETERS, "filtering: field_name, filter_type and filter_value are required together.")
        if one["field_name"] != f"{level}_status" or one["filter_type"] != "IN":
            raise BadRequestError(PARAMETERS, f"filtering: {one['field_name']} {one['filter_type']} is not supported here.")
        if not isinstance(one["filter_value"], str) or not isinstance(json.loads(one["filter_value"]), list):
            raise BadRequestError(PARAMETERS, "filtering: filter_value must be a JSON list as a string.")


def _day(request: Request, name: str) -> date:
    text = request.query.get(name, "")
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:
        raise BadRequestError(PARAMETERS, f"{name}: {text!r} must be YYYY-MM-DD.")
    return found


def _share(cell: tuple[tuple[str, float], ...]) -> float:
    found = 1.0
    for _, share in cell:
        found *= share
    return found


def _row(fact: Fact, level: Level, parts: list[str], metrics: list[str]) -> dict[str, Any]:
    dimensions: dict[str, str] = {
        "stat_time_day": f"{fact.date.isoformat()} 00:00:00",
        f"{level}_id": fact.ad_id if level == "ad" else fact.campaign_id,
    }
    dimensions |= dict(zip(parts, fact.segment.split("|"), strict=True)) if parts else {}
    values = _values(fact)
    return {"dimensions": dimensions, "metrics": {name: values[name] for name in metrics}}


def _values(fact: Fact) -> Mapping[str, str]:
    purchases, value = fact.result("purchase", CLICK_WINDOW, VIEW_WINDOW)
    clicked, viewed = (fact.result("purchase", window)[0] for window in (CLICK_WINDOW, VIEW_WINDOW))
    return {
        "campaign_id": fact.campaign_id,
        "adgroup_id": fact.adgroup_id,
        "spend": _money(fact.cost_micros),
        "impressions": str(fact.impressions),
        "clicks": str(fact.clicks),
        "conversion": str(purchases),
        "cta_conversion": str(clicked),
        "vta_conversion": str(viewed),
        "complete_payment": str(purchases),
        "total_complete_payment_rate": _money(value),
        "total_purchase": "0",  # Acme has no app
        "total_purchase_value": "0.00",
        "form": str(fact.result("lead", CLICK_WINDOW, VIEW_WINDOW)[0]),
        "video_play_actions": str(fact.video_views),
        "video_views_p100": str(fact.video_completions),
    }


def _money(micros: int) -> str:
    units, rest = divmod(micros // 10_000, 100)
    return f"{units}.{rest:02d}"
