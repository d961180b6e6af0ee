"""A geo experiment becomes a lift test of the MMM: the truth is found, nothing is found where nothing is, units are right."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from shared_data import shared_file

from tasks.cli import cli
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.settings import load_settings
from tasks.core.warehouse import open_warehouse
from tasks.measure.geo_effect import effect_of, measure, picks_of
from tasks.measure.geo_panel import GeoPanel, read_panel

RUN_DATE = date(2026, 3, 2)


@dataclass(frozen=True)
class World:
    """Weekly outcomes of geos of unlike size that share a season, each with shocks and noise of its own."""

    geos: int = 30
    treated: int = 12
    lift: float = -0.08
    pre: int = 10
    test: int = 4
    cooldown: int = 1

    def panel(self, seed: int) -> GeoPanel:
        """Treated geos, picked by lot, spend nothing in the test and sell ``lift`` less; the others go on."""
        rng = np.random.default_rng(seed)
        weeks = self.pre + self.test + self.cooldown
        size = rng.lognormal(6, 0.8, self.geos)
        season = 1 + 0.2 * np.sin(np.arange(weeks) / 5) + rng.normal(0, 0.05, weeks)
        outcome = size[:, None] * season * np.exp(rng.normal(0, 0.06, (self.geos, weeks)))
        spend = size[:, None] * np.full(weeks, 2.0)
        period = np.repeat([0, 1, 2], [self.pre, self.test, self.cooldown])
        treated = np.zeros(self.geos, dtype=bool)
        treated[rng.choice(self.geos, self.treated, replace=False)] = True
        outcome[np.ix_(treated, period > 0)] *= 1 + self.lift
        spend[np.ix_(treated, period == 1)] = 0.0
        days = tuple(date(2025, 9, 1) + timedelta(weeks=w) for w in range(weeks))
        names = tuple(f"geo_{g:02d}" for g in range(self.geos))
        return GeoPanel(names, days, 7, treated, period, outcome, spend)


def rows_of(panel: GeoPanel) -> list[dict[str, Any]]:
    """The rows of the panel's file."""
    return [
        {
            "geo": geo,
            "date": day.isoformat(),
            "group": "treatment" if panel.treated[g] else "control",
            "period": ("pre", "test", "cooldown")[panel.period[t]],
            "outcome": float(panel.outcome[g, t]),
            "spend": float(panel.spend[g, t]),
        }
        for g, geo in enumerate(panel.geos)
        for t, day in enumerate(panel.days)
    ]


@pytest.mark.slow
def test_the_true_lift_is_inside_the_interval() -> None:
    """Of 50 experiments at least 45 hold the true lift of −8 % in their 95 % interval, and the interval is no barn door.

    The error of delta_y is as large as sigma says: it is what the MMM weighs the test by.
    """
    world = World()
    lifts = [measure(world.panel(seed), 1.0, seed) for seed in range(50)]
    effects = [lift.effect for lift in lifts]
    true = world.lift / (1 + world.lift)  # of what was sold with it
    errors = [lift.delta_y * (1 - true * (1 + lift.effect.lift) / lift.effect.lift) / lift.sigma for lift in lifts]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(1, abs=0.2)
    assert sum(effect.low <= world.lift <= effect.high for effect in effects) >= 45
    assert np.mean([effect.high - effect.low for effect in effects]) < 0.08


@pytest.mark.slow
def test_a_placebo_finds_nothing() -> None:
    """Where treatment did nothing, at most 5 of 50 experiments call it an effect."""
    effects = [measure(replace(World(), lift=0.0).panel(seed), 1.0, seed).effect for seed in range(50)]
    found = [not effect.low <= 0 <= effect.high for effect in effects]
    assert sum(found) <= 5
    assert found == [effect.p_value <= 0.05 for effect in effects]


