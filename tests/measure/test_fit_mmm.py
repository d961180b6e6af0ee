"""fit-mmm and review-mmm against a warehouse; the fallback model keeps them quick, the sampler has its own tests."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from tasks.cli import cli
from tasks.core.errors import GateStop
from tasks.core.settings import load_settings
from tasks.core.warehouse import open_warehouse
from tasks.measure.mmm_data import MmmInput

RUN = ("--run-date", "2025-03-05", "--source", "shop")
TABLES = ("mmm_runs", "mmm_curves", "mmm_allocations", "mmm_draws", "mmm_fit_weekly")


def _load(data: MmmInput, source: str) -> None:
    stamp = datetime(2025, 3, 4, tzinfo=UTC)
    common = {"source": source, "loaded_at": stamp, "geo": "national"}
    media, outcomes, controls = [], [], []
    for t, start in enumerate(data.periods):
        for day in range(7):
            key = common | {"period_start_date": start + timedelta(days=day), "period_days": 1}
            for c, channel in enumerate(data.channels):
                spend = round(data.spend[t, 0, c] / 7 * 1e6)
                media.append(key | {"channel": channel, "spend_micros": spend, "impressions": None, "currency_code": "EUR"})
            sold = float(data.outcome[t, 0] / 7)
            outcomes.append(key | {"new_customers": sold, "revenue_micros": round(sold * 5e7), "currency_code": "EUR"})
            controls.append(key | {"control": "promotion", "value": float(data.controls[t, 0, 0])})
    warehouse = open_warehouse(load_settings())
    for table, rows in (("imported_media", media), ("business_outcomes", outcomes), ("business_controls", controls)):
        warehouse.merge(f"ads.{table}", pl.DataFrame(rows, infer_schema_length=None))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulated: MmmInput) -> Callable[..., Result]:
    """Sixty weeks of daily rows in a fresh warehouse, and a way to run jobs on them."""
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_NOW", "2025-03-05T06:00:00+00:00")
    monkeypatch.setenv("AELP2_MMM_MODEL", "bootstrap_loglog")
    _load(simulated, "shop")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, [*arguments])

    return run


def _table(name: str) -> pl.DataFrame:
    return open_warehouse(load_settings()).query(f"SELECT * FROM models.{name}", {})


def test_a_fit_fills_its_tables_and_a_second_one_is_reused(shop: Callable[..., Result]) -> None:
    """Daily rows become complete Monday weeks; the same data is not fitted twice; row counts stay."""
    first = shop("fit-mmm", *RUN)
    assert first.exit_code == 0, first.output
    before = {name: len(_table(name)) for name in TABLES}
    run = _table("mmm_runs").row(0, named=True)
    assert (
        run["periods"], run["period_days"], run["model"], run["trust"], run["currency_code"],
    ) == (60, 7, "bootstrap_loglog", "low", "EUR")  # fmt: skip
    second = shop("fit-mmm", *RUN)
    assert "same data and configuration" in second.output
    assert before == {name: len(_table(name)) for name in TABLES}
    assert shop("fit-mmm", *RUN, "--refit").exit_code == 0
    assert before == {name: len(_table(name)) for name in TABLES}


def test_days_of_the_running_week_are_not_seen(shop: Callable[..., Result]) -> None:
    """On a Wednesday of the last week, that week is left out."""
    shop("fit-mmm", "--run-date", "2025-02-19", "--source", "shop")
    assert str(_table("mmm_runs")["window_end_date"][0]) == "2025-02-16"


def test_a_source_nobody_loaded_is_named(shop: Callable[..., Result]) -> None:
    """No data is an error that names the source and the remedy, and leaves no run."""
    result = shop("fit-mmm", "--run-date", "2025-03-05", "--source", "nowhere")
    assert "source nowhere has no spend" in str(result.exception)
    assert _table("mmm_runs").is_empty()


def test_the_fallback_goes_live_only_as_review(shop: Callable[..., Result]) -> None:
    """The low-trust model can serve, but its verdict says REVIEW."""
    shop("fit-mmm", *RUN)
    result = shop("review-mmm", *RUN)
    assert "verdict REVIEW; it is live now" in result.output
    reviews = _table("mmm_reviews")
    assert reviews.filter(check="verdict")["result"].to_list() == ["REVIEW"]
    assert reviews.filter(check="trust")["result"].to_list() == ["REVIEW"]


def test_a_failed_run_leaves_the_earlier_one_live(shop: Callable[..., Result]) -> None:
    """FAIL is a gate that stops, names the run that stays in force, and the live query still answers with it."""
    shop("fit-mmm", *RUN)
    shop("review-mmm", *RUN)
    warehouse = open_warehouse(load_settings())
    good = _table("mmm_runs")
    identifier = good["run_id"][0]
    bad = good.with_columns(
        run_id=pl.lit("mmm-bad"),
        run_date=pl.lit(date(2025, 3, 6)),
        r2=pl.lit(0.01),
        model=pl.lit("bootstrap_loglog"),
    )
    for name in TABLES[1:]:
        warehouse.merge(f"models.{name}", _table(name).with_columns(run_id=pl.lit("mmm-bad")))
    warehouse.merge("models.mmm_runs", bad)
    result = shop("review-mmm", "--run-date", "2025-03-06", "--source", "shop")
    assert isinstance(result.exception, GateStop)
    assert f"mmm-bad FAILED on fit_r2; run {identifier} of 2025-03-05 stays live" in str(result.exception)
    params = {"source": "shop", "target": "new_customers", "run_date": date(2025, 3, 6)}
    assert warehouse.query_file("models/live_mmm_run/query.sql", params)["run_id"].to_list() == [identifier]


def test_review_without_a_run_says_what_to_do(shop: Callable[..., Result]) -> None:
    """Nothing to judge is an error, not a pass."""
    result = shop("review-mmm", *RUN)
    assert "run fit-mmm first" in str(result.exception)
