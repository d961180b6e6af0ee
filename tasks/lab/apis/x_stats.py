"""Analytics of X: which entities were active, and asynchronous jobs whose results are gzipped files.

Modelled: at most 20 entities a job; midnights of the account's zone for days; 90 days (45 with a segment) counted in hours, so
that a window over the end of summer time holds a day less; the segments of 2026, which have no countries; jobs in process for
``polls`` looks; metrics as arrays with one number a day, null where there was nothing; files that are served without credentials,
refuse a request that brings some, and expire after two days.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tasks.lab.apis.server import Request, Response
from tasks.lab.apis.view import AccountView, Fact, Level

FILES = "/advertiser-api-async-analytics/"
MAX_IDS, MAX_JOB_IDS, MAX_JOBS = 20, 200, 100
MAX_DAYS, MAX_SEGMENTED_DAYS = 90, 45
LINK_DAYS = 2
CLICK_WINDOW, VIEW_WINDOW = "30d_click", "1d_view"
DEVICES = (("iOS", 0.54), ("Android", 0.31), ("Desktop and laptop computers", 0.15))
_LEVELS: dict[str, Level] = {"CAMPAIGN": "campaign", "LINE_ITEM": "adgroup", "PROMOTED_TWEET": "ad"}
_SEGMENTS = {"AGE", "GENDER", "METROS", "PLATFORMS", "CONVERSION_TAGS"}
_PLACEMENTS = {"ALL_ON_TWITTER", "SPOTLIGHT", "TREND", "PUBLISHER_NETWORK"}
_GROUPS = {
    "ENGAGEMENT": ("impressions", "clicks", "url_clicks", "engagements", "likes"),
    "BILLING": ("billed_charge_local_micro", "billed_engagements"),
    "VIDEO": ("video_total_views", "video_views_100"),
    "WEB_CONVERSION": ("conversion_purchases", "conversion_sign_ups", "conversion_custom"),
}


class Refusal(Exception):
    """A request that X refuses."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def error(status: int, code: str | int, message: str, **headers: str) -> Response:
    """An error in X's words."""
    return Response(status, {"errors": [{"code": code, "message": message}], "request": {"params": {}}}, headers)


@dataclass
class _Job:
    id: int
    view: AccountView
    entity: str
    ids: list[str]
    first: date
    last: date
    groups: list[str]
    placement: str
    segment: str | None
    created_at: datetime
    looks_left: int
    fails: bool = False

    def told(self, base: str) -> dict[str, Any]:
        """The job as X shows it."""
        status = "PROCESSING" if self.looks_left > 0 else "FAILED" if self.fails else "SUCCESS"
        done = status == "SUCCESS"
        return {
            "id": self.id,
            "id_str": str(self.id),
            "status": status,
            "url": f"{base}{FILES}stats_job_{self.id}.json.gz" if done else None,
            "expires_at": _stamp(self.created_at + timedelta(days=LINK_DAYS)) if done else None,
            "entity": self.entity,
            "entity_ids": self.ids,
            "granularity": "DAY",
            "placement": self.placement,
            "segmentation_type": self.segment,
            "metric_groups": self.groups,
            "account_id": self.view.account.id,
        }


