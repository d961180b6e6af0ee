"""Rows of the API's own messages become frames; what a table must not take is set aside or stops the load."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.platforms.base import Account
from tasks.platforms.google_ads import reporting
from tasks.platforms.normalise import Shaped, shape

TABLE = "ads.ads_campaign_performance"
NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)
ACCOUNT = Account("google_ads", "2000000001", "h", "USD", "America/New_York", "ENABLED")
WINDOW = (date(2026, 2, 1), date(2026, 2, 28))


def row(**changes: Any) -> Any:
    """A campaign day as the API sends it; ``changes`` are dotted paths with ``__`` for the dot."""
    from google.ads.googleads.v26.services.types.google_ads_service import GoogleAdsRow

    message = GoogleAdsRow.pb()()
    values = {
        "segments__date": "2026-02-10",
        "campaign__id": 9001,
        "campaign__name": "Brand",
        "campaign__status": 2,
        "campaign__advertising_channel_type": 2,
        "campaign__campaign_budget": "customers/2000000001/campaignBudgets/7001",
        "customer__currency_code": "USD",
        "metrics__impressions": 1000,
        "metrics__clicks": 100,
        "metrics__cost_micros": 50_000_000,
        "metrics__conversions": 4.5,
        "metrics__conversions_value": 123.456789,
    }
    for path, value in (values | changes).items():
        head, leaf = path.split("__")
        setattr(getattr(message, head), leaf, value)
    return message


def shaped(*rows: Any) -> Shaped:
    schema = load_contract(TABLE).polars_schema()
    labels = reporting.Labels(b"0" * 64, ())
    raw = reporting.raw_frame(rows, labels, reporting.campaign_row, reporting.CAMPAIGN_COLUMNS, schema)
    raw = raw.with_columns(pl.lit("30d_click").alias("attribution_window"))
    return shape(TABLE, raw, ACCOUNT, WINDOW, NOW)


def test_numbers_and_ratios_are_exact() -> None:
    """Money in whole micros, ratios from the sums, shares null where the platform sent none."""
    got = shaped(row()).frame.row(0, named=True)
    assert (got["cost_micros"], got["revenue_micros"], got["conversions"]) == (50_000_000, 123_456_789, 4.5)
    assert (got["ctr"], got["cvr"], got["avg_cpc_micros"]) == (0.1, 0.045, 500_000)
    assert (got["date"], got["campaign_id"], got["budget_id"]) == (date(2026, 2, 10), "9001", "7001")
    assert (got["channel"], got["is_brand"], got["search_impression_share"]) == ("SEARCH_BRAND", True, None)


def test_ratios_without_a_denominator_are_null() -> None:
    """No impressions, no clicks: null, not zero and not infinity."""
    got = shaped(row(metrics__impressions=0, metrics__clicks=0, metrics__cost_micros=0)).frame.row(0, named=True)
    assert (got["ctr"], got["cvr"], got["avg_cpc_micros"]) == (None, None, None)


def test_identical_rows_are_dropped_and_counted() -> None:
    """Three times the same row is one row and two duplicates."""
    got = shaped(row(), row(), row())
    assert (got.frame.height, got.duplicates) == (1, 2)


def test_rows_that_disagree_about_a_day_stop_the_load() -> None:
    """Same campaign and day, other cost: no rule can say which is true."""
    with pytest.raises(JobError, match=r"2 rows that share a grain.*'campaign_id': '9001'.*differing in cost_micros"):
        shaped(row(), row(metrics__cost_micros=60_000_000))


@pytest.mark.parametrize(
    ("changes", "check", "reason"),
    [
        ({"metrics__cost_micros": -5}, "cost_micros_min", "cost_micros is -5, outside the contract"),
        ({"segments__date": "2026-03-02"}, "date_in_window", "date is 2026-03-02, outside 2026-02-01 to 2026-02-28"),
        ({"customer__currency_code": "EUR"}, "account_currency", "currency_code is EUR, not USD"),
        (
            {"campaign__advertising_channel_type": 999},
            "known_enum",
            "channel is UNRECOGNISED_999, not a value this adapter knows",
        ),
        ({"campaign__status": 1}, "known_enum", "campaign_status is UNRECOGNISED_1, not a value this adapter knows"),
        ({"metrics__search_impression_share": 1.5}, "search_impression_share_max", "search_impression_share is 1.5, outside"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_reason(changes: dict[str, Any], check: str, reason: str) -> None:
    """The good row lands, the bad one is kept whole beside the check it failed."""
    got = shaped(row(), row(campaign__id=9002, **changes))
    assert got.frame["campaign_id"].to_list() == ["9001"]
    (rejected,) = got.rejected
    assert (rejected.table, rejected.check, rejected.row["campaign_id"]) == (TABLE, check, "9002")
    assert rejected.reason.startswith(reason)


def test_clicks_above_impressions_are_a_row_like_any_other() -> None:
    """One showing can be clicked more than once: its spend is not lost over a ratio; the gate tells a person."""
    got = shaped(row(metrics__clicks=2000))
    assert got.frame["ctr"].to_list() == [2.0]
    assert not got.rejected


def test_an_unreadable_date_stops_the_load() -> None:
    """A date that is none cannot even be set aside into a day: the message shows it."""
    with pytest.raises(JobError, match=r"the date '2026-02-31'"):
        shaped(row(segments__date="2026-02-31"))


def test_no_rows_make_an_empty_frame_of_the_right_types() -> None:
    """An account that did nothing is no error."""
    got = shaped()
    assert (got.frame.height, dict(got.frame.schema)) == (0, load_contract(TABLE).polars_schema())
