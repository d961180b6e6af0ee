"""What the jobs of the website leave behind, for the made-up advertiser of report_world: two properties, five channels."""

from datetime import date, timedelta
from typing import Any

from report_world import PLANNED, ReportWorld

PROPERTY, SMALL_PROPERTY = "300000001", "300000002"
WEEK = date(2026, 2, 16)
ATTRIBUTED = {
    "Paid Search": (0.4, 0.3, 0.33),
    "Paid Video": (0.2, 0.3, 0.32),
    "Direct": (0.395, 0.395, 0.345),
    "Email": (0.005,) * 3,
}
CHECKED = {
    "Paid Search": {"mmm": 0.35, "markov_1": 0.5, "last": 0.67},
    "Paid Video": {"mmm": 0.65, "markov_1": 0.5, "last": 0.33},
}
# path: conversions, journeys without one
PATHS = {
    "Paid Search": (60, 1940),
    "Paid Search > Direct": (30, 470),
    "Paid Video": (20, 1480),
    "Paid Video > Paid Search > Direct": (12, 88),
    "Paid Video > Paid Search > Direct > Email": (5, 15),
    "Direct": (9, 791),
    "Organic Social": (0, 400),
}


def website(world: ReportWorld) -> None:
    """Attribution with its cross-check, paths, maturity and an experiment."""
    attribution(world)
    cross_check(world)
    paths(world)
    maturity(world)
    uplift(world)


def attribution(world: ReportWorld, week: date = WEEK, property_id: str = PROPERTY, conversions: float = 131.0) -> None:
    """Three methods and four channels, one of them below 1 %, in the four weeks up to that of ``week``."""
    now = world.at(PLANNED, 6)
    about = {"property_id": property_id, "week_start_date": week, "window_start_date": week - timedelta(weeks=3)}
    about |= {"window_end_date": week + timedelta(days=6), "value_micros": 0, "currency_code": "USD", "standard_error": 0.0}
    about |= {"journeys": 5000.0, "loaded_at": now}
    rows = []
    for channel, shares in ATTRIBUTED.items():
        for method, share in zip(("last", "markov_1", "shapley"), shares, strict=True):
            row = {"method": method, "channel_group": channel, "conversions": share * conversions}
            rows.append(about | row | _interval("share", share, 0.03))
    rows.append(about | {"method": "linear", "channel_group": "Direct", "conversions": 1.0} | _interval("share", 0.9, 0.01))
    world.put("models.attribution_weekly", *rows)


def cross_check(world: ReportWorld, week: date = WEEK, property_id: str = PROPERTY) -> None:
    """Last touch gives Paid Search more than the model does, Markov does not."""
    about = {
        "property_id": property_id,
        "week_start_date": week,
        "run_id": "mmm-0123456789abcdef",
        "loaded_at": world.at(PLANNED, 6),
    }
    rows = []
    for channel, said in CHECKED.items():
        for method, share in said.items():
            detail = f"{channel}: {method} gives {share:.0%}, more than the model's 35%"
            row = {"method": method, "channel_group": channel, "is_disagreeing": method == "last", "detail": detail}
            rows.append(about | row | _interval("share", share, 0.1))
    world.put("models.attribution_cross_check", *rows)


def paths(world: ReportWorld, day: date = PLANNED, property_id: str = PROPERTY) -> None:
    """The paths of PATHS, half of them on the day before."""
    rows = []
    for back in (0, 1):
        about = {"property_id": property_id, "date": day - timedelta(days=back), "value_micros": 0, "currency_code": "USD"}
        about |= {"loaded_at": world.at(PLANNED, 6)}
        for path, (conversions, nulls) in PATHS.items():
            row = {
                "path": path,
                "touches": path.count(">") + 1,
                "conversions": conversions / 2,
                "null_journeys": nulls // 2 + back * (nulls % 2),
            }
            rows.append(about | row)
    world.put("models.journey_paths_daily", *rows)


def maturity(world: ReportWorld, day: date = PLANNED) -> None:
    """GA4's purchase and two actions of an ad account; one of the property's channels, which the page leaves out."""
    rows = []
    for source, account, action, channel, conversions, pace in (
        ("ga4", PROPERTY, "purchase", "all", 605.0, 0.3),
        ("ga4", PROPERTY, "purchase", "Paid Search", 9000.0, 0.3),
        ("google_ads", "2000000001", "101", "all", 15_191.0, 0.6),
        ("google_ads", "2000000001", "102", "all", 300.0, 0.98),
        ("google_ads", "2000000001", "103", "all", 299.0, 0.6),
    ):
        about: dict[str, Any] = {"run_date": day, "source": source, "account_id": account, "conversion_action_id": action}
        about |= {"channel_group": channel, "conversions": conversions, "cohorts": 40, "dispersion": 1.0}
        about |= {"loaded_at": world.at(PLANNED, 6)}
        rows += [about | {"lag_days": lag} | _interval("share", 1 - pace ** (lag + 1), 0.03, mean="_mean") for lag in range(30)]
    world.put("ga4.conversion_maturity", *rows)


def uplift(
    world: ReportWorld, day: date = PLANNED, experiment: str = "spring_holdout", kind: str = "causal", qini_low: float = 0.001
) -> None:
    """Two learners; the chosen one wins 12 of 1,000 by its best three tenths, chance 6, everybody 20."""
    about: dict[str, Any] = {"date": day, "experiment_id": experiment, "effect_kind": kind, "loaded_at": world.at(PLANNED, 6)}
    curves, learners = [], []
    for learner, gain, is_chosen in (("doubly_robust", 0.012, True), ("two_models", 0.007, False)):
        for tenth, won in ((0, 0.0), (3, gain), (10, 0.02)):
            row = {"learner": learner, "share": tenth / 10, "gain": won, "gain_random": 0.002 * tenth}
            curves.append(about | row | {"gain_p05": won - 0.004, "gain_p95": won + 0.004})
        row = {"learner": learner, "is_chosen": is_chosen, "model_version": "1"}
        row |= {f"{name}{end}": 0.01 for name in ("qini", "uplift_at_10", "uplift_at_30") for end in ("", "_p05", "_p95")}
        row["qini_p05"] = qini_low if is_chosen else 0.0
        learners.append(about | row)
    world.put("models.uplift_curves", *curves)
    world.put("models.uplift_learners_daily", *learners)


def _interval(name: str, value: float, margin: float, mean: str = "") -> dict[str, float]:
    return {f"{name}{mean}": value, f"{name}_p05": max(0.0, value - margin), f"{name}_p95": min(1.0, value + margin)}
