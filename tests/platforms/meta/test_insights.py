"""Reports by job: their life, what is done when they fail or hold too much, and what rows become."""

from typing import Any

import polars as pl
import pytest
from meta_lab import DAY, US, Lab

from tasks.core.errors import JobError, TryAgain
from tasks.lab.apis.meta_errors import GraphError
from tasks.lab.apis.meta_insights import Run
from tasks.lab.apis.view import AccountView
from tasks.platforms.calls import CallError
from tasks.platforms.columns import Column
from tasks.platforms.meta.insights import decode

IDS = (Column("campaign_id", "campaign_id"),)
ADS, ACTIONS, BREAKDOWNS = "ads.ads_ad_performance", "ads.ads_action_performance", "ads.ads_breakdown_performance"


class Statuses:
    """Makes the sandbox tell these statuses of each job, one a look, and then the truth."""

    def __init__(self, lab: Lab, *statuses: dict[str, Any], runs: int | None = None) -> None:
        self.seen: dict[int, int] = {}
        self.runs, self.statuses, self._truth = runs, statuses, lab.api.progress
        lab.api.progress = self  # type: ignore[method-assign]  # a test's stand-in for how long a job takes

    def __call__(self, run: Run, view: AccountView) -> dict[str, Any]:
        looks = self.seen.get(id(run), 0)
        self.seen[id(run)] = looks + 1
        is_hit = self.runs is None or len(self.seen) <= self.runs
        truth = self._truth(run, view)
        return self.statuses[looks] if is_hit and looks < len(self.statuses) else truth


def _cost(lab: Lab, days: int = 6) -> int:
    account, last = lab.account(), lab.today - DAY
    found = lab.platform().reports(account, last - (days - 1) * DAY, last, run_date=lab.today)
    assert found.duplicates == 0, "no day was read twice"
    return int(found.frames[ADS]["cost_micros"].sum())


def _starts(lab: Lab) -> int:
    return lab.paths().count(f"POST /v26.0/act_{US}/insights")


def test_a_job_is_waited_for_with_growing_pauses(lab: Lab) -> None:
    """Queued and running are looked at again; `completed` counts from 100 per cent on."""
    whole = _cost(lab)
    lab.waits.clear()
    steps = [
        {"async_status": "Job Not Started", "async_percent_completion": 0},
        {"async_status": "Job Running", "async_percent_completion": 35},
        {"async_status": "Job Completed", "async_percent_completion": 98},
    ]
    Statuses(lab, *steps)
    assert _cost(lab) == whole
    assert lab.waits == [0.2, 0.4, 0.8] * 5


@pytest.mark.parametrize("status", ["Job Failed", "Job Skipped"])
def test_a_failed_job_is_started_once_more(lab: Lab, status: str) -> None:
    """And the load is whole."""
    whole, before = _cost(lab), _starts(lab)
    Statuses(lab, {"async_status": status, "async_percent_completion": 0}, runs=1)
    assert _cost(lab) == whole
    assert _starts(lab) - before == before + 1


def test_a_job_that_fails_again_is_asked_for_in_halves(lab: Lab) -> None:
    """Two runs of the whole fail, its halves do not; no day is lost or twice."""
    whole, before = _cost(lab), _starts(lab)
    Statuses(lab, {"async_status": "Job Failed", "async_percent_completion": 0, "error_code": 2}, runs=2)
    assert _cost(lab) == whole
    assert _starts(lab) - before == before + 3


def test_a_day_whose_job_always_fails_ends_with_try_again(lab: Lab) -> None:
    """The number of jobs stays small: two for each halving."""
    account = lab.account()
    Statuses(lab, {"async_status": "Job Failed", "async_percent_completion": 0, "error_message": "internal"})
    with pytest.raises(TryAgain, match=r"Job Failed .*internal, 2 times in a row"):
        lab.platform().reports(account, lab.today - 8 * DAY, lab.today - DAY, run_date=lab.today)
    assert _starts(lab) == 2 * 4


def test_a_job_that_has_expired_is_started_once_more(lab: Lab) -> None:
    """Its id is answered as one that was never there."""
    whole = _cost(lab)
    platform, account, last = lab.platform(), lab.account(), lab.today - DAY
    truth, lost = lab.api.progress, []

    def forget(run: Run, view: AccountView) -> dict[str, Any]:
        if not lost:
            lost.append(run)
            lab.api.runs.clear()
        return truth(run, view)

    lab.api.progress = forget  # type: ignore[method-assign]  # the platform drops the job between two calls
    found = platform.reports(account, last - 5 * DAY, last, run_date=lab.today)
    assert lost
    assert found.frames[ADS]["cost_micros"].sum() == whole


def test_a_job_that_never_ends_gives_the_slot_back(lab: Lab) -> None:
    """After half an hour of looking."""
    account = lab.account()
    lab.api.progress = lambda _run, _view: {"async_status": "Job Running", "async_percent_completion": 1}  # type: ignore[method-assign]
    with pytest.raises(TryAgain, match="'Job Running' after 18"):
        lab.platform().reports(account, lab.today - DAY, lab.today - DAY, run_date=lab.today)
    assert max(lab.waits) == 30.0


def test_a_report_that_holds_too_much_is_asked_for_in_halves(lab: Lab) -> None:
    """Whatever the platform's limit, the days add up to the whole."""
    whole = _cost(lab, 20)
    lab.api.max_rows = 40
    assert _cost(lab, 20) == whole


