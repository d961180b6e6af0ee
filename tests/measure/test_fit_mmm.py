"""fit-mmm against a warehouse; the fallback model keeps them quick, the sampler has its own tests."""

from collections.abc import Callable

import polars as pl
from click.testing import Result

from tasks.core.settings import load_settings
from tasks.core.warehouse import open_warehouse

RUN = ("--run-date", "2025-03-05", "--source", "shop")
TABLES = ("mmm_runs", "mmm_curves", "mmm_allocations", "mmm_draws", "mmm_fit_weekly")


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


def test_a_control_that_never_changes_is_left_out_with_a_warning(shop: Callable[..., Result]) -> None:
    """A weekly run has nobody to ask: a promotion calendar without a promotion must not stop the model for good."""
    warehouse = open_warehouse(load_settings())
    rows = warehouse.query(
        "SELECT source, geo, period_start_date, period_days, control, value, loaded_at FROM ads.business_controls"
    )
    warehouse.merge("ads.business_controls", rows.with_columns(control=pl.lit("is_closed"), value=pl.lit(0.0)))
    result = shop("fit-mmm", *RUN)
    assert result.exit_code == 0, result.output
    assert "controls=['is_closed']" in result.output
    assert _table("mmm_runs").height == 1
