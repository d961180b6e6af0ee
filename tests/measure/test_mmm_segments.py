"""Prospecting and remarketing as channels of the model: the parts add up, thin ones stay whole, plan and report follow."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from decide.decide_world import NOW, RUN_DATE, Advertiser, frame

from tasks.cli import cli
from tasks.core.segments import Split, whole
from tasks.core.settings import load_settings
from tasks.core.warehouse import open_warehouse
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.measure import mmm_fit
from tasks.measure.attribution_tables import GROUP_OF_CHANNEL, mmm_shares
from tasks.measure.mmm_data import MmmInput
from tasks.measure.mmm_segments import split_media

WEEKS = 40
START = RUN_DATE - timedelta(days=RUN_DATE.weekday(), weeks=WEEKS)


class Shop(Advertiser):
    """Forty weeks in which every campaign goes its own way and sells what its spend makes it sell."""

    def _spend(self, campaign: str, day: date) -> float:
        """Whole micros of spend that move from week to week."""
        rng = np.random.default_rng([int(campaign), (day - START).days // 7])
        amount = next(amount for _, amount, campaigns in self.budgets.values() if campaign in campaigns)
        return float(round(amount * rng.uniform(0.4, 1.2) * 1e6) / 1e6)

    def _days(self) -> list[date]:
        return [START + timedelta(days=d) for d in range((self.run_date - START).days)]

    def _performance(self) -> pl.DataFrame:
        rows = []
        for budget, (channel, amount, campaigns) in self.budgets.items():
            for campaign in campaigns:
                for day in self._days():
                    # The last weeks spend what the budgets allow: only such a budget is worth moving.
                    late = day >= self.run_date - timedelta(days=14)
                    rows.append(self._day(day, campaign, channel, budget, amount if late else self._spend(campaign, day)))
        return frame("ads.ads_campaign_performance", rows)

    def _outcomes(self) -> pl.DataFrame:
        rows = []
        for day in self._days():
            sold = 20 + sum(15 * np.tanh(self._spend(c, day) / 800) for _, _, cs in self.budgets.values() for c in cs)
            key = {"source": "crm", "geo": "national", "period_start_date": day, "period_days": 1, "currency_code": "USD"}
            rows.append(key | {"new_customers": float(sold), "loaded_at": NOW})
        return frame("ads.business_outcomes", rows)

    def _write_model(self) -> None:
        """None: the jobs fit it."""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The shop in a fresh warehouse."""
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_NOW", NOW.isoformat())
    monkeypatch.setenv("AELP2_MMM_MODEL", "bootstrap_loglog")
    world = Shop(DuckDBWarehouse(tmp_path / "w.duckdb"))
    world.write()
    return world