def quiet(**changes: Any) -> GeoPanel:
    """Eight geos without noise that sell 100 a week each (0 to 3 treated), ten weeks before, four of test, one of cool-down."""
    period = np.repeat([0, 1, 2], [10, 4, 1])
    treated = np.arange(8) < 4
    outcome, spend = np.full((8, 15), 100.0), np.full((8, 15), 50.0)
    outcome += np.linspace(-1e-6, 1e-6, 8)[:, None] * np.where(period > 0, 1, -1)
    days = tuple(date(2025, 9, 1) + timedelta(weeks=w) for w in range(15))
    panel = GeoPanel(tuple("abcdefgh"), days, 7, treated, period, outcome, spend)
    return replace(panel, **changes)


def test_a_holdout_stands_in_the_units_of_the_mmm() -> None:
    """Half of the market is dark for four weeks and sells 10 less in each of five: 2 · 4 · 10 · 5 / 4 = 100 a week nationally.

    Dark everywhere the channel would spend 0 instead of 8 · 50 = 400 a week. In half of the market's outcome all doubles.
    """
    panel = quiet()
    panel.outcome[:4, 10:] -= 10.0
    panel.spend[:4, 10:14] = 0.0
    lift = measure(panel, 1.0, 1)
    assert (lift.x, lift.delta_x, lift.problem) == (0.0, pytest.approx(400.0), None)
    assert lift.delta_y == pytest.approx(100.0, rel=1e-4)
    assert 0 < lift.sigma < 0.01
    half = measure(panel, 0.5, 1)
    assert (half.delta_x, half.delta_y) == (pytest.approx(800.0), pytest.approx(200.0, rel=1e-4))


def test_a_heavy_up_is_a_step_from_what_would_have_been_spent() -> None:
    """The control geos cut spend to 40 in the test: the treated ones would have too, and spend 90 instead: 320 to 720 a week."""
    panel = quiet()
    panel.spend[4:, 10:14] = 40.0
    panel.spend[:4, 10:14] = 90.0
    panel.outcome[:4, 10:] += 5.0
    lift = measure(panel, 1.0, 1)
    assert (lift.x, lift.delta_x) == (pytest.approx(320.0), pytest.approx(400.0))
    assert lift.delta_y == pytest.approx(50.0, rel=1e-4)


def test_a_channel_that_is_new_would_have_spent_as_in_the_control_geos() -> None:
    """Launched everywhere but in the treated geos: the step is from nothing to the control geos' spend per outcome."""
    panel = quiet()
    panel.spend[:, :10] = 0.0
    panel.spend[:4, 10:] = 0.0
    lift = measure(panel, 1.0, 1)
    assert (lift.x, lift.delta_x) == (0.0, pytest.approx(400.0))


def test_without_a_step_in_spend_it_is_no_measurement() -> None:
    """E-mail or prices may have moved, media did not: the lift is told and cannot calibrate."""
    assert "no step along the curve" in str(measure(quiet(), 1.0, 1).problem)


def test_groups_that_moved_apart_before_are_told() -> None:
    """A treated group that already grew before the test has a trend of its own."""
    panel = World(lift=0.0).panel(3)
    assert (measure(panel, 1.0, 1).trend_p or 0) > 0.05
    panel.outcome[panel.treated, 5:10] *= 1.3
    assert (measure(panel, 1.0, 1).trend_p or 1) < 0.01


def test_too_few_geos_are_refused() -> None:
    """Three of seven can be picked in 35 ways: the most extreme of them says nothing at 95 %."""
    with pytest.raises(JobError, match="3 of 7 geos are treated: there are 35 ways to pick them"):
        picks_of(np.arange(7) < 3, 1)


