"""Hostile GA4 events: each is refused with its reason or taken as what it is; the counts add up and nothing personal is kept."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from ga4_world import SALT, came, event, load, micros, purchase, write_table

from tasks.core.redaction import hash_name
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest.ga4_rows import judge
from tasks.ingest.ga4_source import FolderSource

DAY = date(2026, 3, 1)
RUN = date(2026, 3, 2)
NAN, INF = float("nan"), float("inf")
LONG = "x" * 1_000_000
SQL = "'; DROP TABLE ga4.ga4_events; --"


def denied(**changes: Any) -> dict[str, Any]:
    return event(DAY, user=None, privacy_info={"analytics_storage": "No", "ads_storage": "No"}, **changes)


# (what, the event, the check that refuses it or None if it is good)
HOSTILE: list[tuple[str, dict[str, Any], str | None]] = [
    ("null user with consent", event(DAY, user=None), "no_user"),
    ("null user without consent", denied(), None),
    ("null time", event(DAY, event_timestamp=None), "no_time"),
    ("null name", event(DAY, name=None), "no_name"),  # type: ignore[arg-type]  # what a broken export may hold
    ("empty user", event(DAY, user=""), "user_form"),
    ("e-mail as user", event(DAY, user="jane.roe@mail.example"), "user_form"),
    ("endless user", event(DAY, user="9" * 129), "user_form"),
    ("event of 1970", event(DAY, event_timestamp=0), "event_time"),
    ("event before 1970", event(DAY, event_timestamp=-5), "event_time"),
    ("event of 2100", event(DAY, event_timestamp=micros(date(2100, 1, 1))), "event_time"),
    ("largest time", event(DAY, event_timestamp=2**63 - 1), "event_time"),
    ("72 hours early", event(DAY, event_timestamp=micros(date(2026, 2, 26))), None),
    ("date of another day", event(DAY, event_date="20260228"), "event_date"),
    ("null date", event(DAY, event_date=None), "event_date"),
    ("1 MB campaign", event(DAY, collected_traffic_source=came("google", "cpc", LONG)), "text_length"),
    ("1 MB page", event(DAY, params={"page_location": "https://x.example/?" + LONG}), "page_length"),
    ("1 MB parameter nobody reads", event(DAY, params={"essay": LONG}), None),
    ("1 MB order id", purchase(DAY, "u1", LONG), "text_length"),
    ("emoji as name", event(DAY, name="🛒"), "event_name"),
    ("SQL as name", event(DAY, name=SQL), "event_name"),
    ("emoji in campaign", event(DAY, collected_traffic_source=came("google", "cpc", "🎄 sale")), None),
    ("SQL in campaign", event(DAY, collected_traffic_source=came("google", "cpc", SQL)), None),
    ("SQL in source", event(DAY, collected_traffic_source=came(SQL, "cpc")), None),
    ("e-mail in source", event(DAY, collected_traffic_source=came("jane.roe@mail.example", "email")), None),
    ("phone in medium", event(DAY, collected_traffic_source=came("sms", "+49 30 901820 123")), None),
    ("negative value", purchase(DAY, "u1", "o1", -5.0), "value_negative"),
    ("NaN value", purchase(DAY, "u1", "o2", NAN), "value_number"),
    ("infinite value", purchase(DAY, "u1", "o3", INF), "value_number"),
    ("huge value", purchase(DAY, "u1", "o4", 1e300), "value_large"),
    ("value without currency", purchase(DAY, "u1", "o5", 5.0, None), "value_currency"),
    ("value without currency, USD by GA4", purchase(DAY, "u1", "o6", 5.0, None, event_value_in_usd=5.5), None),
    ("USD by GA4 is NaN", purchase(DAY, "u1", "o7", 5.0, None, event_value_in_usd=NAN), "value_in_usd"),
    ("currency of five letters", purchase(DAY, "u1", "o8", 5.0, "EUROS"), "currency"),
    ("small letters", purchase(DAY, "u1", "o9", 5.0, "eur"), None),
    ("another currency", purchase(DAY, "u1", "o10", 5.0, "JPY"), None),
    ("negative session number", event(DAY, params={"ga_session_number": -1}), "session_number"),
    ("negative engagement", event(DAY, params={"engagement_time_msec": -1}), "engagement"),
    ("no parameters at all", event(DAY, event_params=[]), None),
    ("null parameters", event(DAY, event_params=None), None),
    ("null structs", event(DAY, privacy_info=None, device=None, geo=None), None),
]  # fmt: skip


def numbered(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events at different places of their bundle, so that none is a duplicate of another."""
    return [row | {"batch_event_index": number} for number, row in enumerate(events)]


