"""Drift and fidelity on the page: the newest verdicts, the worst columns first, in words for people."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl
from report_world import ACCOUNT, RUN_DATE, RUN_ID, ReportWorld

from tasks.govern import report_trust as trust
from tasks.govern.report_data import read_report
from tasks.govern.report_page import render


def drifted(world: ReportWorld, verdict: str, column: str = "cost", q: float | None = 0.5, **changes: Any) -> None:
    """One row of control.drift_reports."""
    row = {"run_date": RUN_DATE, "platform": "google_ads", "account_id": ACCOUNT, "dataset": "ads_facts", "segment": "all"}
    row |= {"column_name": column, "method": "ks", "value": 0.4, "critical_value": 0.3, "q_value": q, "placebos": 9.0}
    row |= {"verdict": verdict, "detail": f"{column} of YOUTUBE: the mean is +41 %", "thresholds_version": 1}
    row |= {"reference_start_date": RUN_DATE, "current_start_date": RUN_DATE, "current_end_date": RUN_DATE}
    world.put("control.drift_reports", row | {"checked_at": world.at(RUN_DATE, 6)} | changes)


def evaluated(world: ReportWorld, result: str = "pass", day: date = RUN_DATE) -> None:
    """One metric, the verdict and three weeks of an evaluation."""
    about = {"run_date": day, "platform": "all", "account_id": "all", "basis": "model", "target": "new_customers"}
    row = about | {"periods": 3, "thresholds_version": 1, "evaluated_at": world.at(day, 6)}
    metric = {"metric": "mape_cac", "result": result, "value": 0.0591, "threshold": 0.5, "detail": "mape_cac 0.0591"}
    verdict = {"metric": "verdict", "result": result, "detail": "3 periods within the limits"}
    world.put("control.fidelity_evaluations", row | metric, row | verdict)
    for number in range(3):
        week = {"period_start_date": date(2026, 2, 2) + timedelta(weeks=number), "period_days": 7, "prediction_ref": RUN_ID}
        pair = {
            "predicted_mean": 100.0,
            "predicted_p05": 90.0,
            "predicted_p95": 110.0,
            "realised": None if number == 2 else 104.0,
        }
        world.put("control.fidelity_periods", about | week | pair | {"kind": "holdout" if number == 0 else "one_step"})


def page(world: ReportWorld) -> str:
    return render(read_report(world.warehouse, run_date=RUN_DATE, source="platforms"))


def test_before_the_checks_have_run_the_page_says_nothing(world: ReportWorld) -> None:
    """No facts, no heading."""
    world.model()
    found = trust.read_trust(world.warehouse, RUN_DATE)
    assert (trust.drift(found), trust.fidelity(found), trust.predicted(found, "new_customers").height) == (None, [], 0)
    assert "be trusted?" not in page(world)


def test_a_column_is_as_bad_as_its_worst_method(world: ReportWorld) -> None:
    """Critical by one of two methods is one critical column; what one method can judge is known; yesterday is not read."""
    drifted(world, "critical", run_date=RUN_DATE - timedelta(days=1), column="old")
    drifted(world, "ok")
    drifted(world, "critical", method="psi", q=0.001)
    drifted(world, "warning", "clicks", q=0.04)
    drifted(world, "unknown", "conversions", q=None)
    drifted(world, "ok", "conversions", q=None, method="missing")
    found = trust.drift(trust.read_trust(world.warehouse, RUN_DATE))
    assert found is not None
    assert found.datasets == ({"dataset": "ads_facts", "critical": 1, "warning": 1, "ok": 1, "unknown": 0},)
    assert [(one["column_name"], one["method"]) for one in found.worst] == [("cost", "psi"), ("clicks", "ks")]
    assert found.is_stopping


def test_an_acknowledged_drift_stops_nothing(world: ReportWorld) -> None:
    """It stays on the page, as acknowledged; once the word has run out it stops again."""
    drifted(world, "critical")
    word = {"acknowledgement_id": "1", "run_date": RUN_DATE, "platform": "google_ads", "account_id": ACCOUNT, "actor": "maria"}
    word |= {"dataset": "ads_facts", "segment": "all", "column_name": "cost", "why": "sale", "until_date": RUN_DATE}
    world.put("control.drift_acknowledgements", word | {"acknowledged_at": world.at(RUN_DATE, 7)})
    found = trust.drift(trust.read_trust(world.warehouse, RUN_DATE))
    assert found is not None
    assert (found.is_stopping, found.worst[0]["is_acknowledged"]) == (False, True)
    late = trust.drift(trust.read_trust(world.warehouse, RUN_DATE + timedelta(days=1)))
    assert late is not None
    assert late.is_stopping


def test_the_page_tells_verdicts_and_draws_the_weeks(world: ReportWorld) -> None:
    """Words for people, the numbers and the picture; an import has no such section."""
    world.model()
    drifted(world, "critical")
    evaluated(world)
    text = page(world)
    for words in (
        "planning waits for a person",
        "cost of YOUTUBE: the mean is +41 %",
        "Did what the model predicted come true?",
        "Error of the cost per new customer (MAPE)",
        "Predicted against realised, week by week",
        "0.0591",
    ):
        assert words in text
    weeks = trust.predicted(trust.read_trust(world.warehouse, RUN_DATE), "new_customers")
    assert weeks.select("observed", "is_holdout").rows() == [(104.0, True), (104.0, False)], "a week that is unknown has no dot"
    world.model(source="my_sheet", run_id="mmm-sheet")
    assert "be trusted?" not in render(read_report(world.warehouse, run_date=RUN_DATE, source="my_sheet"))


def test_verdicts_older_than_two_weeks_are_not_shown(world: ReportWorld) -> None:
    """What held a month ago says nothing of today."""
    evaluated(world, day=RUN_DATE - timedelta(days=15))
    assert trust.fidelity(trust.read_trust(world.warehouse, RUN_DATE)) == []
    evaluated(world, "blocked", day=RUN_DATE - timedelta(days=14))
    (found,) = trust.fidelity(trust.read_trust(world.warehouse, RUN_DATE))
    assert (found.verdict["result"], [one["metric"] for one in found.metrics]) == ("blocked", ["mape_cac"])
    assert isinstance(trust.read_trust(world.warehouse, RUN_DATE).periods, pl.DataFrame)
