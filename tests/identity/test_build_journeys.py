"""build-journeys on events in a warehouse: first tag, orders once, stitched persons, bots, late events, SQL against Python."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from tasks.cli import cli
from tasks.core.contracts import load_contract
from tasks.core.errors import GateStop
from tasks.core.settings import load_settings
from tasks.core.warehouse import Warehouse, open_warehouse

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
DAY0 = date(2026, 2, 1)


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_NOW", NOW.isoformat())
    return open_warehouse(load_settings())


@pytest.fixture
def run(warehouse: Warehouse) -> Callable[..., Result]:
    return lambda *options: CliRunner().invoke(cli, ["build-journeys", "--run-date", "2026-03-02", *options])


def event(cookie: str, day: int, name: str = "page_view", minute: int = 0, **facts: Any) -> dict[str, Any]:
    at = datetime(2026, 2, 1, 12, tzinfo=UTC) + timedelta(days=day, minutes=minute)
    row: dict[str, Any] = dict.fromkeys(load_contract("ga4.ga4_events").columns)
    return row | {
        "property_id": "42",
        "event_date": at.date(),
        "event_id": f"{cookie}-{day}-{minute}-{name}",
        "event_at": at,
        "event_name": name,
        "user_pseudo_id": cookie,
        "session_id": f"s{day}",
        "session_number": 1,
        "is_session_engaged": name != "page_view",
        "engagement_seconds": 1.5,
        "is_ads_consented": True,
        "is_analytics_consented": True,
        "is_intraday": False,
        "loaded_at": NOW,
        **facts,
    }


def purchase(cookie: str, day: int, order: str, minute: int = 9, **facts: Any) -> dict[str, Any]:
    money = {"value_micros": 50_000_000, "currency_code": "USD", "transaction_id_hash": order.ljust(64, "0")}
    return event(cookie, day, "purchase", minute, **(money | facts))


def store(warehouse: Warehouse, *rows: dict[str, Any]) -> None:
    warehouse.merge("ga4.ga4_events", pl.DataFrame(list(rows), schema=load_contract("ga4.ga4_events").polars_schema()))


def person(warehouse: Warehouse, cookie: str, person_id: str | None, reason: str | None = None) -> None:
    row = {
        "id_kind": "user_pseudo_id",
        "id": cookie,
        "person_id": person_id,
        "excluded_reason": reason,
        "first_seen_at": NOW,
        "last_seen_at": NOW,
        "last_seen_date": NOW.date(),
        "event_count": 1,
        "stitched_at": NOW,
    }
    warehouse.merge(
        "gaelp_users.identity_nodes", pl.DataFrame([row], schema=load_contract("gaelp_users.identity_nodes").polars_schema())
    )


def read(warehouse: Warehouse, table: str, order: str) -> pl.DataFrame:
    return warehouse.query(f"SELECT {', '.join(load_contract(table).columns)} FROM {table} ORDER BY {order}")


def paths(warehouse: Warehouse) -> dict[str, tuple[float, int, int]]:
    """Path → conversions, value in currency units, nulls, over all days."""
    frame = (
        read(warehouse, "models.journey_paths_daily", "path")
        .group_by("path")
        .agg(pl.col("conversions", "value_micros", "null_journeys").sum())
    )
    return {path: (conversions, value // 1_000_000, nulls) for path, conversions, value, nulls in frame.iter_rows()}


def test_a_visit_takes_the_channel_of_its_first_tagged_event(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """Untagged events before it and tags after it change nothing; without a tag it is direct; gclid alone is paid search."""
    store(
        warehouse,
        event("a", 0),
        event("a", 0, minute=1, source="google", medium="cpc"),
        event("a", 0, minute=2, source="newsletter", medium="email"),
        event("b", 0),
        event("c", 0, gclid="xyz"),
    )
    assert run().exit_code == 0
    sessions = read(warehouse, "gaelp_users.journey_sessions", "user_pseudo_id")
    assert sessions.select("channel_group", "source", "medium", "events").rows() == [
        ("Paid Search", "google", "cpc", 3),
        ("Direct", "(direct)", "(none)", 1),
        ("Paid Search", "google", "cpc", 1),
    ]


def test_an_order_counts_once_where_it_was_first_seen(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """The thank-you page loaded again, in the same visit and on the next day; another order counts."""
    store(
        warehouse,
        event("a", 0, source="google", medium="organic"),
        purchase("a", 0, "1"),
        purchase("a", 0, "1", minute=10),
        purchase("a", 1, "1"),
        purchase("a", 2, "2"),
        purchase("a", 2, "3", minute=11),
    )
    assert run().exit_code == 0
    assert paths(warehouse) == {"Organic Search": (1.0, 50, 0), "Direct > Direct": (1.0, 100, 0)}


def test_the_cookies_of_one_person_make_one_journey(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """Search on the phone, purchase on the laptop; once stitched the days before are made anew."""
    store(warehouse, event("phone", 0, source="google", medium="cpc"), purchase("laptop", 3, "1"))
    assert run().exit_code == 0
    assert paths(warehouse) == {"Paid Search": (0.0, 0, 1), "Direct": (1.0, 50, 0)}
    for cookie in ("phone", "laptop"):
        person(warehouse, cookie, "f" * 32)
    assert run().exit_code == 0
    assert paths(warehouse) == {"Paid Search > Direct": (1.0, 50, 0)}


def test_bots_are_left_out_and_said(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """A shared device is no person of its own but its visits count; a bot's do not."""
    store(warehouse, event("bot", 0), event("kiosk", 0), purchase("a", 0, "1"))
    person(warehouse, "bot", None, "bot")
    person(warehouse, "kiosk", None, "shared_device")
    assert "(1 of bots left out)" in run().output
    sessions = read(warehouse, "gaelp_users.journey_sessions", "user_pseudo_id")
    assert sessions["person_id"].to_list() == ["cookie:a", "cookie:kiosk"]