def test_the_p_value_is_the_share_of_picks_as_extreme() -> None:
    """Of the 70 ways to pick 4 of 8, only the true one and its mirror are as far apart."""
    before = np.full(8, 100.0)
    after = np.array([120.0, 121, 122, 123, 100, 101, 102, 103])
    effect = effect_of(before, after, picks_of(np.arange(8) < 4, 1))
    assert effect.p_value == pytest.approx(2 / 70)
    assert effect.lift == pytest.approx(486 / 406 - 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": "treated"}, "row 2: group is neither treatment nor control"),
        ({"period": "after"}, "row 2: period is not pre, test or cooldown"),
        ({"date": "1.9.2025"}, "row 2: date is no day such as 2026-03-01"),
        ({"date": "2026-03-02"}, "row 2: date is on or after the run date 2026-03-02"),
        ({"date": "2025-09-08"}, "geo a has 2025-09-08 more than once"),
        ({"outcome": "NaN"}, "row 2: outcome is not a number from zero up"),
        ({"spend": -1}, "row 2: spend is not a number from zero up"),
        ({"group": "control"}, "geo a is in several groups"),
        ({"period": "test"}, "date 2025-09-01 is in several periods"),
        ({"geo": ""}, "row 2: geo is empty"),
        ({"geo": "zz"}, "geo a has 14 of 15 days; write a row for each"),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """One wrong cell stops the import with its row and what is allowed."""
    rows = rows_of(quiet())
    file = tmp_path / "geo.csv"
    pl.DataFrame([{k: str(v) for k, v in row.items()} for row in [rows[0] | change, *rows[1:]]]).write_csv(file)
    with pytest.raises(JobError) as error:
        read_panel(file, "outcome", "spend", RUN_DATE)
    assert message in str(error.value)


def test_a_panel_comes_back_from_its_file(tmp_path: Path) -> None:
    """Rows in any order, columns under other names, others ignored: the same arrays."""
    panel = World().panel(4)
    frame = pl.DataFrame(rows_of(panel)).rename({"outcome": "orders", "spend": "youtube"}).with_columns(note=pl.lit("x"))
    file = tmp_path / "geo.csv"
    frame.sample(fraction=1, shuffle=True, seed=1).write_csv(file)
    read = read_panel(file, "orders", "youtube", RUN_DATE)
    assert (read.geos, read.days, read.step_days) == (panel.geos, panel.days, 7)
    for name in ("treated", "period", "outcome", "spend"):
        np.testing.assert_array_equal(getattr(read, name), getattr(panel, name))
    with pytest.raises(JobError, match="lacks the columns outcome, spend"):
        read_panel(file, "outcome", "spend", RUN_DATE)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The job on a file with the simulated holdout of seed 2."""
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_NOW", "2026-03-02T06:00:00+00:00")
    pl.DataFrame(rows_of(World().panel(2))).write_csv(tmp_path / "geo.csv")
    named = ("--experiment", "dark", "--channel", "YOUTUBE", "--currency", "EUR", "--run-date", "2026-03-02")
    return lambda *options: CliRunner().invoke(cli, ["import-geo-experiment", str(tmp_path / "geo.csv"), *named, *options])


def _stored() -> pl.DataFrame:
    columns = ", ".join(load_contract("models.lift_tests").columns)
    return open_warehouse(load_settings()).query(f"SELECT {columns} FROM models.lift_tests")


def test_the_job_publishes_a_lift_test(run: Callable[..., Result]) -> None:
    """One row with label, units and days; again it replaces itself; the interval in the row holds the truth."""
    assert "nothing was written" in run("--assigned-by", "lot", "--check-only").output
    assert _stored().is_empty()
    for _ in range(2):
        result = run("--assigned-by", "lot")
        assert result.exit_code == 0, result.output
    assert "dark: 12 treated and 18 control geos, test 2025-11-10 to 2025-12-14; new_customers -" in result.output
    assert "lift test of YOUTUBE: +" in result.output
    [row] = _stored().iter_rows(named=True)
    assert (row["design"], row["effect_kind"], row["source"], row["is_usable"]) == ("geo_experiment", "causal", "platforms", True)
    assert (row["test_start_date"], row["test_end_date"]) == (date(2025, 11, 10), date(2025, 12, 14))
    panel = World().panel(2)
    early = panel.outcome[:, :10].sum() / 10
    assert (row["x"], row["period_days"]) == (0.0, 7)
    assert row["delta_x"] == pytest.approx(panel.spend[~panel.treated, 0].sum() / (1 - _share(panel)), rel=0.3)
    assert row["delta_y"] == pytest.approx(0.08 * early * 5 / 4, rel=0.5)


def _share(panel: GeoPanel) -> float:
    before = panel.outcome[:, :10].sum(axis=1)
    return float(before[panel.treated].sum() / before.sum())


def test_geos_of_choice_are_labelled_and_never_calibrate(run: Callable[..., Result]) -> None:
    """Whoever picks the geos may have picked those that grow anyway."""
    result = run("--assigned-by", "choice")
    assert "it does not calibrate the MMM, the geos were picked by choice: observational" in result.output
    assert _stored()["effect_kind"].to_list() == ["observational"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--currency", "euro"), "three capital letters"),
        (("--experiment", "My Test"), "write a-z, 0-9"),
        (("--coverage", "0"), "above 0 and at most 1"),
        (("--coverage", "nan"), "above 0 and at most 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(run: Callable[..., Result], options: tuple[str, ...], message: str) -> None:
    """The later of two equal options counts; each wrong one is an error with what is allowed."""
    assert message in str(run("--assigned-by", "lot", *options).exception)


@pytest.mark.slow
def test_on_real_cities_the_known_lift_is_found(tmp_path: Path) -> None:
    """GeoLift's example: chicago and portland were treated on days 91 to 105, published lift 5.4 % (ATT 155.556)."""
    frame = pl.read_csv(shared_file("geolift/GeoLift_Test.csv"), try_parse_dates=True)
    start = frame["date"].min() + timedelta(days=90)  # type: ignore[operator]
    treated, late = pl.col("location").is_in(["chicago", "portland"]), pl.col("date") >= start
    file = tmp_path / "geo.csv"
    frame.select(
        pl.col("location").alias("geo"), "date", pl.col("Y").alias("outcome"),
        group=pl.when(treated).then(pl.lit("treatment")).otherwise(pl.lit("control")),
        period=pl.when(late).then(pl.lit("test")).otherwise(pl.lit("pre")),
        spend=pl.when(treated & late).then(1000.0).otherwise(0.0),
    ).write_csv(file)  # fmt: skip
    effect = measure(read_panel(file, "outcome", "spend", RUN_DATE), 1.0, 1).effect
    assert effect.low < 0.054 < effect.high
    assert effect.lift == pytest.approx(0.054, abs=0.02)


@pytest.mark.slow
def test_on_real_weeks_of_real_regions_placebos_are_rare_and_a_planted_lift_is_found() -> None:
    """Meridian's geo data, half of the regions by lot, a month: at most 5 of 50 lots find something; 10 % less is held by 45."""
    frame = pl.read_csv(shared_file("meridian/geo_media.csv"), try_parse_dates=True).sort("geo", "time")
    geos, days = tuple(frame["geo"].unique().sort()), tuple(frame["time"].unique().sort())[60:76]
    chosen = frame.filter(pl.col("time").is_in(days))
    outcome, spend = (chosen[c].to_numpy().reshape(len(geos), len(days)) for c in ("conversions", "Channel0_spend"))
    period = np.repeat([0, 1], [12, 4])
    found = held = 0
    for seed in range(50):
        treated = np.zeros(len(geos), dtype=bool)
        treated[np.random.default_rng(seed).choice(len(geos), len(geos) // 2, replace=False)] = True
        panel = GeoPanel(geos, days, 7, treated, period, outcome, spend)
        effect = measure(panel, 1.0, seed).effect
        found += not effect.low <= 0 <= effect.high
        planted = outcome.copy()
        planted[np.ix_(treated, period > 0)] *= 0.9
        effect = measure(replace(panel, outcome=planted), 1.0, seed).effect
        held += effect.low <= -0.1 <= effect.high
    assert found <= 5
    assert held >= 45
