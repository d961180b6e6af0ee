"""What the sandbox's shop delivers: clear addresses as people write them, and a lot whose effect is the world's."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.core.personal import normalise_email, normalise_phone
from tasks.lab.market import Change, Market
from tasks.lab.people import BY_EXPERIMENT, People
from tasks.lab.people_backend import BackendFiles, assignments, email_of, phone_of, server_events
from tasks.lab.people_experiment import MAX_GAP_DAYS, SEGMENTS
from tasks.lab.truth import experiment_truth
from tasks.lab.world import load_world

HISTORY = 70
START = date(2025, 12, 1)
DAY = timedelta(days=1)
ZONE = "America/New_York"


def people(days: int = HISTORY, seed: int = 7, changes: tuple[Change, ...] = ()) -> People:
    market = Market(load_world("acme"), seed, START, HISTORY)
    for change in changes:
        market.apply(change)
    market.run_to(days)
    return People(market)


@pytest.fixture(scope="module")
def shop() -> People:
    return people()


def units_of(shop: People, until: int) -> pl.DataFrame:
    """Units assigned before day ``until`` with what treatment would do, and whether their cookie bought from then on."""
    trial = shop.trial
    assert trial is not None
    found = [units for day in range(trial.first, until) if (units := trial.units(day)) is not None]
    frame = pl.concat(
        pl.DataFrame(
            {
                "cookie": units.visit["cookie"],
                "segment": [SEGMENTS[i] for i in units.segment],
                "is_treated": units.is_treated,
                "buy_day": units.buy_day,
                "day": units.day,
            }
        )
        for units in found
    )
    sessions = [(day, shop.sessions(day)) for day in range(trial.first, HISTORY)]
    bought = pl.concat(pl.DataFrame({"cookie": s.cookie[s.is_purchase], "at": day}) for day, s in sessions)
    after = frame.join(bought, on="cookie").filter(pl.col("at") >= pl.col("day")).group_by("cookie").agg(pl.col("at").min())
    return frame.join(after, on="cookie", how="left")


def test_treatment_alone_makes_the_persuadable_buy(shop: People) -> None:
    """Every persuadable unit that is treated buys on its day, none of those held out does; both arms hold as many of them."""
    found = units_of(shop, HISTORY - MAX_GAP_DAYS).filter(pl.col("buy_day") >= 0)
    treated, held_out = found.filter("is_treated"), found.filter(~pl.col("is_treated"))
    assert (treated["at"] == treated["buy_day"]).mean() > 0.97  # type: ignore[operator]  # the rest shares its cookie
    assert held_out["at"].is_null().mean() > 0.97  # type: ignore[operator]
    assert abs(treated.height - held_out.height) < 3 * np.sqrt(found.height)
    assert treated.height > 60


def test_the_effect_of_each_segment_is_the_worlds(shop: People) -> None:
    """The share of persuadable units lies within three standard errors of what the world's YAML asks for."""
    truth = experiment_truth(shop, shop.market.date_of(HISTORY - 1))["segments"]
    assert set(truth) == {*SEGMENTS, "all"}
    for name, asked in load_world("acme").people.experiment.effects.items():  # type: ignore[union-attr]  # acme has one
        row = truth[name]
        assert row["asked_effect"] == asked
        assert abs(row["true_effect"] - asked) < 3 * np.sqrt(asked / row["units"]), name


def test_purchases_of_the_experiment_are_among_those_of_the_market(shop: People) -> None:
    """Purchases still add up to the CRM's customers, nobody buys twice, and some are caused by the experiment."""
    sampled = [shop.sessions(day) for day in range(HISTORY)]
    cause = np.concatenate([s.cause[s.is_purchase] for s in sampled])
    buyers = np.concatenate([s.person[s.is_purchase] for s in sampled])
    wanted = shop.settings.sampling_rate * sum(d.new_customers for d in shop.market.days)
    assert abs(len(buyers) - wanted) <= 1
    assert len(np.unique(buyers)) == len(buyers)
    assert 0.05 < (cause == BY_EXPERIMENT).mean() < 0.5


