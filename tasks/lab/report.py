"""Run a parsed GAQL query against the sandbox: rows as flat dictionaries, attribute path → value."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.lab import catalog, gaql
from tasks.lab.api_errors import ApiError, Problem, query_error
from tasks.lab.checks import check, matches
from tasks.lab.cube import ACTIONS, Cube
from tasks.lab.fields import (
    CONVERSION_SEGMENTS,
    LAG_BUCKETS,
    MONEY_SCALE,
    SHARE_METRICS,
    TIME_SEGMENTS,
    VIDEO_END_SHARE,
    VIDEO_VIEW_SHARE,
)
from tasks.lab.layout import MAX_LAG_DAYS
from tasks.lab.sandbox import Sandbox

Row = dict[str, object]
Array = NDArray[np.float64]

VIDEO_CHANNELS = ("YOUTUBE", "DEMAND_GEN")
_DAY_NAMES = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")


@dataclass(frozen=True)
class Slices:
    """Parts of a metric: days grouped by time segments, actions, lags."""

    times: list[tuple[Row, list[int]]]  # segment values, day indices
    actions: list[tuple[Row, tuple[str, ...]]]
    lags: list[tuple[Row, slice]]


def execute(sandbox: Sandbox, cube: Cube, customer_id: str, query: gaql.Query) -> list[Row]:
    """All rows of ``query``, filtered, sorted and limited; values are Python scalars, enums their names.

    Raises:
        ApiError: what the API would refuse.
    """
    check(sandbox, customer_id, query)
    if query.resource == "change_event":
        change_event_guard(sandbox, query)
        query = replace(query, conditions=tuple(_fixed_range(sandbox, c) for c in query.conditions))
    attribute_filters = [c for c in query.conditions if not c.field.startswith(("segments.", "metrics."))]
    kept = [
        e
        for e in catalog.entities(sandbox, customer_id, query.resource)
        if all(matches(e.attributes[c.field], c) for c in attribute_filters)
    ]
    segments = [f for f in query.fields if f.startswith("segments.")]
    metrics = [f for f in _used(query) if f.startswith("metrics.")]
    if not segments and not metrics:
        rows: Iterator[Row] = (dict(e.attributes) for e in kept)
    else:
        rows = _segmented(sandbox, cube, kept, customer_id, query, segments, metrics)
    late_filters = [c for c in query.conditions if c.field.startswith(("segments.", "metrics.")) and c.field not in TIME_SEGMENTS]
    found = [row for row in rows if all(matches(row[c.field], c) for c in late_filters)]
    for name, descending in reversed(query.order_by):
        found.sort(key=lambda row, name=name: row[name], reverse=descending)  # type: ignore[misc]
    return found[: query.limit] if query.limit else found


def _fixed_range(sandbox: Sandbox, condition: gaql.Condition) -> gaql.Condition:
    """DURING as the BETWEEN that it stands for."""
    if condition.operator != "DURING":
        return condition
    low, high = gaql.during(gaql.as_text(condition.value), sandbox.today)
    return gaql.Condition(condition.field, "BETWEEN", (low.isoformat(), f"{high.isoformat()} 23:59:59.999999"))


def _used(query: gaql.Query) -> list[str]:
    return list(dict.fromkeys([*query.fields, *(c.field for c in query.conditions), *(name for name, _ in query.order_by)]))


def date_window(sandbox: Sandbox, conditions: Sequence[gaql.Condition]) -> tuple[date, date]:
    """First and last day, both included, that the conditions on ``segments.date`` leave of the whole history."""
    first, last = sandbox.market.start, sandbox.today
    for condition in conditions:
        if condition.field != "segments.date":
            continue
        if condition.operator == "DURING":
            low, high = gaql.during(gaql.as_text(condition.value), sandbox.today)
        elif condition.operator == "BETWEEN":
            low, high = (_day(v) for v in condition.value)  # type: ignore[union-attr]
        else:
            at = _day(condition.value)
            low, high = {
                "=": (at, at),
                ">=": (at, date.max),
                ">": (at + timedelta(days=1), date.max),
                "<=": (date.min, at),
                "<": (date.min, at - timedelta(days=1)),
            }[condition.operator]
        first, last = max(first, low), min(last, high)
    return first, last


def _day(value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise query_error("INVALID_DATE_FORMAT", f"Error in query: {value} is no date; write 'YYYY-MM-DD'.") from None


def _slices(sandbox: Sandbox, customer_id: str, query: gaql.Query, segments: list[str]) -> Slices:
    first, last = date_window(sandbox, query.conditions)
    groups: dict[tuple[object, ...], list[int]] = {}
    names = [s for s in segments if s in TIME_SEGMENTS]
    filters = [c for c in query.conditions if c.field in TIME_SEGMENTS and c.field != "segments.date"]
    for ordinal in range((last - first).days + 1):
        day = first + timedelta(days=ordinal)
        if not all(matches(_time_segment(c.field, day), c) for c in filters):
            continue
        key = tuple(_time_segment(name, day) for name in names)
        groups.setdefault(key, []).append((day - sandbox.market.start).days)
    times = [(dict(zip(names, key, strict=True)), days) for key, days in groups.items()]
    action_names = [s for s in segments if s in CONVERSION_SEGMENTS and s != "segments.conversion_lag_bucket"]
    actions: list[tuple[Row, tuple[str, ...]]] = [({}, ACTIONS)]
    if action_names:
        actions = []
        for action in ACTIONS:
            attributes = catalog.action_attributes(customer_id, action)
            values = {
                "segments.conversion_action": attributes["conversion_action.resource_name"],
                "segments.conversion_action_name": attributes["conversion_action.name"],
                "segments.conversion_action_category": attributes["conversion_action.category"],
            }
            actions.append(({name: values[name] for name in action_names}, (action,)))
    lags: list[tuple[Row, slice]] = [({}, slice(0, MAX_LAG_DAYS))]
    if "segments.conversion_lag_bucket" in segments:
        lags = [({"segments.conversion_lag_bucket": name}, days) for name, days in LAG_BUCKETS.items()]
    return Slices(times, actions, lags)


def _time_segment(name: str, day: date) -> object:
    quarter = date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)
    return {
        "segments.date": day.isoformat(),
        "segments.week": (day - timedelta(days=day.weekday())).isoformat(),
        "segments.month": day.replace(day=1).isoformat(),
        "segments.quarter": quarter.isoformat(),
        "segments.year": day.year,
        "segments.day_of_week": _DAY_NAMES[day.weekday()],
    }[name]


def _segmented(
    sandbox: Sandbox,
    cube: Cube,
    kept: list[catalog.Entity],
    customer_id: str,
    query: gaql.Query,
    segments: list[str],
    metrics: list[str],
) -> Iterator[Row]:
    """One row for each entity and slice; as in the API, a row whose metrics are all zero is left out once segmented."""
    slices = _slices(sandbox, customer_id, query, segments)
    whole = cube.by_criterion if query.resource in catalog.CRITERION_VIEWS else cube
    part = whole.on([day for _, days in slices.times for day in days])
    asked = {*query.fields, *(f"{name.split('.', maxsplit=1)[0]}.resource_name" for name in query.fields)}
    for (action_row, actions), (lag_row, lags) in product(slices.actions, slices.lags):
        wants_share = any(name in SHARE_METRICS for name in metrics)
        tables = _totals(sandbox, part, kept, slices.times, actions, lags, wants_share=wants_share)
        values = {name: _metric(name, tables) for name in metrics}
        selected = [values[m] for m in metrics if m in query.fields] or list(values.values())
        is_kept = np.ones((len(slices.times), len(kept)), dtype=bool)
        if segments and selected:
            is_kept = np.any([np.nan_to_num(table) != 0 for table in selected], axis=0)
        for entity_index, entity in enumerate(kept):
            # A history is tens of thousands of rows: each carries what is asked for and no more.
            own = {path: value for path, value in entity.attributes.items() if path in asked}
            for time_index in np.flatnonzero(is_kept[:, entity_index]):
                row = own | slices.times[time_index][0] | action_row | lag_row
                for name, table in values.items():
                    row[name] = _scalar(name, table[time_index, entity_index])
                yield row


def _scalar(name: str, value: Any) -> object:
    if name in (
        "metrics.impressions",
        "metrics.clicks",
        "metrics.interactions",
        "metrics.cost_micros",
        "metrics.video_trueview_views",
    ):
        return int(value)
    return None if np.isnan(value) else float(value)


def _totals(
    sandbox: Sandbox,
    cube: Cube,
    kept: list[catalog.Entity],
    times: list[tuple[Row, list[int]]],
    actions: tuple[str, ...],
    lags: slice,
    *,
    wants_share: bool,
) -> dict[str, Array]:
    """Sums as (times, entities): counts, cost, conversions and value of primary and of all actions, eligible impressions.

    ``cube`` holds the days of ``times`` alone, in their order.
    """
    layout = sandbox.market.layout
    by_unit = np.zeros((cube.clicks.shape[1], len(kept)))
    by_campaign = np.zeros((layout.n_campaigns, len(kept)))
    for index, entity in enumerate(kept):
        by_unit[list(entity.units), index] = 1.0
        by_campaign[list(entity.campaigns), index] = 1.0
    starts = np.cumsum([0, *(len(group) for _, group in times)])[:-1]

    def total(daily: NDArray[Any], members: Array) -> Array:
        if not times:
            return np.zeros((0, len(kept)))
        return np.asarray(np.add.reduceat(daily @ members, starts, axis=0), dtype=np.float64)

    tables = {name: total(getattr(cube, name), by_unit) for name in ("impressions", "clicks", "cost_micros")}
    zero = np.zeros_like(tables["clicks"])
    for prefix, counted in (("", [a for a in actions if a == "purchase"]), ("all_", list(actions))):
        counts = [cube.conversions[a][:, :, lags].sum(axis=2) for a in counted]
        tables[f"{prefix}conversions"] = sum((total(c, by_unit) for c in counts), zero)
    purchases = cube.conversions["purchase"][:, :, lags].sum(axis=2) if "purchase" in actions else None
    value = zero if purchases is None else total(purchases * cube.order_micros, by_unit) / MONEY_SCALE
    tables["conversions_value"] = tables["all_conversions_value"] = value
    if cube.impressions.shape[1] == layout.n_units:  # the parts of criteria show no video metrics
        has_video = np.array([unit.campaign.channel in VIDEO_CHANNELS for unit in layout.units])
        for name, share in (("video_trueview_views", VIDEO_VIEW_SHARE), ("video_ends", VIDEO_END_SHARE)):
            tables[name] = total(np.floor(cube.impressions * has_video * share), by_unit)
    if wants_share:
        _share_totals(sandbox, cube, tables, total, by_campaign)
    return tables


def _share_totals(sandbox: Sandbox, cube: Cube, tables: dict[str, Array], total: Any, by_campaign: Array) -> None:
    """Impressions of search campaigns, and those they were eligible for, missed by budget and by rank."""
    layout = sandbox.market.layout
    is_search = np.array([catalog.CHANNEL_TYPES.get(c.channel) == "SEARCH" for c in layout.campaigns])
    served = np.zeros((len(cube.impressions), layout.n_campaigns))
    np.add.at(served.T, layout.unit_campaign, cube.impressions.T)
    served = served * is_search
    reachable = np.divide(served, cube.delivery, out=np.zeros_like(served), where=cube.delivery > 0)
    eligible = reachable / (1.0 - layout.rank_lost)
    tables["search_served"] = total(served, by_campaign)
    tables["search_eligible"] = total(eligible, by_campaign)
    tables["search_lost_budget"] = total(reachable - served, by_campaign)
    tables["search_lost_rank"] = total(eligible - reachable, by_campaign)


def _metric(name: str, tables: dict[str, Array]) -> Array:
    """One metric; shares are NaN where nothing was eligible, and clipped as the API clips them."""
    leaf = name.removeprefix("metrics.")

    def ratio(top: str, bottom: str, empty: float = 0.0) -> Array:
        out = np.full_like(tables[top], empty)
        return np.divide(tables[top], tables[bottom], out=out, where=tables[bottom] > 0)

    if name in SHARE_METRICS:
        share = ratio({"search_impression_share": "search_served", "search_budget_lost_impression_share": "search_lost_budget",
                       "search_rank_lost_impression_share": "search_lost_rank"}[leaf], "search_eligible", np.nan)  # fmt: skip
        if leaf == "search_impression_share":
            return np.where(share < 0.1, 0.0999, share)
        return np.where(share > 0.9, 0.9001, share)
    ratios = {
        "ctr": ("clicks", "impressions"),
        "average_cpc": ("cost_micros", "clicks"),
        "cost_per_conversion": ("cost_micros", "conversions"),
        "conversions_from_interactions_rate": ("conversions", "clicks"),
        "video_quartile_p100_rate": ("video_ends", "impressions"),
    }
    if leaf in ratios:
        return ratio(*ratios[leaf])
    return tables["clicks" if leaf == "interactions" else leaf]


def change_event_guard(sandbox: Sandbox, query: gaql.Query) -> None:
    """``change_event`` needs a finite window of at most 30 days and a LIMIT of at most 10,000.

    Raises:
        ApiError: a ``ChangeEventError``.
    """

    def refuse(code: str, message: str) -> ApiError:
        return ApiError("INVALID_ARGUMENT", [Problem("change_event_error", code, message)])

    if query.limit is None:
        raise refuse("LIMIT_NOT_SPECIFIED", "A LIMIT clause is required when querying the change_event resource.")
    if query.limit > 10_000:
        raise refuse("INVALID_LIMIT_CLAUSE", "The LIMIT clause for change_event must be at most 10,000.")
    bounds = [c for c in query.conditions if c.field == "change_event.change_date_time"]
    low: str | None = None
    high: str | None = None
    for condition in bounds:
        if condition.operator == "BETWEEN" and isinstance(condition.value, tuple):
            low, high = condition.value
        elif condition.operator == "DURING":
            low, high = (d.isoformat() for d in gaql.during(gaql.as_text(condition.value), sandbox.today))
        elif condition.operator in (">", ">="):
            low = str(condition.value)
        elif condition.operator in ("<", "<="):
            high = str(condition.value)
    if low is None or high is None:
        raise refuse("CHANGE_DATE_RANGE_INFINITE", "The change_date_time filter must have a lower and an upper bound.")
    if low[:10] > high[:10]:
        raise refuse("CHANGE_DATE_RANGE_NEGATIVE", "The lower bound of change_date_time is after the upper bound.")
    if _day(low[:10]) < sandbox.today - timedelta(days=30):
        raise refuse("START_DATE_TOO_OLD", "The requested start date is too old. It cannot be older than 30 days.")
