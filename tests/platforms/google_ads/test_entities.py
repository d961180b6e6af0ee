"""What the account holds beside campaigns and ads, and the numbers that only some of it has."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from tasks.lab.process import RunningSandbox

pytestmark = pytest.mark.slow
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def frames(pool: Any, running: RunningSandbox) -> dict[str, pl.DataFrame]:
    """Ten days of world acme."""
    from adapter_child import call

    today = date.fromisoformat(running.admin.state()["today"])
    (account,) = pool.submit(call, "accounts", (), {}, 300.0).result().value
    asked = ((account, today - 10 * DAY, today - DAY), {"run_date": today})
    answer = pool.submit(call, "reports", *asked, 300.0).result()
    assert answer.error is None, answer.message
    return answer.value.frames  # type: ignore[no-any-return]


def test_performance_max_comes_with_its_asset_groups(frames: dict[str, pl.DataFrame]) -> None:
    """Each stands under its campaign, and their numbers add up to the campaigns'."""
    groups = frames["ads.ads_entities"].filter(entity_kind="asset_group")
    assert set(groups["parent_id"]) == {"9010", "9011"}
    assert groups["name_hash"].null_count() == 0
    parts = (
        frames["ads.ads_breakdown_performance"].filter(breakdown="asset_group").group_by("entity_id").agg(pl.sum("cost_micros"))
    )
    campaigns = frames["ads.ads_campaign_performance"].filter(channel="PMAX").group_by("campaign_id").agg(pl.sum("cost_micros"))
    assert dict(parts.iter_rows()) == dict(campaigns.iter_rows())
    assert parts["cost_micros"].min() > 0


def test_negative_lists_and_words_stand_with_the_campaigns_that_use_them(frames: dict[str, pl.DataFrame]) -> None:
    """A list once, its uses once a campaign, and what a campaign excludes by itself; never the words in clear."""
    entities = frames["ads.ads_entities"]
    (one,) = entities.filter(entity_kind="negative_list").to_dicts()
    assert (one["detail"], one["status"], one["parent_id"]) == ("NEGATIVE_KEYWORDS", "ENABLED", None)
    uses = entities.filter(entity_kind="negative_list_use")
    words = entities.filter(entity_kind="negative_criterion")
    searching = set(frames["ads.ads_campaign_performance"].filter(pl.col("channel").str.starts_with("SEARCH"))["campaign_id"])
    assert set(uses["parent_id"]) == set(words["parent_id"]) == searching
    assert set(uses["detail"]) == {one["entity_id"]}
    assert set(words["detail"]) == {"PHRASE"}
    assert "second hand" not in str(entities.to_dicts())


def test_video_numbers_stand_where_there_are_videos(frames: dict[str, pl.DataFrame]) -> None:
    """Views and completions for YouTube and Demand Gen, with their rates; null, not zero, for search."""
    ads = frames["ads.ads_ad_performance"]
    seen = ads.filter(pl.col("channel").is_in(["YOUTUBE", "DEMAND_GEN"]), pl.col("impressions") > 1000)
    assert seen.height > 0
    assert seen["view_rate"].is_between(0.29, 0.31).all()
    assert seen["vtr"].is_between(0.07, 0.08).all()
    searched = ads.filter(pl.col("channel").str.starts_with("SEARCH"))
    assert searched["video_views"].null_count() == searched["view_rate"].null_count() == searched.height > 0