def test_a_cookie_has_one_arm_and_days_are_stable(shop: People) -> None:
    """Nobody is assigned twice; later days, a budget changed later and a later first question leave the list as it was."""
    rows = assignments(shop, HISTORY)
    later = people(HISTORY + 5, changes=(Change(HISTORY, "budget", 7006, 1),))
    grown = assignments(later, HISTORY + 5)
    assert rows is not None
    assert grown is not None
    assert rows["unit_id"].n_unique() == rows.height > 10_000
    assert rows.equals(grown.head(rows.height))
    assert grown.height - rows.height > 100
    assert dict(rows["arm"].value_counts().iter_rows())["treatment"] == pytest.approx(rows.height / 2, rel=0.05)


def test_without_an_experiment_nothing_is_assigned() -> None:
    """A world that has none writes no list and has no waverers."""
    world = load_world("acme")
    bare = world.model_copy(update={"people": world.people.model_copy(update={"experiment": None})})
    market = Market(bare, 7, START, HISTORY)
    market.run_to(HISTORY)
    shop = People(market)
    assert assignments(shop, HISTORY) is None
    assert not shop.cohort(HISTORY - 1).is_waverer.any()
    with pytest.raises(ValueError, match="has no experiment"):
        experiment_truth(shop, market.date_of(HISTORY - 1))


# --- server events


def test_a_backend_delivers_clear_addresses_and_every_purchase(shop: People) -> None:
    """All purchases of the day are there with order, value and offset, some twice; a person is one address in any spelling."""
    day = HISTORY - 2
    rows = server_events(shop, day, ZONE)
    sold = {row["event_id"]: row for row in rows if row["event_name"] == "purchase"}
    sessions = shop.sessions(day)
    assert len(sold) == int(sessions.is_purchase.sum()) > 5
    assert sum(row["value"] for row in sold.values()) == pytest.approx(sessions.value_micros.sum() / 1e6)
    assert {row["event_time"][-6:] for row in rows} == {"-05:00"}
    assert all("@" in row["email"] for row in rows)
    assert {"granted", "denied"} >= {row["consent_ads"] for row in rows}
    assert all("user_pseudo_id" not in row for row in rows if not row["consent_analytics"])
    many = [row for d in range(HISTORY - 10, HISTORY) for row in server_events(shop, d, ZONE)]
    assert len(many) > len({row["event_id"] for row in many})
    assert len({row["email"] for row in many}) > len({normalise_email(row["email"]) for row in many})


@pytest.mark.parametrize("number", [0, 97, 12_345, 2**62 - 1])
def test_each_spelling_is_the_same_person(number: int) -> None:
    """Every way in which an address or a number is written has one normal form, and that form is valid."""
    assert len({normalise_email(email_of(number, style)) for style in range(8)}) == 1
    assert len({normalise_phone(phone_of(number, style), None) for style in range(8)}) == 1


def test_files_grow_with_the_days_and_older_ones_stay(tmp_path: Path) -> None:
    """A morning later there is one more day of events and a longer list; written again, nothing differs; owners only."""
    shop = people(HISTORY + 1)
    files = BackendFiles(shop, tmp_path, 3)
    files.write(START + HISTORY * DAY)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert len(list(files.server_events.glob("*.ndjson"))) == 3
    BackendFiles(people(HISTORY + 1), tmp_path, 3).write(START + HISTORY * DAY)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    files.write(START + (HISTORY + 1) * DAY)
    assert len(list(files.server_events.glob("*.ndjson"))) == 4
    (lot,) = files.experiments.glob("*.csv")
    assert lot.name == "remarketing_holdout.csv"
    assert lot.read_bytes().startswith(before[lot])
    assert len(lot.read_bytes()) > len(before[lot])
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.rglob("*.*")} == {"0o600"}
    record = json.loads(next(files.server_events.glob("*.ndjson")).read_text().splitlines()[0])
    assert {"event_id", "event_name", "event_time", "user_id", "email"} <= set(record)