def test_a_single_day_that_holds_too_much_is_an_error(lab: Lab) -> None:
    """It cannot be split."""
    account = lab.account()
    lab.api.max_rows = 0
    with pytest.raises(JobError, match="one day cannot be split"):
        lab.platform().reports(account, lab.today - 3 * DAY, lab.today - DAY, run_date=lab.today)


def test_a_page_that_holds_too_much_is_asked_for_smaller(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """From where it was refused on, and the load is whole."""
    whole, answer = _cost(lab), lab.api._run_call
    limits = []

    def refuse(call: Any, *rest: Any) -> Any:
        if rest[-1] == ("insights",):
            limits.append(int(call.params["limit"]))
            if limits[-1] > 300:
                raise GraphError(1, "Please reduce the amount of data you're asking for, then retry your request", status=500)
        return answer(call, *rest)

    monkeypatch.setattr(lab.api, "_run_call", refuse)
    assert _cost(lab) == whole
    assert limits[:3] == [1000, 500, 250]


def test_history_older_than_37_months_is_refused_in_the_platforms_words(lab: Lab) -> None:
    """Nothing is loaded in its place, so no partition is emptied."""
    account = lab.account()
    with pytest.raises(CallError, match=r"3018.*37 months"):
        lab.platform().reports(account, lab.today - 1200 * DAY, lab.today - 1190 * DAY, run_date=lab.today)


def test_one_job_tells_an_ads_delivery_and_its_actions(lab: Lab) -> None:
    """Five jobs a load: campaigns, ads, three breakdowns."""
    _cost(lab)
    assert _starts(lab) == 5


def test_windows_of_actions_stand_apart_and_add_up_to_the_delivery(lab: Lab) -> None:
    """Clicks of 7 days and views of 1 make the conversions of the delivery tables; values likewise."""
    account, last = lab.account(), lab.today - DAY
    found = lab.platform().reports(account, last - 20 * DAY, last, run_date=lab.today)
    actions, ads = found.frames[ACTIONS], found.frames[ADS]
    assert set(actions["attribution_window"]) == {"1d_click", "7d_click", "28d_click", "1d_view"}
    assert set(actions["action_type"]) == {"purchase", "lead"}, "one name of each kind, and no link clicks"
    default = actions.filter(action_type="purchase").filter(pl.col("attribution_window").is_in(["7d_click", "1d_view"]))
    assert default["actions"].sum() == ads["conversions"].sum() > 0
    assert default["revenue_micros"].sum() == ads["revenue_micros"].sum() > 0
    assert ads["attribution_window"].unique().to_list() == ["7d_click_1d_view"]
    assert actions.filter(action_type="lead")["revenue_micros"].null_count() == actions.filter(action_type="lead").height


def test_breakdowns_split_the_same_spend(lab: Lab) -> None:
    """By placement, country, age and gender: each adds up to the campaigns' spend."""
    account, last = lab.account(), lab.today - DAY
    found = lab.platform().reports(account, last - 20 * DAY, last, run_date=lab.today)
    whole = found.frames["ads.ads_campaign_performance"]["cost_micros"].sum()
    parts = found.frames[BREAKDOWNS].group_by("breakdown").agg(pl.col("cost_micros").sum())
    assert dict(parts.iter_rows()) == {"placement": whole, "country": whole, "age_gender": whole}
    segments = set(found.frames[BREAKDOWNS]["segment_id"])
    assert {"facebook:feed", "US", "25-34:female"} <= segments


def _row(**changes: Any) -> dict[str, Any]:
    row = {"campaign_id": "7", "date_start": "2026-02-01", "date_stop": "2026-02-01", "impressions": "10", "spend": "1.07"}
    return row | changes


def test_rows_without_lists_have_no_results_and_no_video() -> None:
    """Meta leaves out what is zero; a video nobody has is null, not nought."""
    (row,) = decode([_row()], IDS, "x").delivery.to_dicts()
    assert (row["clicks"], row["conversions"], row["revenue_micros"]) == (0, 0.0, 0)
    assert (row["cost_micros"], row["video_views"]) == (1_070_000, None)


def test_amounts_are_exact_to_the_micro() -> None:
    """Decimals of the currency, of any number of digits, also of a currency without hundredths."""
    rows = [_row(spend=text) for text in ("0.01", "90071992.547409", "1234", "0.1", "3.000001")]
    assert decode(rows, IDS, "x").delivery["cost_micros"].to_list() == [
        10_000,
        90_071_992_547_409,
        1_234_000_000,
        100_000,
        3_000_001,
    ]


def test_a_number_that_is_none_names_report_column_and_value() -> None:
    """The row cannot be read, and nothing is made up for it."""
    actions = [{"action_type": "purchase", "value": "1", "7d_click": "many"}]
    with pytest.raises(JobError, match="x, actions: 7d_click is 'many'"):
        decode([_row(actions=actions)], IDS, "x")


def test_of_the_names_of_one_purchase_one_counts() -> None:
    """purchase, omni_purchase and the pixel's name are the same sale."""
    names = ("omni_purchase", "purchase", "offsite_conversion.fb_pixel_purchase", "web_in_store_purchase")
    cells = [{"action_type": name, "value": "3", "7d_click": "2", "1d_view": "1"} for name in names]
    got = decode([_row(actions=cells, action_values=[{**cells[1], "7d_click": "20.5"}])], IDS, "x")
    assert got.delivery.select("conversions", "revenue_micros").row(0) == (3.0, 21_500_000)
    assert got.results().sort("attribution_window").select("attribution_window", "actions").rows() == [
        ("1d_view", 1.0),
        ("7d_click", 2.0),
    ]
