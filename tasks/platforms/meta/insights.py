"""Insights by asynchronous job: start a report, wait for it, read its pages, and turn rows into frames.

A job that fails or is lost is started once more, then its days are asked for in halves, as they are when Meta says that a
report holds too much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from tasks.core.errors import JobError, TryAgain
from tasks.platforms.calls import CallError, Kind, RetryPolicy
from tasks.platforms.columns import Column, Unit, convert, frame_of
from tasks.platforms.meta.failures import GONE, TOO_MUCH_DATA, failure_of
from tasks.platforms.meta.graph import GraphApi

if TYPE_CHECKING:
    import polars as pl

log = structlog.get_logger(source=__name__)

PAGE_ROWS = 1000
DECODED_ROWS = 20_000  # at once: a frame costs about 6 ms whatever it holds
RUNS = 2  # of a job over the same days
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, PATIENCE_SECONDS = 0.2, 30.0, 1800.0
CLICK_WINDOWS, VIEW_WINDOW = ("1d_click", "7d_click", "28d_click"), "1d_view"
WINDOWS = (*CLICK_WINDOWS, VIEW_WINDOW)
DEFAULT_WINDOWS = ("7d_click", "1d_view")
# Meta tells one purchase under several names (purchase, omni_purchase, offsite_conversion.fb_pixel_purchase …) and likes, plays
# and link clicks in the same list: of each kind of result one name is taken, the one that unites its sources.
PURCHASE = "purchase"
RESULTS = frozenset(
    {
        PURCHASE,
        "lead",
        "complete_registration",
        "add_to_cart",
        "initiate_checkout",
        "add_payment_info",
        "subscribe",
        "start_trial",
    }
    | {"submit_application", "contact", "schedule", "mobile_app_install"}
)
FIELDS = ("impressions", "clicks", "spend", "actions", "action_values")
VIDEO_FIELDS = ("video_thruplay_watched_actions", "video_p100_watched_actions")
_STATUS_FIELDS = "async_status,async_percent_completion,error_code,error_subcode,error_message"
_NUMBERS = (
    Column("date", "date_start", "day"),
    Column("impressions", "impressions", "count"),
    Column("clicks", "clicks", "count", 0),  # left out where there was none
    Column("cost_micros", "spend", "money"),
)
_VIDEO = {"video_views": VIDEO_FIELDS[0], "video_completions": VIDEO_FIELDS[1]}


class _LostError(Exception):
    """The job failed, was skipped, or is no longer there."""


@dataclass(frozen=True)
class Decoded:
    """Some pages: ``delivery`` by entity and day; ``_keys`` has each row's day and ids, ``_counts`` its results by window."""

    delivery: pl.DataFrame
    _keys: pl.DataFrame
    _counts: pl.DataFrame

    def results(self) -> pl.DataFrame:
        """By entity, day, kind of action and window; a window without results has no row. Without a value, as of a lead: null."""
        import polars as pl

        parts = [
            self._counts.filter(pl.col(window) > 0).select(
                "row",
                "action_type",
                pl.lit(window).alias("attribution_window"),
                pl.col(window).alias("actions"),
                pl.col(f"{window}_value").alias("revenue_micros"),
            )
            for window in WINDOWS
        ]
        return pl.concat(parts).join(self._keys, on="row", how="left", maintain_order="left").drop("row")


