"""Visits become journeys: by hand, and against a plain loop over random people."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks.identity.journeys import to_touchpoints

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUN_DATE = date(2026, 6, 1)


def visits(*rows: tuple[str, float, str, int]) -> pl.DataFrame:
    """(person, day, channel, conversions) each; a conversion is worth 10."""
    return pl.DataFrame(
        [
            {
                "property_id": "1",
                "person_id": person,
                "user_pseudo_id": person,
                "session_key": f"{person}-{number}",
                "session_start_at": START + timedelta(days=day),
                "session_start_date": (START + timedelta(days=day)).date(),
                "channel_group": channel,
                "conversions": float(conversions),
                "value_micros": 10_000_000 * conversions,
                "currency_code": "USD" if conversions else None,
            }
            for number, (person, day, channel, conversions) in enumerate(rows)
        ],
        schema={
            "property_id": pl.String, "person_id": pl.String, "user_pseudo_id": pl.String, "session_key": pl.String,
            "session_start_at": pl.Datetime("us", "UTC"), "session_start_date": pl.Date, "channel_group": pl.String,
            "conversions": pl.Float64, "value_micros": pl.Int64, "currency_code": pl.String,
        },
    )  # fmt: skip


def journeys(frame: pl.DataFrame, run_date: date = RUN_DATE) -> list[tuple[str, float, bool]]:
    """(path, conversions, is_open) of every journey, in order."""
    touches = to_touchpoints(frame, run_date).sort("person_id", "touch_at", "session_key")
    grouped = touches.group_by("person_id", "journey_id", maintain_order=True).agg(
        pl.col("channel_group").str.join(" > "), pl.col("conversions").first(), pl.col("is_open").first()
    )
    return [(path, conversions, is_open) for _, _, path, conversions, is_open in grouped.iter_rows()]


def test_a_conversion_takes_the_visits_before_it() -> None:
    """Search, then e-mail, then a direct visit that buys: one journey, and the visit after it begins another."""
    frame = visits(("p", 0, "Search", 0), ("p", 3, "Email", 0), ("p", 5, "Direct", 1), ("p", 9, "Search", 0))
    assert journeys(frame) == [("Search > Email > Direct", 1.0, False), ("Search", 0.0, False)]


def test_two_conversions_are_two_journeys() -> None:
    """The second one begins after the first, also where both buy at once after each other."""
    frame = visits(("p", 0, "Search", 1), ("p", 1, "Direct", 1), ("p", 2, "Email", 0), ("p", 3, "Direct", 2))
    assert journeys(frame) == [("Search", 1.0, False), ("Direct", 1.0, False), ("Email > Direct", 2.0, False)]


def test_what_lies_further_back_than_the_lookback_is_a_journey_of_its_own() -> None:
    """31 days before the purchase is too long ago; 30 is not."""
    frame = visits(("p", 0, "Display", 0), ("p", 1, "Search", 0), ("p", 31, "Direct", 1))
    assert journeys(frame) == [("Display", 0.0, False), ("Search > Direct", 1.0, False)]


def test_a_long_silence_ends_a_journey_without_a_conversion() -> None:
    frame = visits(("p", 0, "Search", 0), ("p", 20, "Email", 0), ("p", 60, "Search", 0))
    assert journeys(frame) == [("Search > Email", 0.0, False), ("Search", 0.0, False)]


def test_people_are_apart() -> None:
    frame = visits(("p", 0, "Search", 0), ("q", 1, "Direct", 1), ("p", 2, "Email", 1))
    assert journeys(frame) == [("Search > Email", 1.0, False), ("Direct", 1.0, False)]


def test_a_journey_that_may_still_convert_is_open() -> None:
    """Twenty days after the last visit it is open, forty days after it is not; a converted one never is."""
    frame = visits(("p", 0, "Search", 0), ("q", 0, "Direct", 1))
    assert journeys(frame, date(2026, 1, 21)) == [("Search", 0.0, True), ("Direct", 1.0, False)]
    assert journeys(frame, date(2026, 2, 10)) == [("Search", 0.0, False), ("Direct", 1.0, False)]


def test_the_touch_says_its_place_and_what_the_journey_brought() -> None:
    frame = visits(("p", 0, "Search", 0), ("p", 3, "Email", 0), ("p", 5, "Direct", 1))
    rows = to_touchpoints(frame, RUN_DATE).sort("touch_number").to_dicts()
    assert [(r["touch_number"], r["is_first_touch"], r["is_last_touch"]) for r in rows] == [
        (1, True, False),
        (2, False, False),
        (3, False, True),
    ]
    assert {(r["journey_end_date"], r["value_micros"], r["currency_code"]) for r in rows} == {
        (date(2026, 1, 6), 10_000_000, "USD")
    }
    assert len({r["journey_id"] for r in rows}) == 1


def test_no_visit_is_no_journey() -> None:
    assert to_touchpoints(visits(), RUN_DATE).height == 0


def by_loop(rows: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """The definition, one visit after the other."""
    found: list[tuple[str, float]] = []
    for person in sorted({row["person_id"] for row in rows}):
        own = sorted((r for r in rows if r["person_id"] == person), key=lambda r: (r["session_start_at"], r["session_key"]))
        open_path: list[str] = []
        last_at, was_leading = None, False
        for i, row in enumerate(own):
            nxt = next((r for r in own[i:] if r["conversions"] > 0), None)
            leads = nxt is not None and nxt["session_start_at"] - row["session_start_at"] <= timedelta(days=30)
            if leads:
                if open_path and not was_leading:
                    found.append((" > ".join(open_path), 0.0))
                    open_path = []
            elif open_path and (row["session_start_at"] - last_at > timedelta(days=30)):
                found.append((" > ".join(open_path), 0.0))
                open_path = []
            open_path.append(row["channel_group"])
            if row["conversions"] > 0:
                found.append((" > ".join(open_path), row["conversions"]))
                open_path = []
            last_at, was_leading = row["session_start_at"], leads
        if open_path:
            found.append((" > ".join(open_path), 0.0))
    return sorted(found)


_visit = st.tuples(st.sampled_from("pq"), st.integers(0, 200), st.sampled_from("abc"), st.sampled_from([0, 0, 0, 1]))


@hypothesis_settings(deadline=None, max_examples=300)
@given(st.lists(_visit, max_size=14, unique_by=lambda visit: (visit[0], visit[1])))
def test_whole_columns_give_what_a_loop_gives(rows: list[tuple[str, int, str, int]]) -> None:
    """Any visits: the same journeys, each visit in exactly one, every conversion kept."""
    frame = visits(*rows)
    assert sorted((path, conversions) for path, conversions, _ in journeys(frame)) == by_loop(frame.to_dicts())
    touches = to_touchpoints(frame, RUN_DATE)
    assert sorted(touches["session_key"]) == sorted(frame["session_key"])
    assert touches.filter("is_last_touch")["conversions"].sum() == frame["conversions"].sum()


def test_visits_of_one_microsecond_can_be_two_journeys() -> None:
    """On two devices at once, the first one buys: the journeys have different names, also on the next day."""
    frame = visits(("p", 0, "Search", 1), ("p", 0, "Direct", 1), ("p", 0, "Email", 0))
    names = to_touchpoints(frame, RUN_DATE)["journey_id"].to_list()
    assert len(set(names)) == 3
    assert to_touchpoints(frame.reverse(), RUN_DATE)["journey_id"].to_list() == names


def test_people_whose_hashes_are_the_same_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order by hash falls back on the names where two persons share one."""
    frame = visits(("p", 0, "Search", 0), ("q", 1, "Email", 1), ("p", 2, "Direct", 1), ("q", 3, "Search", 0))
    expected = journeys(frame)
    monkeypatch.setattr(pl.Expr, "hash", lambda self: pl.lit(7, dtype=pl.UInt64))
    assert journeys(frame) == expected
