"""Analytics of X: which entities were active, a job for twenty of them at a time, its gzipped file, arrays as rows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import batched
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tasks.core.errors import TryAgain
from tasks.platforms.base import Account
from tasks.platforms.calls import CallError, Kind
from tasks.platforms.columns import Column, convert_frame
from tasks.platforms.http import JsonApi

if TYPE_CHECKING:
    import polars as pl

MAX_IDS, MAX_JOBS = 20, 50  # entities a job; jobs at a time, of the 100 that an account may have
# X allows 90 days, 45 with segments, counted in hours: the day of 25 hours must not make it more.
WINDOW_DAYS, SEGMENTED_DAYS = 89, 44
TRIES = 2  # a job that fails, or whose file is gone, is made anew once
POLL_SECONDS, MAX_POLL_SECONDS, PATIENCE_SECONDS = 2.0, 30.0, 900.0


@dataclass(frozen=True)
class Ask:
    """One job."""

    account: Account
    entity: str
    ids: tuple[str, ...]
    placement: str
    start: date
    end: date
    groups: str
    segment: str | None = None

    def params(self) -> dict[str, str]:
        """As the API takes it."""
        fixed = {"entity": self.entity, "entity_ids": ",".join(self.ids), "granularity": "DAY"}
        more = {"segmentation_type": self.segment} if self.segment else {}
        return (
            fixed
            | {"placement": self.placement, "metric_groups": self.groups}
            | window(self.account, self.start, self.end)
            | more
        )


def window(account: Account, start: date, end: date) -> dict[str, str]:
    """``start`` to ``end``, both included, as instants: midnights of the account's zone, the end excluded."""
    zone = ZoneInfo(account.timezone)
    return {"start_time": _midnight(start, zone), "end_time": _midnight(end + timedelta(days=1), zone)}


def spans(start: date, end: date, days: int) -> Iterator[tuple[date, date]]:
    """``start`` to ``end`` in parts of at most ``days`` days."""
    while start <= end:
        last = min(end, start + timedelta(days=days - 1))
        yield start, last
        start = last + timedelta(days=1)


def report(
    api: JsonApi,
    account: Account,
    entity: str,
    days: tuple[date, date],
    columns: Sequence[Column],
    groups: str,
    sleep: Callable[[float], None],
    segment: str | None = None,
) -> pl.DataFrame:
    """``columns`` with date, entity_id, placement and segment; days without any number are left out.

    TryAgain if jobs fail twice or do not end.
    """
    import polars as pl

    asks = [
        Ask(account, entity, tuple(ids), placement, start, end, groups, segment)
        for start, end in spans(*days, SEGMENTED_DAYS if segment else WINDOW_DAYS)
        for placement, active in sorted(_active(api, account, entity, start, end).items())
        for ids in batched(sorted(active), MAX_IDS)
    ]
    found = [pl.DataFrame(schema=_schema(columns))]
    for some in batched(asks, MAX_JOBS):
        found += [_frame(body, ask, columns) for ask, body in _results(api, some, sleep)]
    return pl.concat(found)


def _active(api: JsonApi, account: Account, entity: str, start: date, end: date) -> dict[str, set[str]]:
    """Placement → entities that have numbers there."""
    path = f"/stats/accounts/{account.account_id}/active_entities"
    asked = {"entity": entity} | window(account, start, end)
    found: dict[str, set[str]] = {}
    for row in api.read(f"account {account.account_id}, active {entity}", "GET", path, params=asked)["data"]:
        for placement in row["placements"]:
            found.setdefault(placement, set()).add(row["entity_id"])
    return found


def _results(api: JsonApi, asks: Sequence[Ask], sleep: Callable[[float], None]) -> Iterator[tuple[Ask, Mapping[str, Any]]]:
    """Every job's decoded file; jobs run side by side."""
    left = list(asks)
    for _ in range(TRIES):
        jobs = {_started(api, ask): ask for ask in left}
        left = []
        for number, state in _ended(api, jobs, sleep).items():
            body = _file(api, jobs[number], state["url"]) if state["status"] == "SUCCESS" else None
            if body is None:
                left.append(jobs[number])
            else:
                yield jobs[number], body
        if not left:
            return
    raise TryAgain(
        f"account {left[0].account.account_id}: {len(left)} analytics jobs of X failed {TRIES} times, the first for "
        f"{left[0].start} to {left[0].end}; run the same command again later"
    )


