"""Conversions arrive late; what is shown today is what has arrived."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tasks.lab.cube import build_cube
from tasks.lab.sandbox import Sandbox
from tasks.lab.world import load_world


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, load_world("acme"), 7, date(2023, 8, 28), 90)


def purchases(sandbox: Sandbox, day: int) -> int:
    return int(build_cube(sandbox).conversions["purchase"][day].sum())


def test_a_click_date_grows_for_thirty_days_and_then_is_final(sandbox: Sandbox) -> None:
    day = 89  # yesterday
    seen = [purchases(sandbox, day)]
    for _ in range(35):
        sandbox.advance(1)
        seen.append(purchases(sandbox, day))
    final = int(sandbox.market.days[day].purchases.sum())
    assert seen == sorted(seen)
    assert seen[0] < 0.75 * final
    assert seen[29:] == [final] * 7


def test_cost_and_clicks_of_a_completed_day_never_change(sandbox: Sandbox) -> None:
    before = build_cube(sandbox)
    sandbox.advance(5)
    after = build_cube(sandbox)
    for name in ("cost_micros", "clicks", "impressions"):
        np.testing.assert_array_equal(getattr(before, name)[:90], getattr(after, name)[:90])


def test_a_restatement_raises_only_the_days_it_names_and_by_its_factor(sandbox: Sandbox) -> None:
    before = build_cube(sandbox).conversions["purchase"].sum(axis=(1, 2))
    sandbox.add_fault({"kind": "restate", "days": 10, "factor": 1.5})
    after = build_cube(sandbox).conversions["purchase"].sum(axis=(1, 2))
    np.testing.assert_array_equal(before[:80], after[:80])
    assert after[80:90].sum() == pytest.approx(1.5 * before[80:90].sum(), rel=0.05)
    np.testing.assert_array_equal(after, build_cube(sandbox).conversions["purchase"].sum(axis=(1, 2)))


def test_leads_arrive_sooner_than_purchases(sandbox: Sandbox) -> None:
    lag = np.arange(30)

    def mean_lag(name: str) -> float:
        counts = sum(getattr(day, name).sum(axis=0) for day in sandbox.market.days)
        return float((counts * lag).sum() / counts.sum())

    assert mean_lag("leads") < mean_lag("purchases")


def test_state_survives_a_restart_day_by_day(tmp_path: Path) -> None:
    def start() -> Sandbox:
        return Sandbox(tmp_path, load_world("acme"), 7, date(2023, 8, 28), 90)

    first = start()
    first.commit([("budget", 7006, 950_000_000), ("ad", 90070101, 0)], client_type="GOOGLE_ADS_API", user="u@example.test")
    first.advance(3)
    first.add_fault({"kind": "quota", "times": 2})
    second = start()
    assert (second.today, second.current("budget", 7006), second.current("ad", 90070101)) == (first.today, 950_000_000, 0)
    assert [d.new_customers for d in second.market.days] == [d.new_customers for d in first.market.days]
    assert second.events == first.events
    assert second.faults == first.faults
