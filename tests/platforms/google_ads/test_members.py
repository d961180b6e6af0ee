"""What draws on a budget, from the API's own messages."""

from typing import Any

from tasks.platforms.google_ads.members import Members, members_by_budget
from tasks.platforms.google_ads.reporting import Labels

ENABLED, PAUSED, SEARCH = 2, 3, 2


def row(campaign_id: int, budget_id: int, status: int) -> Any:
    from google.ads.googleads.v26.services.types.google_ads_service import GoogleAdsRow

    message = GoogleAdsRow.pb()()
    message.campaign.id = campaign_id
    message.campaign.status = status
    message.campaign.advertising_channel_type = SEARCH
    message.campaign.campaign_budget = f"customers/1/campaignBudgets/{budget_id}"
    return message


def test_a_paused_campaign_draws_on_its_budget_but_does_not_run() -> None:
    """M6 asks who would be moved, M3 what is being spent: a budget of paused campaigns is in the first answer only."""
    rows = [row(1, 7, ENABLED), row(2, 7, PAUSED), row(3, 8, PAUSED)]
    assert members_by_budget(rows, Labels(b"0" * 64, ())) == {
        "7": Members({"1", "2"}, {"1"}, {"SEARCH_NONBRAND"}),
        "8": Members({"3"}, set(), {"SEARCH_NONBRAND"}),
    }
