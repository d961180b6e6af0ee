"""People with a known effect of treatment: what the estimators of uplift are held against."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from tasks.core.contracts import load_contract
from tasks.core.warehouse import Warehouse
from tasks.measure.uplift_data import Floats, Units

EFFECTS = {"keen": 0.10, "lukewarm": 0.03, "lost": 0.0}


def people(size: int, seed: int, *, randomised: bool = True, odds: float = 0.5, confounding: float = 1.5) -> tuple[Units, Floats]:
    """(units, their true effects). Without a lot, those who buy anyway are exposed more often (``confounding``)."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(size, 4))
    segment = np.where(features[:, 0] > 0.3, "keen", np.where(features[:, 0] > -0.8, "lukewarm", "lost"))
    effect = np.array([EFFECTS[name] for name in segment])
    base = 0.75 / (1 + np.exp(2.0 - 0.8 * features[:, 1]))
    exposed = np.full(size, odds) if randomised else 1 / (1 + np.exp(-confounding * features[:, 1]))
    treated = (rng.random(size) < exposed).astype(float)
    outcome = (rng.random(size) < base + treated * effect).astype(float)
    known = np.full(size, odds) if randomised else None
    return Units(("a", "b", "c", "d"), features, treated, outcome, known, segment), effect


# --- the same people as rows of the warehouse

ASSIGNED = date(2026, 1, 15)
NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
VISIT_EFFECTS = {"returning": 0.12, "first_visit": 0.02}


def session_frame(persons: list[str], days: list[date], conversions: list[float], **changes: object) -> pl.DataFrame:
    """One visit a person and day of ``persons`` × ``days``."""
    at = [datetime(d.year, d.month, d.day, 12, tzinfo=UTC) for d in days]
    constant = {
        "property_id": "42",
        "session_number": 1,
        "channel_group": "Paid Search",
        "source": "google",
        "medium": "cpc",
        "device_category": "mobile",
        "country": "DE",
        "events": 3,
        "engagement_seconds": 12.0,
        "is_engaged": True,
        "is_ads_consented": True,
        "value_micros": 0,
        "currency_code": "EUR",
        "loaded_at": NOW,
    } | changes
    frame = pl.DataFrame(
        {
            "session_start_date": days,
            "session_start_at": at,
            "session_key": [f"{p}.{n}" for n, p in enumerate(persons)],
            "person_id": persons,
            "user_pseudo_id": [f"c-{p}" for p in persons],
            "conversions": conversions,
        }
    ).with_columns(pl.lit(value).alias(name) for name, value in constant.items())
    contract = load_contract("gaelp_users.journey_sessions")
    return frame.select(pl.col(name).cast(dtype) for name, dtype in contract.polars_schema().items())


def store_trial(
    warehouse: Warehouse,
    size: int = 3000,
    seed: int = 1,
    *,
    randomised: bool = True,
    cost: dict[str, object] | None = None,
    experiment_id: str = "holdout",
    kind: str = "person_id",
) -> dict[str, float]:
    """People with one or several visits before the assignment, then conversions that treatment adds; returns true effects.

    Without a lot those with several visits, who buy anyway, are exposed far more often.
    """
    rng = np.random.default_rng(seed)
    persons = [f"{i:032x}" for i in range(size)]
    visits = np.where(rng.random(size) < 0.5, 1, 3)
    odds = np.full(size, 0.5) if randomised else np.where(visits == 3, 0.8, 0.2)
    treated = rng.random(size) < odds
    effect = np.where(visits == 3, VISIT_EFFECTS["returning"], VISIT_EFFECTS["first_visit"])
    converted = rng.random(size) < np.where(visits == 3, 0.20, 0.05) + treated * effect
    before = [(p, ASSIGNED - timedelta(days=2 + 5 * k)) for p, n in zip(persons, visits, strict=True) for k in range(n)]
    frames = [session_frame([p for p, _ in before], [d for _, d in before], [0.0] * len(before))]
    buyers = [p for p, c in zip(persons, converted, strict=True) if c]
    frames.append(
        session_frame(buyers, [ASSIGNED + timedelta(days=3)] * len(buyers), [1.0] * len(buyers), value_micros=90_000_000)
    )
    # Visits of yesterday look like those before the assignment, so that nobody has drifted.
    late = [(p, date(2026, 2, 28) - timedelta(days=5 * k)) for p, n in zip(persons, visits, strict=True) for k in range(n)]
    fresh = [(f"{int(p, 16) + (1 << 64):032x}", d) for p, d in late]
    frames.append(session_frame([p for p, _ in fresh], [d for _, d in fresh], [0.0] * len(fresh)))
    warehouse.append("gaelp_users.journey_sessions", pl.concat(frames))
    rows = pl.DataFrame(
        {
            "unit_id": persons if kind == "person_id" else [f"c-{p}" for p in persons],
            "arm": np.where(treated, "treatment", "control"),
            "propensity": odds if randomised else [None] * size,
        },
        schema_overrides={"propensity": pl.Float64},
    ).with_columns(
        pl.lit(experiment_id).alias("experiment_id"),
        pl.lit(kind).alias("unit_id_kind"),
        pl.lit(ASSIGNED).alias("assigned_date"),
        pl.lit(randomised).alias("is_randomised"),
        pl.lit("test").alias("source"),
        pl.lit(NOW).cast(pl.Datetime("us", "UTC")).alias("loaded_at"),
    )
    warehouse.append("gaelp_users.experiment_assignments", rows)
    experiment = {
        "experiment_id": experiment_id,
        "is_randomised": randomised,
        "units": size,
        "source": "test",
        "loaded_at": NOW,
    } | (cost or {})
    schema = load_contract("gaelp_users.experiments").polars_schema()
    warehouse.append("gaelp_users.experiments", pl.DataFrame([experiment], schema=schema))
    return {"all": float(effect.mean()), **VISIT_EFFECTS}
