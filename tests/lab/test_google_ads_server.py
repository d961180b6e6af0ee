"""The official google-ads client, unpatched, against the running sandbox: queries, headers, errors."""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import pytest
from lab_client import refusal

from tasks.lab.process import RunningSandbox

pytestmark = pytest.mark.slow


def test_the_manager_expands_to_its_client_accounts(query: Any, sandbox: RunningSandbox, customer: str) -> None:
    rows = query(
        "SELECT customer_client.id, customer_client.currency_code, customer_client.time_zone, customer_client.manager "
        "FROM customer_client WHERE customer_client.manager = FALSE AND customer_client.status = 'ENABLED'",
        sandbox.endpoint["login_customer_id"],
    )
    found = [(str(r.customer_client.id), r.customer_client.currency_code, r.customer_client.time_zone) for r in rows]
    assert found == [(customer, "USD", "America/New_York")]


def test_the_customer_says_its_currency_and_time_zone(query: Any, customer: str) -> None:
    row = query("SELECT customer.id, customer.currency_code, customer.time_zone, customer.manager FROM customer")[0]
    assert (str(row.customer.id), row.customer.currency_code, row.customer.manager) == (customer, "USD", False)


def test_budgets_carry_shared_flag_members_and_amount(query: Any, sandbox: RunningSandbox, customer: str) -> None:
    rows = query(
        "SELECT campaign_budget.id, campaign_budget.amount_micros, campaign_budget.explicitly_shared, "
        "campaign_budget.reference_count FROM campaign_budget"
    )
    found = {r.campaign_budget.id: r.campaign_budget for r in rows}
    members = query(
        "SELECT campaign.id FROM campaign WHERE campaign.campaign_budget = 'customers/2000000001/campaignBudgets/7005'"
    )
    assert {i: b.amount_micros for i, b in found.items()} == sandbox.admin.budgets()
    assert [i for i, b in found.items() if b.explicitly_shared] == [7005]
    assert (found[7005].reference_count, [r.campaign.id for r in members]) == (2, [9005, 9006])


def test_ads_and_campaigns_tell_the_same_cost_except_pmax_which_has_no_ads(query: Any) -> None:
    where = "WHERE segments.date DURING LAST_7_DAYS"
    by_campaign = {
        r.campaign.id: r.metrics.cost_micros for r in query(f"SELECT campaign.id, metrics.cost_micros FROM campaign {where}")
    }
    by_ad: dict[int, int] = defaultdict(int)
    for row in query(f"SELECT campaign.id, ad_group.id, ad_group_ad.ad.id, metrics.cost_micros FROM ad_group_ad {where}"):
        by_ad[row.campaign.id] += row.metrics.cost_micros
    assert set(by_campaign) - set(by_ad) == {9010, 9011}
    assert {i: c for i, c in by_campaign.items() if i in by_ad} == dict(by_ad)


def test_a_date_filter_alone_sums_and_a_date_segment_splits(query: Any, sandbox: RunningSandbox) -> None:
    where = "WHERE segments.date DURING LAST_14_DAYS AND campaign.id = 9007"
    whole = query(f"SELECT metrics.clicks FROM campaign {where}")
    split = query(f"SELECT segments.date, metrics.clicks FROM campaign {where} ORDER BY segments.date")
    today = date.fromisoformat(sandbox.admin.state()["today"])
    assert [r.segments.date for r in split] == [(today - timedelta(days=14 - i)).isoformat() for i in range(14)]
    assert [r.metrics.clicks for r in whole] == [sum(r.metrics.clicks for r in split)]


def test_months_and_week_days_group(query: Any) -> None:
    rows = query("SELECT segments.day_of_week, metrics.clicks FROM customer WHERE segments.date DURING LAST_14_DAYS")
    assert len(rows) == 7


def test_today_is_shown_in_part(query: Any, sandbox: RunningSandbox) -> None:
    today = sandbox.admin.state()["today"]
    rows = query(
        f"SELECT segments.date, metrics.cost_micros FROM customer WHERE segments.date BETWEEN '2023-12-01' AND '{today}'"
    )
    cost = {r.segments.date: r.metrics.cost_micros for r in rows}
    days_before = [c for d, c in cost.items() if d != today]
    assert 0 < cost[today] < 0.4 * sum(days_before) / len(days_before)


