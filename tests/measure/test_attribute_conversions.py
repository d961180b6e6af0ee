"""attribute-conversions against a warehouse: windows, totals, intervals, the cross-check with the model, refusals."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from tasks.cli import cli
from tasks.core.contracts import load_contract
from tasks.core.errors import GateStop
from tasks.core.settings import load_settings
from tasks.core.warehouse import Warehouse, open_warehouse
from tasks.measure.attribute_conversions import window_of
from tasks.measure.attribution import METHODS
from tasks.measure.attribution_tables import ModelShares, Shares, Window, _whole, cross_check_rows

NOW = datetime(2026, 3, 4, 6, tzinfo=UTC)
MONDAY = date(2026, 2, 23)
ROWS = (("Paid Search > Direct", 30, 200), ("Paid Video > Paid Search", 12, 90), ("Cross-network", 8, 160), ("Direct", 20, 400))


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_NOW", NOW.isoformat())
    return open_warehouse(load_settings())


@pytest.fixture
def run(warehouse: Warehouse) -> Callable[..., Result]:
    def call(*options: str) -> Result:
        return CliRunner().invoke(cli, ["attribute-conversions", "--run-date", "2026-03-04", "--replicates", "40", *options])

    return call


def store(warehouse: Warehouse, days: list[date], *, property_id: str = "42", currency: str = "USD", each: int = 1) -> None:
    rows = [
        {
            "property_id": property_id,
            "date": day,
            "path": path,
            "touches": path.count(">") + 1,
            "conversions": float(conversions * each),
            "value_micros": conversions * each * 100_000_000,
            "currency_code": currency,
            "null_journeys": nulls * each,
            "loaded_at": NOW,
        }
        for day in days
        for path, conversions, nulls in ROWS
    ]
    schema = load_contract("models.journey_paths_daily").polars_schema()
    warehouse.append("models.journey_paths_daily", pl.DataFrame(rows, schema=schema))


def read(warehouse: Warehouse) -> pl.DataFrame:
    columns = ", ".join(load_contract("models.attribution_weekly").columns)
    return warehouse.query(f"SELECT {columns} FROM models.attribution_weekly ORDER BY property_id, method, channel_group")


@pytest.mark.parametrize(
    ("run_date", "expected"),
    [
        (date(2026, 3, 4), (date(2026, 2, 2), date(2026, 3, 2))),
        (date(2026, 3, 2), (date(2026, 2, 2), date(2026, 3, 2))),
        (date(2026, 3, 1), (date(2026, 1, 26), date(2026, 2, 23))),
    ],
)
def test_the_window_is_the_complete_weeks_before_the_run_date(run_date: date, expected: tuple[date, date]) -> None:
    """Monday to Sunday; a run on a Monday uses the week that ended the day before."""
    assert window_of(run_date, 4) == expected


def test_every_method_credits_all_conversions_of_the_window_and_no_other_day(
    warehouse: Warehouse, run: Callable[..., Result]
) -> None:
    """Days before the four weeks and after the last Sunday play no part; sums are the totals, to the micro."""
    store(warehouse, [date(2026, 2, 2), date(2026, 3, 1)])
    store(warehouse, [date(2026, 2, 1), date(2026, 3, 2)], each=50)
    result = run()
    assert result.exit_code == 0, result.output
    assert "140 conversions of 1,840 journeys from 2026-02-02 to 2026-03-01" in result.output
    frame = read(warehouse)
    assert set(frame["method"]) == set(METHODS)
    totals = frame.group_by("method").agg(pl.col("conversions", "value_micros", "share").sum())
    assert totals["conversions"].to_list() == pytest.approx([140.0] * len(METHODS))
    assert totals["value_micros"].to_list() == [14_000_000_000] * len(METHODS)
    assert totals["share"].to_list() == pytest.approx([1.0] * len(METHODS))
    assert set(frame["week_start_date"]) == {MONDAY}
    assert set(frame["journeys"]) == {1840.0}
    inside = frame.filter(pl.col("share").is_between(pl.col("share_p05") - 1e-9, pl.col("share_p95") + 1e-9))
    assert inside.height == frame.height
    assert (frame["share_p95"] - frame["share_p05"]).max() > 0.02


def test_twice_is_as_once_and_another_property_is_left_alone(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """The week's rows are replaced; the same data and seed give the same numbers."""
    for property_id in ("42", "43"):
        store(warehouse, [date(2026, 2, 20)], property_id=property_id, each=int(property_id == "43") + 1)
    assert run().exit_code == 0
    first = read(warehouse)
    assert run().exit_code == 0
    assert read(warehouse).equals(first)
    assert (
        first.filter(pl.col("property_id") == "43")["journeys"][0]
        == 2 * first.filter(pl.col("property_id") == "42")["journeys"][0]
    )


