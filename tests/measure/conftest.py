"""Inputs of the measurement tests: small simulated markets with a known response."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from tasks.cli import cli
from tasks.core.settings import load_settings
from tasks.core.warehouse import open_warehouse
from tasks.measure.mmm_data import MmmInput


def make_input(periods: int = 60, channels: int = 2, geos: int = 1, controls: int = 1, seed: int = 3) -> MmmInput:
    """Weekly spend, a season, a promotion and an outcome that truly follows adstocked, saturated spend."""
    rng = np.random.default_rng(seed)
    spend = rng.gamma(2.0, 500.0, (periods, geos, channels)) * (rng.uniform(size=(periods, geos, channels)) > 0.2)
    carried = spend.copy()
    for lag in range(1, 4):
        carried[lag:] += 0.5**lag * spend[:-lag]
    promotion = rng.uniform(size=(periods, geos, controls))
    effect = (np.arange(channels) + 1) * 120 * np.tanh(carried / 3000)
    outcome = 900 + 80 * np.sin(np.arange(periods) / 52 * 2 * np.pi)[:, None] + effect.sum(axis=2) + 60 * promotion.sum(axis=2)
    return MmmInput(
        source="simulated",
        target="new_customers",
        currency_code="EUR",
        period_days=7,
        periods=tuple(date(2024, 1, 1) + timedelta(weeks=week) for week in range(periods)),
        geos=tuple(f"geo_{g}" for g in range(geos)) if geos > 1 else ("national",),
        channels=tuple(f"channel_{c}" for c in range(channels)),
        spend=spend,
        outcome=outcome + rng.normal(0, 15, outcome.shape),
        control_names=tuple(f"control_{k}" for k in range(controls)),
        controls=promotion,
    )


@pytest.fixture
def simulated() -> MmmInput:
    """Sixty national weeks of two channels and one control."""
    return make_input()


@pytest.fixture(scope="session")
def make_market() -> Callable[..., MmmInput]:
    """The maker of simulated markets."""
    return make_input


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
