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
from tasks.core.channel_groups import CLICK_IDS, load_rules
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


def person(
    warehouse: Warehouse, value: str, person_id: str | None, reason: str | None = None, kind: str = "user_pseudo_id"
) -> None:
    row = {
        "id_kind": kind,
        "id": value,
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


def test_a_journey_that_began_before_the_window_stays_whole(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """Only the last week is made anew: the stored visits before it are part of the journeys that end in it."""
    store(warehouse, event("a", 5, source="google", medium="cpc"), purchase("a", 26, "1"), event("b", 27))
    assert run().exit_code == 0
    store(warehouse, purchase("b", 28, "2"))
    assert run("--days", "7").exit_code == 0
    assert paths(warehouse) == {"Paid Search > Direct": (1.0, 50, 0), "Direct > Direct": (1.0, 50, 0)}
    assert read(warehouse, "gaelp_users.persistent_touchpoints", "journey_id")["journey_id"].n_unique() == 2


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


# --- whose visit it is


def user(number: int) -> str:
    return f"{number:064x}"


def signed_in(warehouse: Warehouse, number: int, person_id: str | None, reason: str | None = None) -> None:
    person(warehouse, user(number), person_id, reason, kind="user_id_hash")


ANN, BOB = "a" * 32, "b" * 32
OF_WHOM = "session_key, person_id, events, conversions, value_micros, channel_group"


def test_two_people_on_one_cookie_have_their_own_sessions(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """A tablet on which Ann and Bob sign in: each visit is of who signed in, the one without a sign-in is the tablet's."""
    person(warehouse, "tablet", None, "shared_device")
    signed_in(warehouse, 1, ANN)
    signed_in(warehouse, 2, BOB)
    store(
        warehouse,
        event("tablet", 0, source="google", medium="cpc"),
        event("tablet", 0, minute=5, user_id_hash=user(1)),
        event("tablet", 1, user_id_hash=user(2), source="newsletter", medium="email"),
        purchase("tablet", 1, "1", user_id_hash=user(2)),
        event("tablet", 2),
        purchase("tablet", 3, "2", user_id_hash=user(1)),
    )
    assert run().exit_code == 0
    sessions = read(warehouse, "gaelp_users.journey_sessions", "session_key")
    assert sessions["person_id"].to_list() == [ANN, BOB, "cookie:tablet", ANN]
    assert paths(warehouse) == {"Paid Search > Direct": (1.0, 50, 0), "Email": (1.0, 50, 0), "Direct": (0.0, 0, 1)}


def test_who_signs_in_on_the_cookie_of_another_is_not_that_person(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """The laptop is nearly always Ann's; the evening Bob signs in on it is Bob's."""
    person(warehouse, "laptop", ANN)
    signed_in(warehouse, 2, BOB)
    store(warehouse, event("laptop", 0), event("laptop", 1, user_id_hash=user(2)))
    assert run().exit_code == 0
    assert read(warehouse, "gaelp_users.journey_sessions", "session_key")["person_id"].to_list() == [ANN, BOB]


def test_people_who_take_turns_within_a_session_each_have_a_visit(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """What came before the first sign-in is Bob's; Ann's part has a key of its own; tags and orders go to whose they are."""
    person(warehouse, "tablet", None, "shared_device")
    signed_in(warehouse, 1, ANN)
    signed_in(warehouse, 2, BOB)
    signed_in(warehouse, 3, BOB)  # a second account of his
    store(
        warehouse,
        event("tablet", 0, source="google", medium="cpc"),
        event("tablet", 0, minute=1, user_id_hash=user(2)),
        event("tablet", 0, minute=2, user_id_hash=user(1), source="newsletter", medium="email"),
        purchase("tablet", 0, "1", minute=3, user_id_hash=user(1)),
        event("tablet", 0, minute=4, user_id_hash=user(3)),
        purchase("tablet", 0, "2", minute=5, user_id_hash=user(3), value_micros=7_000_000),
        purchase("tablet", 0, "3", minute=6, value_micros=1_000_000),
    )
    for _ in range(2):
        assert run().exit_code == 0
        sessions = warehouse.query(f"SELECT {OF_WHOM} FROM gaelp_users.journey_sessions ORDER BY session_key").rows()
        assert sessions == [
            ("tablet.s0", BOB, 5, 2.0, 8_000_000, "Paid Search"),
            ("tablet.s0.2", ANN, 2, 1.0, 50_000_000, "Email"),
        ]


def test_signing_in_half_way_makes_no_second_visit(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """One person, before and after the sign-in: one visit with the first tag, also where the account is nobody's."""
    signed_in(warehouse, 1, ANN)
    signed_in(warehouse, 2, None, "shared_account")
    for cookie, number in (("a", 1), ("b", 2)):
        tag = {"source": "newsletter", "medium": "email"}
        store(warehouse, event(cookie, 0, **tag), event(cookie, 0, minute=9, user_id_hash=user(number), source="google"))
    assert run().exit_code == 0
    found = warehouse.query(f"SELECT {OF_WHOM} FROM gaelp_users.journey_sessions ORDER BY session_key").rows()
    assert found == [("a.s0", ANN, 2, 0.0, 0, "Email"), ("b.s0", "cookie:b", 2, 0.0, 0, "Email")]


def test_a_click_tells_who_it_was_where_the_cookie_does_not(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """The order that the shop's system reported with the click made Ann known; on her own cookie the cookie decides."""
    person(warehouse, "kiosk", None, "shared_device")
    person(warehouse, "bobs", BOB)
    person(warehouse, "click-1", ANN, kind="gclid")
    store(warehouse, event("kiosk", 0, gclid="click-1"), event("kiosk", 1, gclid="click-2"), event("bobs", 0, gclid="click-1"))
    assert run().exit_code == 0
    sessions = read(warehouse, "gaelp_users.journey_sessions", "session_key")
    assert sessions["person_id"].to_list() == [BOB, ANN, "cookie:kiosk"]


def test_without_consent_signing_in_tells_nothing(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """Neither in an event without consent nor on a cookie whose owner took it back."""
    signed_in(warehouse, 1, ANN)
    person(warehouse, "left", "c" * 32, "no_consent")
    store(
        warehouse,
        event("asked", 0, user_id_hash=user(1), is_analytics_consented=False),
        event("left", 0, user_id_hash=user(1)),
    )
    assert run().exit_code == 0
    sessions = read(warehouse, "gaelp_users.journey_sessions", "session_key")
    assert sessions["person_id"].to_list() == ["cookie:asked", "c" * 32]


@pytest.mark.parametrize(("first", "second"), list(pairwise(CLICK_IDS)))
def test_of_two_click_ids_the_first_of_the_rule_table_decides(
    warehouse: Warehouse, run: Callable[..., Result], first: str, second: str
) -> None:
    """The query names the kinds in the order of channel_groups.yaml."""
    store(warehouse, event("a", 0, **{first: "x", second: "y"}))
    assert run().exit_code == 0
    session = read(warehouse, "gaelp_users.journey_sessions", "session_key").row(0, named=True)
    assert (session["source"], session["medium"]) == load_rules().click_ids[first]


def test_the_first_tag_does_not_depend_on_the_order_of_rows(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """Two tagged events of one microsecond: the one with the smaller id decides, whichever was stored first."""
    one = {"source": "google", "medium": "cpc", "event_id": "1"}
    two = {"source": "newsletter", "medium": "email", "event_id": "2"}
    store(warehouse, event("a", 0, **one), event("a", 0, **two), event("b", 0, **two | {"event_id": "4"}))
    store(warehouse, event("b", 0, **one | {"event_id": "3"}))
    assert run().exit_code == 0
    assert read(warehouse, "gaelp_users.journey_sessions", "session_key")["channel_group"].to_list() == ["Paid Search"] * 2