def _started(api: JsonApi, ask: Ask) -> str:
    # Read, not mutate: a job that is made twice costs nothing and changes nothing.
    path, what = f"/stats/jobs/accounts/{ask.account.account_id}", f"account {ask.account.account_id}, job for {ask.entity}"
    return str(api.read(what, "POST", path, params=ask.params())["data"]["id_str"])


def _ended(api: JsonApi, jobs: Mapping[str, Ask], sleep: Callable[[float], None]) -> dict[str, Mapping[str, Any]]:
    """Job → how it ended. Looked at once at once, then ever less often."""
    if not jobs:
        return {}
    account = next(iter(jobs.values())).account.account_id
    ended: dict[str, Mapping[str, Any]] = {}
    waited, pause = 0.0, POLL_SECONDS
    while True:
        open_ = ",".join(number for number in jobs if number not in ended)
        asked = {"job_ids": open_, "count": str(MAX_JOBS)}
        for state in api.read(f"account {account}, state of jobs", "GET", f"/stats/jobs/accounts/{account}", params=asked)[
            "data"
        ]:
            if state["status"] not in ("PROCESSING", "QUEUED", "UPLOADING"):
                ended[str(state["id_str"])] = state
        if len(ended) == len(jobs):
            return ended
        if waited >= PATIENCE_SECONDS:
            raise TryAgain(f"account {account}: {len(jobs) - len(ended)} analytics jobs of X do not end; try again later")
        sleep(pause)
        waited, pause = waited + pause, min(MAX_POLL_SECONDS, pause * 2)


def _file(api: JsonApi, ask: Ask, url: str) -> Mapping[str, Any] | None:
    """A job's decoded file; None if the link is dead."""
    try:
        packed = api.download(f"account {ask.account.account_id}, results for {ask.entity}", url)
    except CallError as error:
        if error.failure.kind is not Kind.REQUEST:
            raise
        return None
    body: Mapping[str, Any] = json.loads(gzip.decompress(packed))
    return body


def _schema(columns: Sequence[Column]) -> dict[str, Any]:
    import polars as pl

    units = {"text": pl.String, "number": pl.Float64}
    keys = {"date": pl.Date, "entity_id": pl.String, "placement": pl.String, "segment": pl.String}
    return keys | {c.name: units.get(c.unit, pl.Int64) for c in columns}


def _frame(body: Mapping[str, Any], ask: Ask, columns: Sequence[Column]) -> pl.DataFrame:
    """Arrays of a file, one after the other, as columns."""
    import polars as pl

    length = (ask.end - ask.start).days + 1
    entries = [(row["id"], entry) for row in body["data"] for entry in row["id_data"]]
    keys = pl.DataFrame(
        {"entity_id": [key for key, _ in entries], "segment": [_segment(entry) for _, entry in entries]},
        schema={"entity_id": pl.String, "segment": pl.String},
    )
    days = pl.DataFrame({"date": pl.date_range(ask.start, ask.end, eager=True)})
    what = f"account {ask.account.account_id}, results for {ask.entity} of {ask.start} to {ask.end}"
    flat = pl.DataFrame([pl.Series(c.path, _flat(entries, c.path, length, what), dtype=pl.Int64) for c in columns])
    numbers = convert_frame(flat, columns, what)
    rows = keys.join(days, how="cross", maintain_order="left_right").hstack(numbers)
    return (
        rows.filter(pl.any_horizontal(flat.select(pl.all().fill_null(0) != 0)))
        .with_columns(pl.lit(ask.placement).alias("placement"))
        .select(list(_schema(columns)))
    )


def _segment(entry: Mapping[str, Any]) -> str | None:
    told = entry.get("segment") or {}
    return told.get("segment_value") or told.get("segment_name")


def _flat(entries: Sequence[tuple[str, Mapping[str, Any]]], path: str, length: int, what: str) -> list[int | None]:
    """The arrays under ``path`` of all entries; a null array is as many nulls."""
    outer, _, inner = path.partition(".")
    nothing: list[int | None] = [None] * length
    cells: list[int | None] = []
    for key, entry in entries:
        array = entry["metrics"].get(outer)
        if inner and array is not None:
            array = array.get(inner)
        if array is None:
            array = nothing
        if len(array) != length:
            raise TryAgain(f"{what}: {path} of {key} has {len(array)} numbers for {length} days; ask again later")
        cells += array
    return cells


def _midnight(day: date, zone: ZoneInfo) -> str:
    """The instant at which ``day`` begins in ``zone``: days of 23 and 25 hours come out right."""
    return datetime.combine(day, time(), zone).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