@dataclass
class Stats:
    """Jobs of this server; a restart forgets them.

    ``polls``: looks for which new jobs stay in process. ``failing``: so many of the next jobs fail.
    """

    polls: int = 0
    failing: int = 0
    _made: dict[int, _Job] = field(default_factory=dict)

    def jobs(self, request: Request, view: AccountView) -> Response:
        """A new job, or how jobs stand."""
        base = request.url.partition("/12/")[0].partition("/11/")[0]
        if request.method == "POST":
            return Response(200, {"request": {"params": dict(request.query)}, "data": self._make(request, view).told(base)})
        wanted = [text for text in request.query.get("job_ids", "").split(",") if text]
        if len(wanted) > MAX_JOB_IDS:
            raise Refusal(400, "INVALID_PARAMETER", f"job_ids takes at most {MAX_JOB_IDS}")
        found = [job for job in self._made.values() if str(job.id) in wanted and job.view.account.id == view.account.id]
        told = [job.told(base) for job in found]
        for job in found:
            job.looks_left -= 1
        return Response(200, {"request": {"params": dict(request.query)}, "data": told, "next_cursor": None})

    def _make(self, request: Request, view: AccountView) -> _Job:
        asked = request.query
        needed = ("entity", "entity_ids", "start_time", "end_time", "granularity", "placement", "metric_groups")
        if missing := [name for name in needed if not asked.get(name)]:
            raise Refusal(400, "MISSING_PARAMETER", f"{', '.join(missing)} is required")
        ids, groups, segment = asked["entity_ids"].split(","), asked["metric_groups"].split(","), asked.get("segmentation_type")
        allowed = (
            (asked["entity"] in _LEVELS, "entity"),
            (len(ids) <= MAX_IDS, "entity_ids"),
            (asked["granularity"] == "DAY", "granularity"),
            (asked["placement"] in _PLACEMENTS, "placement"),
            (set(groups) <= set(_GROUPS), "metric_groups"),
            (segment is None or segment in _SEGMENTS, "segmentation_type"),
            (segment in (None, "PLATFORMS") or "WEB_CONVERSION" not in groups, "metric_groups"),
            (segment != "METROS" or "country" in asked, "country"),
        )
        if wrong := [name for good, name in allowed if not good]:
            raise Refusal(400, "INVALID_PARAMETER", f"Invalid value for {', '.join(wrong)}")
        first, last = _days(asked, ZoneInfo(view.account.time_zone), MAX_SEGMENTED_DAYS if segment else MAX_DAYS)
        if sum(job.looks_left > 0 for job in self._made.values()) >= MAX_JOBS:
            raise Refusal(429, "TOO_MANY_REQUESTS", f"{MAX_JOBS} jobs are being processed")
        number = 1_120_829_647_711_653_888 + len(self._made)
        now = view.sandbox.now
        job = _Job(number, view, asked["entity"], ids, first, last, groups, asked["placement"], segment, now, self.polls)
        if self.failing:
            self.failing, job.fails = self.failing - 1, True
        self._made[number] = job
        return job

    def active_entities(self, request: Request, view: AccountView) -> Response:
        """Which entities have numbers in a window, and for which placements."""
        asked = request.query
        if asked.get("entity") not in _LEVELS:
            raise Refusal(400, "INVALID_PARAMETER", f"Invalid value for entity: {asked.get('entity')}")
        first, last = _days(asked, ZoneInfo(view.account.time_zone), MAX_DAYS)
        found: dict[str, dict[str, Any]] = {}
        for fact in view.facts(_LEVELS[asked["entity"]], first, last):
            one = found.setdefault(_id(asked["entity"], fact), {"activity_start_time": f"{fact.date}T12:00:00Z"})
            one["activity_end_time"] = f"{fact.date}T12:00:00Z"
        data = [{"entity_id": key, **when, "placements": ["ALL_ON_TWITTER"]} for key, when in found.items()]
        return Response(200, {"request": {"params": dict(asked)}, "data": data})

    def file(self, request: Request, now: datetime) -> Response:
        """The results of a job: gzipped, for whoever has the link."""
        if "authorization" in request.headers:
            return Response(400, b"<Error>only one way to sign in is allowed</Error>", {"Content-Type": "application/xml"})
        text = request.path.removeprefix(f"{FILES}stats_job_").removesuffix(".json.gz")
        job = self._made.get(int(text)) if text.isdigit() else None
        if job is None or job.looks_left > 0 or job.fails or now > job.created_at + timedelta(days=LINK_DAYS):
            return Response(404, b"<Error>NoSuchKey</Error>", {"Content-Type": "application/xml"})
        entries = list(_entries(job))
        if request.duplicate_rows and entries:
            entries = [entries[0], *entries]
        length = (job.last - job.first).days + 1
        body = {"data_type": "stats", "time_series_length": length, "data": entries}
        return Response(200, gzip.compress(json.dumps(body).encode()), {"Content-Type": "application/gzip"})