@pytest.fixture
def run(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A job under a policy that lists these remarketing campaigns."""

    def call(job: str, *campaigns: str) -> Result:
        listed = "".join(f'\n  - "{campaign}"' for campaign in campaigns) or " []"
        policy = tmp_path / "policy.yaml"
        policy.write_text(f"target_cac_micros: 200000000\nremarketing_campaign_ids:{listed}\n")
        monkeypatch.setenv("AELP2_POLICY", str(policy))
        return CliRunner().invoke(cli, [job, "--run-date", RUN_DATE.isoformat()])

    return call


@pytest.fixture
def inputs(monkeypatch: pytest.MonkeyPatch) -> list[MmmInput]:
    """What each fit was given."""
    seen: list[MmmInput] = []
    fit = mmm_fit.fit

    def recorded(data: MmmInput, *rest: Any) -> Any:
        seen.append(data)
        return fit(data, *rest)

    monkeypatch.setattr(mmm_fit, "fit", recorded)
    return seen


def micros(data: MmmInput, *channels: str) -> list[int]:
    """Spend of ``channels`` together by week."""
    columns = [data.channels.index(channel) for channel in channels]
    return [sum(round(week[c] * 1e6) for c in columns) for week in data.spend[:, 0]]


def test_the_parts_add_up_to_the_micro(run: Callable[..., Result], inputs: list[MmmInput]) -> None:
    """Off by default; listed, one campaign splits its channel and no other, and no micro is lost or counted twice."""
    for listed in ((), ("9004",)):
        result = run("fit-mmm", *listed)
        assert result.exit_code == 0, result.output
    plain, split = inputs
    assert plain.channels == ("SEARCH_NONBRAND", "YOUTUBE")
    assert split.channels == ("SEARCH_NONBRAND", "YOUTUBE_PROSPECTING", "YOUTUBE_REMARKETING")
    assert micros(split, "YOUTUBE_PROSPECTING", "YOUTUBE_REMARKETING") == micros(plain, "YOUTUBE")
    assert micros(split, "SEARCH_NONBRAND") == micros(plain, "SEARCH_NONBRAND")
    assert micros(split, "YOUTUBE_REMARKETING")[:30] == micros_of_campaign("9004")[:30]
    runs = open_warehouse(load_settings()).query(
        "SELECT channels, split_channels, remarketing_campaign_ids FROM models.mmm_runs ORDER BY ARRAY_LENGTH(channels)"
    )
    assert runs["split_channels"].to_list() == [[], ["YOUTUBE"]]
    assert runs["remarketing_campaign_ids"].to_list() == [[], ["9004"]]


def micros_of_campaign(campaign: str) -> list[int]:
    """Spend of ``campaign`` by week, as the platform reported it."""
    weekly = open_warehouse(load_settings()).query(
        "SELECT DATE_TRUNC(date, WEEK(MONDAY)) AS week, SUM(cost_micros) AS spent FROM ads.ads_campaign_performance "
        "WHERE campaign_id = @campaign GROUP BY week ORDER BY week",
        {"campaign": campaign},
    )
    return [int(spent) for spent in weekly["spent"]]


def decisions() -> dict[str, tuple[str, str, str]]:
    """Budget → decision, constraint and detail of the plan."""
    rows = open_warehouse(load_settings()).query(
        "SELECT budget_id, decision, `constraint`, detail FROM control.plan_decisions ORDER BY budget_id"
    )
    return {budget: (decision, constraint, detail) for budget, decision, constraint, detail in rows.iter_rows()}


def test_a_plan_moves_the_budgets_of_the_parts(run: Callable[..., Result]) -> None:
    """Fit, review, plan: every budget is planned by the curve of its own part, and the split is that of the live model.

    The policy's list has changed since the fit: the plan keeps to the model's and says so.
    """
    for job in ("fit-mmm", "review-mmm"):
        assert run(job, "9004").exit_code == 0
    result = run("plan-budgets", "9003")
    assert result.exit_code == 0, result.output
    assert "was not split by the policy's present remarketing_campaign_ids" in stored_notes(result)
    found = decisions()
    channels = {
        "7001": "SEARCH_NONBRAND",
        "7002": "SEARCH_NONBRAND",
        "7003": "YOUTUBE_PROSPECTING",
        "7004": "YOUTUBE_REMARKETING",
    }
    assert {budget: channel in found[budget][2] for budget, channel in channels.items()} == dict.fromkeys(channels, True)
    assert not {"not_in_model", "several_channels"} & {constraint for _, constraint, _ in found.values()}
    assert {"increase", "decrease"} <= {decision for decision, _, _ in found.values()}
    moved = open_warehouse(load_settings()).query("SELECT budget_id, channel FROM control.budget_proposals")
    assert moved.height > 0
    assert all(channels[budget] == channel for budget, channel in moved.iter_rows())


def stored_notes(result: Result) -> str:
    """Everything the plan said and stored beside its changes."""
    sets = open_warehouse(load_settings()).query("SELECT canonical_json FROM control.change_sets")
    return result.output + "".join(sets["canonical_json"])


def test_a_budget_shared_by_both_parts_is_left_alone(shop: Shop, run: Callable[..., Result]) -> None:
    """No one curve answers for it."""
    shop.budgets["7005"] = ("YOUTUBE", 500.0, ("9005", "9006"))
    shop.write()
    for job in ("fit-mmm", "review-mmm", "plan-budgets"):
        assert run(job, "9004", "9006").exit_code == 0
    assert decisions()["7005"][:2] == ("hold", "several_channels")


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        (("9007",), "YOUTUBE is not split: YOUTUBE_REMARKETING has spend in 3 periods, 8 are needed for a curve"),
        (("9003", "9004", "9007"), "YOUTUBE is not split: YOUTUBE_PROSPECTING has no spend in the window"),
    ],
)
def test_a_part_too_thin_for_a_curve_stays_in_its_channel(
    shop: Shop, run: Callable[..., Result], inputs: list[MmmInput], listed: tuple[str, ...], why: str
) -> None:
    """The weekly run has nobody to ask: the channel stays whole, a warning says why, and nothing else changes."""
    late = START + timedelta(weeks=WEEKS - 3)
    rows = [shop._day(late + timedelta(days=d), "9007", "YOUTUBE", "7003", 30.0) for d in range(21)]
    shop.warehouse.merge("ads.ads_campaign_performance", frame("ads.ads_campaign_performance", rows))
    result = run("fit-mmm", *listed)
    assert result.exit_code == 0, result.output
    assert why in result.output
    assert inputs[0].channels == ("SEARCH_NONBRAND", "YOUTUBE")
    assert inputs[0].split == Split()


def test_a_campaign_nobody_knows_is_named(run: Callable[..., Result]) -> None:
    """A misspelt id would silently be prospecting."""
    assert "campaign_ids=['123']" in run("fit-mmm", "9004", "123").output


def test_another_list_is_another_input(run: Callable[..., Result], inputs: list[MmmInput]) -> None:
    """Even if the spend is the same: the plan reads from the run which campaign is which."""
    for listed in (("9004",), ("9004", "123"), ("9004",)):
        run("fit-mmm", *listed)
    assert len(inputs) == 2
    assert inputs[0].sha256 != inputs[1].sha256


def test_brought_numbers_are_never_split() -> None:
    """Rows without campaigns come back as they were."""
    media = pl.DataFrame(
        {"period_start_date": [date(2026, 1, 5)], "period_days": [7], "geo": ["north"], "channel": ["tv"],
         "is_remarketing": [False], "currency_code": ["EUR"], "spend_micros": [5], "days_seen": [7]}
    )  # fmt: skip
    same, split, notes = split_media(media, ("9004",))
    assert same.to_dicts() == media.drop("is_remarketing").select(same.columns).to_dicts()
    assert (split, notes) == (Split(), [])


def test_parts_are_named_after_their_channel() -> None:
    """A part knows its channel; a budget of members of both has both parts; one without members keeps its channels."""
    split = Split(("YOUTUBE",), ("9",))
    assert split.names(["YOUTUBE"], ["8", "9"]) == ("YOUTUBE_PROSPECTING", "YOUTUBE_REMARKETING")
    assert split.names(["PMAX", "YOUTUBE"], []) == ("PMAX", "YOUTUBE")
    assert split.names(["PMAX"], ["9"]) == ("PMAX",)
    assert [whole(name) for name in ("YOUTUBE_PROSPECTING", "YOUTUBE_REMARKETING", "YOUTUBE")] == ["YOUTUBE"] * 3


def test_both_parts_stand_for_the_visits_of_their_channel(run: Callable[..., Result]) -> None:
    """In the cross-check with attribution a split channel brings what it brought whole: the parts add up in its group."""
    for job in ("fit-mmm", "review-mmm"):
        assert run(job, "9004").exit_code == 0
    warehouse = open_warehouse(load_settings())
    shares = mmm_shares(warehouse, RUN_DATE)
    assert shares is not None
    assert shares.groups == ("Paid Search", "Paid Video")
    outcome = dict(
        warehouse.query("SELECT channel, outcome_current_mean FROM models.mmm_allocations").iter_rows()  # of the one run
    )
    video = outcome["YOUTUBE_PROSPECTING"] + outcome["YOUTUBE_REMARKETING"]
    assert shares.shares.mean[1] == pytest.approx(video / (video + outcome["SEARCH_NONBRAND"]))


def test_the_how_to_shows_which_channel_stands_for_which_group() -> None:
    """The table people read is the one the code uses."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "experiments-and-mmm.md").read_text()
    table = dict(re.findall(r"^\| `([A-Z_]+)` \| ([A-Z][A-Za-z -]+) \|$", page, flags=re.MULTILINE))
    assert table == GROUP_OF_CHANNEL


def test_a_channel_without_enough_data_is_left_out_and_the_run_says_why(
    shop: Shop, run: Callable[..., Result], inputs: list[MmmInput]
) -> None:
    """A platform that began three weeks ago does not stop the weekly fit: a warning, a reason in the run, the rest as before."""
    late = START + timedelta(weeks=WEEKS - 3)
    rows = [shop._day(late + timedelta(days=d), "9901", "META", "none", 300.0 + d) | {"platform": "meta"} for d in range(21)]
    shop.warehouse.merge("ads.ads_campaign_performance", frame("ads.ads_campaign_performance", rows))
    result = run("fit-mmm")
    assert result.exit_code == 0, result.output
    assert "channel left out: not enough data" in result.output
    assert inputs[0].channels == ("SEARCH_NONBRAND", "YOUTUBE")
    (kept,) = shop.warehouse.query("SELECT channels, left_out_channels FROM models.mmm_runs").to_dicts()
    assert kept["left_out_channels"] == ["META has spend in 3 periods, 8 are needed for a curve"]
    assert "META" not in kept["channels"]