def test_late_events_and_a_second_run(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """Twice is as once; an event that comes late makes its day anew, and what is no longer there goes."""
    store(warehouse, event("a", 0, source="google", medium="cpc"), purchase("b", 1, "1"))
    assert run().exit_code == 0
    first = [read(warehouse, t, k) for t, k in TABLES]
    assert run().exit_code == 0
    assert all(one.equals(two) for one, two in zip(first, [read(warehouse, t, k) for t, k in TABLES], strict=True))
    store(warehouse, purchase("a", 0, "2", minute=30))
    assert run().exit_code == 0
    assert paths(warehouse) == {"Paid Search": (1.0, 50, 0), "Direct": (1.0, 50, 0)}


TABLES = (
    ("gaelp_users.journey_sessions", "session_key"),
    ("gaelp_users.persistent_touchpoints", "journey_id, touch_number"),
    ("models.journey_paths_daily", "date, path"),
    ("models.journey_transitions_daily", "date, from_channel, to_channel"),
)


def test_a_visit_over_midnight_belongs_to_the_day_it_began(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """Also where the window begins between its two days: then it is the earlier day's, and not counted twice."""
    late = {"session_id": "s0", "event_date": date(2026, 2, 2), "event_at": datetime(2026, 2, 2, 0, 5, tzinfo=UTC)}
    store(warehouse, event("a", 0, source="google", medium="cpc"), purchase("a", 0, "1") | late)
    for days in ("90", "28"):
        assert run("--days", days).exit_code == 0
        sessions = read(warehouse, "gaelp_users.journey_sessions", "session_key")
        assert sessions.select("session_start_date", "conversions").rows() == [(DAY0, 1.0)]


def test_sql_and_python_count_the_same_paths_and_steps(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """The counted tables against plain Python over the touchpoints; probabilities out of a channel add up to one."""
    tags = [("google", "cpc"), ("google", "organic"), ("newsletter", "email"), (None, None)]
    rows = []
    for number in range(60):
        cookie, day = f"c{number % 17}", (number * 7) % 27
        source, medium = tags[number % 4]
        rows.append(event(cookie, day, minute=number, session_id=f"s{number}", source=source, medium=medium))
        if number % 5 == 0:
            rows.append(purchase(cookie, day, str(number), minute=number + 200, session_id=f"s{number}"))
    store(warehouse, *rows)
    assert run().exit_code == 0
    touches = read(warehouse, "gaelp_users.persistent_touchpoints", "journey_id, touch_number")
    by_path: Counter[tuple[date, str, bool]] = Counter()
    steps: Counter[tuple[date, str, str]] = Counter()
    for _, journey in touches.group_by("journey_id", maintain_order=True):
        channels, end, won = journey["channel_group"].to_list(), journey["journey_end_date"][0], journey["conversions"][0] > 0
        by_path[(end, " > ".join(channels), won)] += 1
        chain = ["(start)", *channels, "(conversion)" if won else "(null)"]
        steps.update((end, one, two) for one, two in pairwise(chain))
    counted = read(warehouse, "models.journey_paths_daily", "date, path")
    assert {(d, p): (c, n) for d, p, c, n in counted.select("date", "path", "conversions", "null_journeys").iter_rows()} == {
        (d, p): (by_path[(d, p, True)], by_path[(d, p, False)]) for d, p, _ in by_path
    }
    stored = read(warehouse, "models.journey_transitions_daily", "date, from_channel, to_channel")
    assert {(d, a, b): n for d, a, b, n in stored.select("date", "from_channel", "to_channel", "steps").iter_rows()} == steps
    assert stored.group_by("date", "from_channel").agg(pl.col("probability").sum())["probability"].to_list() == pytest.approx(
        [1.0] * stored.select("date", "from_channel").unique().height
    )


def test_two_currencies_stop_the_job_by_name(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    store(warehouse, purchase("a", 0, "1"), purchase("b", 1, "2", currency_code="EUR"))
    result = run()
    assert isinstance(result.exception, GateStop)
    assert "mixed currencies: property 42 was paid in EUR, USD" in str(result.exception)
