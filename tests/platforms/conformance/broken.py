"""Adapters with one defect each that connectors have had, and one with all of them: a suite that lets these pass is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import polars as pl

from tasks.platforms import http
from tasks.platforms.base import Account, AdStatus, Receipt, Reports, RowOutcome
from tasks.platforms.calls import Kind
from tasks.platforms.columns import Column
from tasks.platforms.http_platform import ADS, CAMPAIGNS, Entity
from tasks.platforms.reddit import RedditPlatform


class OneCurrency(RedditPlatform):
    """Everything is in dollars, as it was when this was written."""

    def accounts(self) -> list[Account]:
        return [replace(account, currency_code="USD") for account in super().accounts()]


class FirstPageOnly(RedditPlatform):
    """The first page is surely all of it."""

    def _pages(self, what: str, method: str, path: str, **request: Any) -> Iterator[Any]:
        yield next(super()._pages(what, method, path, **request))


class CentsForMicros(RedditPlatform):
    """Spend is in cents, is it not?"""

    def _report(
        self, account: Account, start: date, end: date, breakdowns: Sequence[str], columns: Sequence[Column]
    ) -> pl.DataFrame:
        wrong = [replace(c, unit="cents") if c.name == "cost_micros" else c for c in columns]
        return super()._report(account, start, end, breakdowns, wrong)


class DaysOf24Hours(RedditPlatform):
    """A window of n days is n times 24 hours: a day of 25 loses its last hour, and the platform refuses the window."""

    def _report(
        self, account: Account, start: date, end: date, breakdowns: Sequence[str], columns: Sequence[Column]
    ) -> pl.DataFrame:
        from tasks.platforms import reddit

        honest, begin = reddit._midnight, reddit._midnight(start, reddit.ZoneInfo(account.timezone))
        hours = 24 * ((end - start).days + 1)
        later = reddit.datetime.fromisoformat(begin) + timedelta(hours=hours)
        stamps = {start: begin, end + timedelta(days=1): later.strftime("%Y-%m-%dT%H:%M:%SZ")}
        reddit._midnight = lambda day, zone: stamps[day]
        try:
            return super()._report(account, start, end, breakdowns, columns)
        finally:
            reddit._midnight = honest


class KnowsEveryStatus(RedditPlatform):
    """Whatever is not paused runs."""

    def _entities(self, account_id: str) -> list[Entity]:
        return [replace(e, status=e.status if e.status == "PAUSED" else "ENABLED") for e in super()._entities(account_id)]


class ClearNames(RedditPlatform):
    """Names are handy in reports."""

    def hash(self, name: str | None) -> str | None:
        return name


class CountsNoDuplicates(RedditPlatform):
    """Rows that came twice are nobody's business."""

    def reports(self, account: Account, start: date, end: date, *, run_date: date) -> Reports:
        return replace(super().reports(account, start, end, run_date=run_date), duplicates=0)


class FinalYesterday(RedditPlatform):
    """Conversions of past days do not change: the first answer is kept for good."""

    kept: dict[tuple[str, date, date], Reports] = {}  # noqa: RUF012 - shared on purpose, as a cache would be

    def reports(self, account: Account, start: date, end: date, *, run_date: date) -> Reports:
        key = (account.account_id, start, end)
        return self.kept.setdefault(key, super().reports(account, start, end, run_date=run_date))


class SwitchesNothing(RedditPlatform):
    """The request was sent; nobody will look."""

    def set_ad_statuses(self, account_id: str, statuses: Sequence[AdStatus], *, validate_only: bool) -> Receipt:
        return Receipt("", tuple(RowOutcome(s.change_id, s.resource_id) for s in statuses))


class WaitsForNobody(RedditPlatform):
    """A 429 is an error like any other."""

    def reports(self, account: Account, start: date, end: date, *, run_date: date) -> Reports:
        honest = http.JsonApi.explain
        http.JsonApi.explain = lambda api, error: _as_refusal(honest(api, error))
        try:
            return super().reports(account, start, end, run_date=run_date)
        finally:
            http.JsonApi.explain = honest


def _as_refusal(failure: http.HttpFailure) -> http.HttpFailure:
    return replace(failure, kind=Kind.REQUEST) if failure.kind is Kind.QUOTA else failure


class HalfIsEnough(RedditPlatform):
    """Of a broken page, take what is there: here, the days of the first half."""

    def reports(self, account: Account, start: date, end: date, *, run_date: date) -> Reports:
        got = super().reports(account, start, end, run_date=run_date)
        middle = start + (end - start) // 2
        cut = {t: f.filter(pl.col("date") <= middle) if t in (CAMPAIGNS, ADS) else f for t, f in got.frames.items()}
        return replace(got, frames=cut)


class BrokenPlatform(
    OneCurrency, FirstPageOnly, CentsForMicros, KnowsEveryStatus, ClearNames, CountsNoDuplicates, SwitchesNothing, WaitsForNobody
):
    """All at once, but for those that hide behind others."""


# Defect → the case that is there to see it.
SEEN_BY = {
    OneCurrency: "two_accounts_keep_their_currencies",
    FirstPageOnly: "every_page_is_read",
    CentsForMicros: "units_are_exact",
    DaysOf24Hours: "a_day_of_25_hours_is_one_day",
    KnowsEveryStatus: "an_unknown_enum_is_set_aside",
    ClearNames: "what_an_account_holds_has_parents_and_no_names",
    CountsNoDuplicates: "duplicate_rows_are_dropped_and_counted",
    FinalYesterday: "restated_history_is_taken_over",
    SwitchesNothing: "the_status_of_ads_is_read_and_set",
    WaitsForNobody: "throttling_is_waited_out_as_long_as_told",
    HalfIsEnough: "a_half_sent_page_is_read_again",
}