def test_more_journeys_make_the_interval_narrower(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """A hundred times the journeys, about a tenth of the width."""
    store(warehouse, [date(2026, 2, 20)], property_id="1")
    store(warehouse, [date(2026, 2, 20)], property_id="2", each=100)
    assert run("--replicates", "200").exit_code == 0
    width = read(warehouse).filter(method="last", channel_group="Direct").select(pl.col("share_p95") - pl.col("share_p05"))
    few, many = width["share_p95"]
    assert 6 < few / many < 16


def test_without_a_conversion_the_job_stops_and_says_where_to_look(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    store(warehouse, [date(2026, 1, 1)])
    result = run()
    assert isinstance(result.exception, GateStop)
    assert "no conversion from 2026-02-02 to 2026-03-01" in str(result.exception)


def test_two_currencies_in_one_property_are_refused(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    store(warehouse, [date(2026, 2, 20)])
    store(warehouse, [date(2026, 2, 21)], currency="EUR")
    result = run()
    assert isinstance(result.exception, GateStop)
    assert "mixed currencies: property 42 has conversions in EUR, USD" in str(result.exception)
    assert read(warehouse).height == 0


def test_no_live_model_is_said_and_leaves_the_cross_check_empty(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    store(warehouse, [date(2026, 2, 20)])
    assert "no live MMM run" in run().output
    assert warehouse.query("SELECT method FROM models.attribution_cross_check").height == 0


def around(*means: float, width: float = 0.02) -> Shares:
    """Shares with an interval of about ±``width``."""
    steps = np.linspace(-width, width, 101)[:, None]
    return Shares(np.array(means), np.array(means) + steps * np.array([1.0, *[-1.0 / (len(means) - 1)] * (len(means) - 1)]))


def test_the_cross_check_flags_what_the_model_contradicts() -> None:
    """Shares are of what both know: Direct, which no model has, does not count; intervals that meet are no disagreement."""
    window = Window("42", date(2026, 2, 2), date(2026, 3, 2), "USD")
    channels = ("Cross-network", "Direct", "Paid Search", "Paid Video")
    model = ModelShares("mmm-1", ("Cross-network", "Paid Search", "Paid Video"), around(0.3, 0.3, 0.4))
    ours = {"markov_1": around(0.15, 0.5, 0.15, 0.2), "last": around(0.1, 0.5, 0.39, 0.01)}
    frame = cross_check_rows(window, ours, channels, model)  # type: ignore[arg-type]
    flags = {(r["method"], r["channel_group"]): r["is_disagreeing"] for r in frame.iter_rows(named=True)}
    assert flags == {
        ("mmm", "Cross-network"): False,
        ("mmm", "Paid Search"): False,
        ("mmm", "Paid Video"): False,
        ("markov_1", "Cross-network"): False,
        ("markov_1", "Paid Search"): False,
        ("markov_1", "Paid Video"): False,
        ("last", "Cross-network"): True,
        ("last", "Paid Search"): True,
        ("last", "Paid Video"): True,
    }
    assert frame.group_by("method").agg(pl.col("share").sum())["share"].to_list() == pytest.approx([1.0] * 3)
    assert any("less than the model's" in detail for detail in frame["detail"])
    assert set(frame["week_start_date"]) == {window.end - timedelta(weeks=1)}


@pytest.mark.parametrize("values", [[0.4, 0.4, 0.2], [1.5, 2.5, 3.0], [0.0, 0.0], [1e15 + 0.5, 0.25, 0.25]])
def test_credited_money_is_whole_and_adds_up(values: list[float]) -> None:
    """Rounding channel by channel would lose or invent micros."""
    whole = _whole(np.array(values))
    assert whole.sum() == round(sum(values))
    assert np.abs(whole - np.array(values)).max() < 1