def test_conversion_actions_and_lag_buckets_sum_to_the_totals(query: Any) -> None:
    where = "WHERE segments.date DURING LAST_30_DAYS AND campaign.id = 9003"
    total = query(f"SELECT metrics.conversions, metrics.all_conversions, metrics.conversions_value FROM campaign {where}")[
        0
    ].metrics
    rows = query(
        "SELECT segments.conversion_action_name, segments.conversion_lag_bucket, metrics.conversions, metrics.all_conversions, "
        f"metrics.conversions_value FROM campaign {where}"
    )
    by_action: dict[str, float] = defaultdict(float)
    for row in rows:
        by_action[row.segments.conversion_action_name] += row.metrics.all_conversions
    assert sum(r.metrics.conversions for r in rows) == total.conversions == by_action["New customer purchase"]
    assert sum(by_action.values()) == total.all_conversions
    assert sum(r.metrics.conversions_value for r in rows) == pytest.approx(total.conversions_value)
    assert {"LESS_THAN_ONE_DAY", "FOURTEEN_TO_TWENTY_ONE_DAYS"} <= {r.segments.conversion_lag_bucket.name for r in rows}
    assert by_action["Lead"] > by_action["New customer purchase"] > 0


def test_a_segmented_row_without_any_selected_metric_is_left_out(query: Any) -> None:
    rows = query(
        "SELECT segments.conversion_action_name, metrics.conversions FROM customer WHERE segments.date DURING LAST_7_DAYS"
    )
    assert [r.segments.conversion_action_name for r in rows] == ["New customer purchase"]


def test_impression_share_and_its_losses_make_one_and_only_search_has_them(query: Any) -> None:
    rows = query(
        "SELECT campaign.id, campaign.advertising_channel_type, metrics.search_impression_share, "
        "metrics.search_budget_lost_impression_share, metrics.search_rank_lost_impression_share "
        "FROM campaign WHERE segments.date DURING LAST_30_DAYS"
    )
    for row in rows:
        m = row.metrics
        parts = [m.search_impression_share, m.search_budget_lost_impression_share, m.search_rank_lost_impression_share]
        is_search = row.campaign.advertising_channel_type.name == "SEARCH"
        assert sum(parts) == pytest.approx(1.0 if is_search else 0.0, abs=1e-9)
    generic = next(r.metrics for r in rows if r.campaign.id == 9003)
    assert generic.search_budget_lost_impression_share > 0.3
    assert generic.search_rank_lost_impression_share == pytest.approx(0.22)


def test_sorting_and_limit(query: Any) -> None:
    rows = query("SELECT campaign.id FROM campaign WHERE campaign.name LIKE '%NonBrand%' ORDER BY campaign.id DESC LIMIT 2")
    assert [r.campaign.id for r in rows] == [9006, 9005]


def test_search_pages_through_more_than_ten_thousand_rows(client: Any, customer: str) -> None:
    text = (
        "SELECT ad_group_ad.ad.id, segments.date, segments.conversion_action, segments.conversion_lag_bucket, "
        "metrics.all_conversions FROM ad_group_ad WHERE segments.date >= '2023-01-01'"
    )
    service = client.get_service("GoogleAdsService")
    streamed = [r for batch in service.search_stream(customer_id=customer, query=text) for r in batch.results]
    pager = service.search(customer_id=customer, query=text)
    sizes = [len(page.results) for page in pager.pages]
    assert sum(sizes) == len(streamed) > 10_000
    assert sizes[0] == 10_000


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT campaign.idd FROM campaign", "UNRECOGNIZED_FIELD"),
        ("SELECT campaign.id FROM campains", "BAD_RESOURCE_TYPE_IN_FROM_CLAUSE"),
        ("SELECT ad_group.id FROM campaign", "PROHIBITED_RESOURCE_TYPE_IN_SELECT_CLAUSE"),
        ("SELECT segments.date, metrics.clicks FROM campaign", "EXPECTED_FILTERS_ON_DATE_RANGE"),
        ("SELECT campaign.id FROM campaign ORDER BY campaign.name", "PROHIBITED_FIELD_IN_ORDER_BY_CLAUSE"),
        ("SELECT metrics.clicks FROM change_event LIMIT 3", "PROHIBITED_METRIC_IN_SELECT_OR_WHERE_CLAUSE"),
        (
            "SELECT segments.conversion_action, metrics.clicks FROM campaign",
            "PROHIBITED_SEGMENT_WITH_METRIC_IN_SELECT_OR_WHERE_CLAUSE",
        ),
        ("SELECT metrics.clicks FROM campaign WHERE segments.date = 'soon'", "INVALID_DATE_FORMAT"),
        ("SELECT campaign.id FROM campaign WHERE campaign.id = 'x'", "BAD_NUMBER"),
    ],
)
def test_a_wrong_query_is_refused_by_the_error_of_the_api(query: Any, text: str, code: str) -> None:
    assert refusal(lambda: query(text)) == ("INVALID_ARGUMENT", code)


