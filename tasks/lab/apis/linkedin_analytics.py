"""Ad analytics of LinkedIn: reports without pages, in Rest.li's own encoding.

Modelled: ``List(…)`` and nested parentheses must arrive unescaped, URNs inside them escaped; at most 20 metrics; an answer is cut
at 15,000 elements without a word; money is decimal strings; member pivots leave out what fewer than three members did. Not
modelled: days older than six months, which LinkedIn no longer tells, are told here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any
from urllib.parse import unquote, urlsplit

from tasks.lab.apis.server import Request, Response, page
from tasks.lab.apis.view import AccountView, Fact, Level

MAX_METRICS, MAX_ELEMENTS = 20, 15_000
FEWEST_MEMBERS = 3
RULE_ID, CLICK_DAYS, VIEW_DAYS = 104_004, 30, 1  # the account's one conversion rule
GEOS = (("103644278", 0.82), ("101174742", 0.1), ("101165590", 0.08))  # United States, Canada, United Kingdom
_PIVOTS: dict[str, Level] = {
    "CAMPAIGN_GROUP": "campaign",
    "CAMPAIGN": "adgroup",
    "CREATIVE": "ad",
    "ACCOUNT": "account",
    "MEMBER_COUNTRY_V2": "account",
}
_FACETS = {"accounts", "campaignGroups", "campaigns", "creatives"}
_RULE_METRICS = {
    "externalWebsiteConversions",
    "externalWebsitePostClickConversions",
    "externalWebsitePostViewConversions",
    "conversionValueInLocalCurrency",
}
_METRICS = _RULE_METRICS | {
    "impressions",
    "clicks",
    "landingPageClicks",
    "costInLocalCurrency",
    "oneClickLeads",
    "videoViews",
    "videoCompletions",
}


class BadRequestError(Exception):
    """A request that LinkedIn refuses."""

    def __init__(self, message: str, code: str = "ILLEGAL_ARGUMENT") -> None:
        super().__init__(message)
        self.code = code


def raw_query(request: Request) -> dict[str, str]:
    """The query as it came, not unescaped: Rest.li tells structure from content by what is escaped."""
    pairs = [part.partition("=") for part in urlsplit(request.url).query.split("&") if part]
    return {name: value for name, _, value in pairs}


def listed(text: str | None, what: str) -> list[str]:
    """``List(urn%3Ali…,…)``."""
    found = re.fullmatch(r"List\(([^()]*)\)", text or "")
    if found is None:
        raise BadRequestError(f"Invalid query parameters passed to request: {what}={text}", "PARAM_INVALID")
    if ":" in found[1]:
        raise BadRequestError(f"Syntax exception in {what}: colons inside List() must be escaped", "QUERY_PARAM_NOT_ALLOWED")
    return [unquote(item) for item in found[1].split(",") if item]


def decimal(micros: int) -> str:
    """Units of the currency as LinkedIn writes them, exact."""
    return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"


def analytics(request: Request, query: Mapping[str, str], views: Mapping[str, AccountView]) -> Response:
    """Elements of one account, at most 15,000 of them: what is more is cut and not told."""
    finder = query.get("q")
    if finder not in ("analytics", "statistics"):
        raise BadRequestError(f"No finder {finder!r} on adAnalytics")
    pivots = [query.get("pivot", "")] if finder == "analytics" else listed(query.get("pivots"), "pivots")
    by_rule = pivots[1:] == ["CONVERSION"] and finder == "statistics"
    if pivots[0] not in _PIVOTS or (len(pivots) > 1 and not by_rule):
        raise BadRequestError(f"Pivots {', '.join(pivots)} are not served", "PARAM_INVALID")
    if query.get("timeGranularity") != "DAILY":
        raise BadRequestError("Only timeGranularity=DAILY is served here", "PARAM_INVALID")
    first, last = _range(query.get("dateRange", ""))
    names = query.get("fields", "impressions,clicks").split(",")
    metrics = [name for name in names if name not in ("pivotValues", "dateRange")]
    if len(metrics) > MAX_METRICS:
        raise BadRequestError(f"Cannot request more than {MAX_METRICS} metrics", "PARAM_INVALID")
    if unknown := [name for name in metrics if name not in (_RULE_METRICS if by_rule else _METRICS)]:
        raise BadRequestError(f"Unknown or unsupported fields: {', '.join(unknown)}", "PARAM_INVALID")
    if not _FACETS & set(query):
        raise BadRequestError(
            "At least one facet must be given: accounts, campaignGroups, campaigns or creatives", "PARAM_INVALID"
        )
    (urn, *more) = listed(query.get("accounts"), "accounts")
    if more or not urn.startswith("urn:li:sponsoredAccount:"):
        raise BadRequestError("This sandbox serves one account a call", "INVALID_URN")
    if (view := views.get(urn.removeprefix("urn:li:sponsoredAccount:"))) is None:
        raise BadRequestError(f"Invalid account {urn}", "INVALID_URN")
    rows = list(_elements(view, pivots[0], by_rule, names, first, last))
    unpaged = replace(request, small_pages=False)
    part, _ = page(rows[:MAX_ELEMENTS], 0, MAX_ELEMENTS, unpaged, lambda row: row)
    return Response(200, {"elements": part, "paging": {"start": 0, "count": 10, "links": []}})


def _range(text: str) -> tuple[date, date]:
    day = r"\(year:(\d+),month:(\d+),day:(\d+)\)"
    found = re.fullmatch(rf"\(start:{day},end:{day}\)", text)
    if found is None:
        raise BadRequestError(f"Invalid query parameters passed to request: dateRange={text}", "PARAM_INVALID")
    numbers = [int(n) for n in found.groups()]
    first, last = date(*numbers[:3]), date(*numbers[3:])
    if last < first:
        raise BadRequestError("dateRange ends before it starts", "PARAM_INVALID")
    return first, last


def _elements(
    view: AccountView, pivot: str, by_rule: bool, names: list[str], first: date, last: date
) -> Iterator[dict[str, Any]]:
    parts = GEOS if pivot == "MEMBER_COUNTRY_V2" else (("all", 1.0),)
    for fact in view.facts(_PIVOTS[pivot], first, last, parts):
        if pivot == "MEMBER_COUNTRY_V2" and fact.impressions < FEWEST_MEMBERS:
            continue
        numbers = _numbers(fact)
        if by_rule and not numbers["externalWebsiteConversions"]:
            continue
        day = {"year": fact.date.year, "month": fact.date.month, "day": fact.date.day}
        values = [_urn(view, pivot, fact)] + ([f"urn:lla:llaPartnerConversion:{RULE_ID}"] if by_rule else [])
        everything = numbers | {"dateRange": {"start": day, "end": day}, "pivotValues": values}
        yield {name: everything[name] for name in names}


def _urn(view: AccountView, pivot: str, fact: Fact) -> str:
    return {
        "CAMPAIGN_GROUP": f"urn:li:sponsoredCampaignGroup:{fact.campaign_id}",
        "CAMPAIGN": f"urn:li:sponsoredCampaign:{fact.adgroup_id}",
        "CREATIVE": f"urn:li:sponsoredCreative:{fact.ad_id}",
        "ACCOUNT": f"urn:li:sponsoredAccount:{view.account.id}",
        "MEMBER_COUNTRY_V2": f"urn:li:geo:{fact.segment}",
    }[pivot]


def _numbers(fact: Fact) -> dict[str, Any]:
    clicked, viewed = fact.result("purchase", f"{CLICK_DAYS}d_click"), fact.result("purchase", f"{VIEW_DAYS}d_view")
    return {
        "impressions": fact.impressions,
        "clicks": fact.clicks,
        "landingPageClicks": fact.clicks,
        "costInLocalCurrency": decimal(fact.cost_micros),
        "externalWebsiteConversions": clicked[0] + viewed[0],
        "externalWebsitePostClickConversions": clicked[0],
        "externalWebsitePostViewConversions": viewed[0],
        "conversionValueInLocalCurrency": decimal(clicked[1] + viewed[1]),
        "oneClickLeads": fact.result("lead", f"{CLICK_DAYS}d_click")[0],
        "videoViews": fact.video_views,
        "videoCompletions": fact.video_completions,
    }