class Insights:
    """Reports of an account.

    Args:
        api: the API.
        policy: whose ``sleep`` waits for jobs.
    """

    def __init__(self, api: GraphApi, policy: RetryPolicy) -> None:
        self._api, self._policy = api, policy

    def read[T](
        self,
        account_id: str,
        params: Mapping[str, Any],
        days: tuple[date, date],
        decode: Callable[[list[dict[str, Any]]], T],
    ) -> list[T]:
        """``decode`` of all rows, some pages at a time, of the report ``params`` over ``days`` (both included).

        TryAgain if a single day's job fails again and again, JobError if a single day is too much for Meta.
        """
        first, last = days
        what = f"account {account_id}, insights by {params['level']} {params.get('breakdowns', '')} of {first} to {last}"
        reason = ""
        for _ in range(RUNS):
            try:
                return self._run(what, account_id, params, days, decode)
            except _LostError as lost:
                reason = str(lost)
                log.warning("report job lost", report=what, because=reason)
            except CallError as error:
                if TOO_MUCH_DATA not in error.failure.codes:
                    raise
                if first == last:
                    raise JobError(f"{what}: {error.failure}; one day cannot be split: ask Meta's support") from None
                log.info("report too large, halved", report=what)
                break
        if first == last:
            raise TryAgain(f"{what}: {reason}, {RUNS} times in a row; run the same command again later")
        middle = first + (last - first) // 2
        halves = ((first, middle), (middle + timedelta(days=1), last))
        return [page for half in halves for page in self.read(account_id, params, half, decode)]

    def _run[T](
        self,
        what: str,
        account_id: str,
        params: Mapping[str, Any],
        days: tuple[date, date],
        decode: Callable[[list[dict[str, Any]]], T],
    ) -> list[T]:
        window = {"since": days[0].isoformat(), "until": days[1].isoformat()}
        asked = {**params, "time_range": window, "time_increment": 1, "action_attribution_windows": list(WINDOWS)}
        # A job reads, so starting it twice does no harm.
        run_id = self._api.read(what, (f"act_{account_id}", "insights"), asked, method="POST")["report_run_id"]
        try:
            self._wait(what, run_id)
            return [decode(rows) for rows in _gathered(self._api.pages(what, (run_id, "insights"), {}, PAGE_ROWS))]
        except CallError as error:
            if GONE not in error.failure.codes:
                raise
            raise _LostError(f"report {run_id} has expired") from None

    def _wait(self, what: str, run_id: str) -> None:
        waited, pause = 0.0, FIRST_PAUSE_SECONDS
        while True:
            run = self._api.read(what, (run_id,), {"fields": _STATUS_FIELDS})
            status = run["async_status"]
            # "Job Completed" alone has been seen before the last rows were there.
            if status == "Job Completed" and run["async_percent_completion"] == 100:
                return
            if status in ("Job Failed", "Job Skipped"):
                self._refuse(what, run_id, run)
            if waited >= PATIENCE_SECONDS:
                raise TryAgain(f"{what}: report {run_id} is {status!r} after {waited:.0f} s; run the same command again later")
            self._policy.sleep(pause)
            waited, pause = waited + pause, min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _refuse(self, what: str, run_id: str, run: Mapping[str, Any]) -> None:
        """Raise what a failed job says of itself."""
        told = {name: run.get(f"error_{name}") for name in ("code", "message")} | {"error_subcode": run.get("error_subcode")}
        failure = failure_of({**told, "type": run["async_status"]}, None, {})
        if failure.kind is Kind.REQUEST and failure.code == TOO_MUCH_DATA:
            raise CallError(f"{what}: {failure}", failure)
        raise _LostError(f"report {run_id}: {run['async_status']} {told['code'] or ''} {told['message'] or ''}".rstrip())


def decode(rows: Sequence[Mapping[str, Any]], ids: Sequence[Column], what: str, *, has_video: bool = True) -> Decoded:
    """Rows of one page: ``ids`` and the numbers, and the lists of actions as columns."""
    import polars as pl

    base = frame_of(rows, (*ids, *_NUMBERS), what).with_row_index("row")
    if has_video:
        base = base.hstack([_single(rows, path, name, what) for name, path in _VIDEO.items()])
    counts = _listed(rows, "actions", "number", what)
    values = _listed(rows, "action_values", "money", what)
    both = counts.join(values, on=("row", "action_type"), how="left", suffix="_value", maintain_order="left")
    default = both.filter(pl.col("action_type") == PURCHASE).select(
        "row",
        pl.sum_horizontal(DEFAULT_WINDOWS).alias("conversions"),
        pl.sum_horizontal(f"{w}_value" for w in DEFAULT_WINDOWS).fill_null(0).alias("revenue_micros"),
    )
    delivery = base.join(default, on="row", how="left", maintain_order="left").with_columns(
        pl.col("conversions").fill_null(0.0), pl.col("revenue_micros").fill_null(0)
    )
    return Decoded(delivery.drop("row"), base.select("row", "date", *(column.name for column in ids)), both)


def _listed(rows: Sequence[Mapping[str, Any]], key: str, unit: Unit, what: str) -> pl.DataFrame:
    """The results in each row's list ``key``: row, action_type and a column for each window; absent windows are 0."""
    import polars as pl

    kept = [(place, one) for place, row in enumerate(rows) for one in row.get(key) or () if one["action_type"] in RESULTS]
    found = [one for _, one in kept]
    columns = (Column("action_type", "action_type"), *(Column(w, w, unit, 0) for w in WINDOWS))
    frame = frame_of(found, columns, f"{what}, {key}")
    return frame.with_columns(pl.Series("row", [place for place, _ in kept], dtype=pl.UInt32))


def _single(rows: Sequence[Mapping[str, Any]], key: str, name: str, what: str) -> pl.Series:
    """Video counts are lists with one action in them; a row without the list has no video, or nobody who watched."""
    import polars as pl

    cells = [played[0]["value"] if (played := row.get(key)) else None for row in rows]
    return convert(pl.Series(key, cells, dtype=pl.String), Column(name, key, "count", None), what)


def _gathered(pages: Iterable[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """Pages put together to ``DECODED_ROWS`` or a little more; the last one may be short, and one comes in any case."""
    rows: list[dict[str, Any]] = []
    for page in pages:
        rows += page
        if len(rows) >= DECODED_ROWS:
            yield rows
            rows = []
    yield rows