def test_metrics_of_the_manager_are_refused(query: Any, sandbox: RunningSandbox) -> None:
    manager = sandbox.endpoint["login_customer_id"]
    assert refusal(lambda: query("SELECT metrics.clicks FROM customer", manager))[1] == "REQUESTED_METRICS_FOR_MANAGER"


@pytest.mark.parametrize(
    ("clause", "code"),
    [
        ("WHERE change_event.change_date_time DURING LAST_7_DAYS", "LIMIT_NOT_SPECIFIED"),
        ("WHERE change_event.change_date_time DURING LAST_7_DAYS LIMIT 10001", "INVALID_LIMIT_CLAUSE"),
        ("LIMIT 10", "CHANGE_DATE_RANGE_INFINITE"),
        ("WHERE change_event.change_date_time >= '2023-09-01' LIMIT 10", "CHANGE_DATE_RANGE_INFINITE"),
        (
            "WHERE change_event.change_date_time >= '2023-09-01' AND change_event.change_date_time <= '2023-12-30' LIMIT 10",
            "START_DATE_TOO_OLD",
        ),
        (
            "WHERE change_event.change_date_time >= '2023-12-28' AND change_event.change_date_time <= '2023-12-20' LIMIT 10",
            "CHANGE_DATE_RANGE_NEGATIVE",
        ),
    ],
)
def test_change_event_needs_a_recent_window_and_a_limit(query: Any, clause: str, code: str) -> None:
    assert refusal(lambda: query(f"SELECT change_event.user_email FROM change_event {clause}")) == ("INVALID_ARGUMENT", code)


def test_another_api_version_is_a_sunset_one(make_client: Any, customer: str) -> None:
    old = make_client(version="v25").get_service("GoogleAdsService")
    call = lambda: list(old.search_stream(customer_id=customer, query="SELECT campaign.id FROM campaign"))  # noqa: E731
    assert refusal(call) == ("INVALID_ARGUMENT", "UNSUPPORTED_VERSION")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"developer_token": "someone-elses-token-000"}, ("UNAUTHENTICATED", "DEVELOPER_TOKEN_INVALID")),
        ({"login_customer_id": "2000000001"}, ("PERMISSION_DENIED", "USER_PERMISSION_DENIED")),
        ({"login_customer_id": None}, ("PERMISSION_DENIED", "USER_PERMISSION_DENIED")),
    ],
)
def test_wrong_headers_are_refused(make_client: Any, customer: str, overrides: dict[str, Any], expected: tuple[str, str]) -> None:
    service = make_client(**overrides).get_service("GoogleAdsService")
    assert (
        refusal(lambda: list(service.search_stream(customer_id=customer, query="SELECT campaign.id FROM campaign"))) == expected
    )


def test_a_made_up_bearer_token_is_refused(sandbox: RunningSandbox, customer: str) -> None:
    from google.ads.googleads.client import GoogleAdsClient
    from google.oauth2.credentials import Credentials

    endpoint = sandbox.env["AELP2_GOOGLE_ADS_ENDPOINT"]
    client = GoogleAdsClient(Credentials("token"), developer_token="x", endpoint=endpoint, use_proto_plus=True)
    service = client.get_service("GoogleAdsService")
    call = lambda: list(service.search_stream(customer_id=customer, query="SELECT campaign.id FROM campaign"))  # noqa: E731
    assert refusal(call) == ("UNAUTHENTICATED", "OAUTH_TOKEN_INVALID")


def test_an_unknown_customer_is_refused(query: Any) -> None:
    assert refusal(lambda: query("SELECT campaign.id FROM campaign", "2999999999")) == (
        "PERMISSION_DENIED",
        "USER_PERMISSION_DENIED",
    )


def test_only_one_page_size_is_served(client: Any, customer: str) -> None:
    request = client.get_type("SearchGoogleAdsRequest")
    request.customer_id, request.query, request.page_size = customer, "SELECT campaign.id FROM campaign", 100
    assert refusal(lambda: client.get_service("GoogleAdsService").search(request=request))[1] == "PAGE_SIZE_NOT_SUPPORTED"


def test_a_successful_stream_carries_its_request_id(client: Any, sandbox: RunningSandbox, customer: str) -> None:
    service = client.get_service("GoogleAdsService")
    batches = list(service.search_stream(customer_id=customer, query="SELECT campaign.id FROM campaign"))
    assert batches[0].request_id == sandbox.admin.requests()[-1]["request_id"]
    assert list(batches[0].field_mask.paths) == ["campaign.id"]