def _days(asked: Any, zone: ZoneInfo, most: int) -> tuple[date, date]:
    """First and last day of start_time and end_time, which is excluded."""
    moments = []
    for name in ("start_time", "end_time"):
        try:
            moment = datetime.fromisoformat(asked[name].replace("Z", "+00:00")).astimezone(UTC)
        except (KeyError, ValueError):
            raise Refusal(400, "INVALID_PARAMETER", f'Expected time, got "{asked.get(name)}" for {name}') from None
        if moment.astimezone(zone).time() != time():
            raise Refusal(400, "INVALID_PARAMETER", f"{name} is not at midnight of {zone.key}, which granularity DAY needs")
        moments.append(moment)
    start, end = moments
    if not start < end <= start + timedelta(days=most):
        raise Refusal(400, "INVALID_TIME_WINDOW", f"The time range must be more than none and at most {most} days")
    return start.astimezone(zone).date(), end.astimezone(zone).date() - timedelta(days=1)


def _id(entity: str, fact: Fact) -> str:
    return {"CAMPAIGN": fact.campaign_id, "LINE_ITEM": fact.adgroup_id, "PROMOTED_TWEET": fact.ad_id}[entity]


def _entries(job: _Job) -> Iterator[dict[str, Any]]:
    """Entities with a data entry for each segment."""
    parts = DEVICES if job.segment == "PLATFORMS" else (("all", 1.0),)
    facts: dict[tuple[str, str], dict[int, Fact]] = {}
    if job.placement == "ALL_ON_TWITTER":
        for fact in job.view.facts(_LEVELS[job.entity], job.first, job.last, parts):
            facts.setdefault((_id(job.entity, fact), fact.segment), {})[(fact.date - job.first).days] = fact
    length = (job.last - job.first).days + 1
    for entity in job.ids:
        own = [(name, facts.get((entity, name), {})) for name, _ in parts]
        yield {
            "id": entity,
            "id_data": [
                {
                    "segment": {"segment_name": name, "segment_value": name} if job.segment else None,
                    "metrics": _metrics(job, days, length),
                }
                for name, days in own
            ],
        }


def _metrics(job: _Job, days: dict[int, Fact], length: int) -> dict[str, Any]:
    names = [name for group in job.groups for name in _GROUPS[group]]
    if not days:
        return dict.fromkeys(names)
    series = [_numbers(days[n]) if n in days else {} for n in range(length)]
    found: dict[str, Any] = {}
    for name in names:
        if name == "conversion_custom":
            found[name] = dict.fromkeys(("metric", "post_engagement", "post_view", "order_quantity", "sale_amount"))
        elif name.startswith("conversion_"):
            keys = ("metric", "post_engagement", "post_view", "order_quantity", "sale_amount")
            found[name] = {key: [one.get(name, {}).get(key, 0) for one in series] for key in keys}
        else:
            found[name] = [one.get(name, 0) for one in series]
    return found


def _numbers(fact: Fact) -> dict[str, Any]:
    return {
        "impressions": fact.impressions,
        "clicks": fact.clicks,
        "url_clicks": fact.clicks,
        "engagements": fact.clicks,
        "likes": 0,
        "billed_charge_local_micro": fact.cost_micros,
        "billed_engagements": fact.clicks,
        "video_total_views": fact.video_views,
        "video_views_100": fact.video_completions,
        "conversion_purchases": _conversions(fact, "purchase"),
        "conversion_sign_ups": _conversions(fact, "lead"),
    }


def _conversions(fact: Fact, action: str) -> dict[str, int]:
    engaged, viewed = fact.result(action, CLICK_WINDOW), fact.result(action, VIEW_WINDOW)
    total = engaged[0] + viewed[0]
    counts = {"metric": total, "post_engagement": engaged[0], "post_view": viewed[0], "order_quantity": total}
    return counts | {"sale_amount": engaged[1] + viewed[1]}


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