@pytest.mark.parametrize(("bad", "check"), [pytest.param(e, c, id=what) for what, e, c in HOSTILE])
def test_a_hostile_event_is_refused_for_its_reason_or_taken(tmp_path: Path, bad: dict[str, Any], check: str | None) -> None:
    """The good event beside it is taken; the hostile one is taken too or refused under the check named for it."""
    write_table(tmp_path, "events_20260301", numbered([event(DAY), bad]))
    source = FolderSource(tmp_path)
    (table,) = source.tables()
    judged = judge(source.flat(table), table, SALT, datetime(2026, 3, 2, tzinfo=UTC))
    assert [r.check for r in judged.refused] == ([check] if check else [])
    assert (judged.read, judged.rows.height, judged.duplicates) == (2, 1 + (not check), 0)
    for refused in judged.refused:
        assert len(json.dumps(refused.row)) < 5000
        assert len(refused.reason.split()) >= 3


def test_all_hostile_events_at_once_add_up(tmp_path: Path) -> None:
    """In one table, twice over: read = written + quarantined + duplicates, and control.ingest_runs says so."""
    assert len(HOSTILE) >= 30
    events = numbered([e for _, e, _ in HOSTILE])
    write_table(tmp_path, "events_20260301", events * 2)
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    result = load(tmp_path, warehouse, RUN)
    bad = sum(check is not None for _, _, check in HOSTILE)
    assert (result.read, result.written, result.quarantined, result.duplicates) == (
        2 * len(HOSTILE), len(HOSTILE) - bad, bad, len(HOSTILE),
    )  # fmt: skip
    assert warehouse.query("SELECT COUNT(*) AS n FROM control.quarantine")["n"][0] == bad
    assert warehouse.query("SELECT COUNT(*) AS n FROM ga4.ga4_events")["n"][0] == len(HOSTILE) - bad
    (run,) = warehouse.query("SELECT rows_read, `rows`, quarantined, duplicates, status FROM control.ingest_runs").to_dicts()
    assert run == {
        "rows_read": 2 * len(HOSTILE), "rows": len(HOSTILE) - bad, "quarantined": bad, "duplicates": len(HOSTILE),
        "status": "succeeded",
    }  # fmt: skip


def test_nothing_personal_is_kept_anywhere(tmp_path: Path) -> None:
    """Planted e-mails, phone numbers, user ids, order ids, campaign names and page addresses are in no table, refused or not."""
    secret = {
        "mail": "jane.roe@mail.example", "phone": "+49 30 901820 123", "user": "customer-4711", "order": "order-4712",
        "campaign": "Secret Campaign", "page": "https://x.example/account/jane?fbclid=Click.1_x-y",
    }  # fmt: skip
    landing = {
        "collected_traffic_source": came(secret["mail"], secret["phone"], secret["campaign"]),
        "user_id": secret["user"],
    }
    good = purchase(DAY, "u1", secret["order"], params={"page_location": secret["page"]}, **landing)
    bad = purchase(DAY, secret["mail"], secret["order"], -1.0, params={"page_location": secret["page"]}, **landing)
    write_table(tmp_path, "events_20260301", numbered([good, bad]))
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    result = load(tmp_path, warehouse, RUN)
    assert (result.written, result.quarantined) == (1, 1)
    whole = json.dumps(
        [
            warehouse.query(f"SELECT * FROM (SELECT {columns} FROM {table}) AS t").to_dicts()
            for table, columns in (
                (
                    "ga4.ga4_events",
                    "user_pseudo_id, source, medium, user_id_hash, campaign_hash, transaction_id_hash, fbclid, event_id",
                ),
                ("control.quarantine", "quarantine_id, reason, row_json"),
            )
        ]
    )
    assert [name for name, text in secret.items() if text in whole] == []
    (row,) = warehouse.query(
        "SELECT user_id_hash, campaign_hash, transaction_id_hash, source, fbclid FROM ga4.ga4_events"
    ).to_dicts()
    assert row == {
        "user_id_hash": hash_name(secret["user"], SALT), "campaign_hash": hash_name(secret["campaign"], SALT),
        "transaction_id_hash": hash_name(secret["order"], SALT), "source": "(redacted)", "fbclid": "Click.1_x-y",
    }  # fmt: skip


def test_events_that_share_a_microsecond_stay_apart(tmp_path: Path) -> None:
    """Older exports give a whole batch one time and no index: different events are all kept, equal ones count once."""
    rows = [event(DAY, params={"engagement_time_msec": n}, batch_event_index=None) for n in (1, 2, 3, 3)]
    write_table(tmp_path, "events_20260301", rows)
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    result = load(tmp_path, warehouse, RUN)
    assert (result.read, result.written, result.duplicates) == (4, 3, 1)
    ids = warehouse.query("SELECT event_id FROM ga4.ga4_events ORDER BY event_id")["event_id"].to_list()
    assert [i.removeprefix(ids[0]) for i in ids] == ["", "-1", "-2"]
