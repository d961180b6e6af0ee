"""The job: days in any order, late, twice, taken back; persons keep their ids; what is written is what changed."""

from __future__ import annotations

from datetime import UTC, date, datetime

from identity.identity_world import Identity, sha

from tasks.core.forgotten import forgotten_hash
from tasks.core.redaction import hash_name
from tasks.identity.forgetting import remember
from tasks.quality.checks_file import load_checks

SALT = b"s" * 64
USER, MAIL = sha("user"), sha("mail")
TABLES = ("gaelp_users.identity_edges", "gaelp_users.identity_nodes", "gaelp_users.identity_person_changes")


def contents(identity: Identity) -> dict[str, list[tuple[object, ...]]]:
    return {table: identity.all(table, without=("loaded_at", "stitched_at", "found_at")) for table in TABLES}


def test_web_and_server_events_meet_in_one_person(identity: Identity) -> None:
    """A click on the web, a sign-in on the phone and an order that knows click, user and e-mail: one person."""
    identity.web(1, "a.1", gclid="g")
    identity.web(2, "b.1", user_id_hash=USER)
    identity.server(3, gclid="g", email_sha256=MAIL, user_id_hash=USER)
    identity.web(3, "c.1")
    done = identity.stitch()
    persons = identity.persons()
    assert persons["a.1"] == persons["b.1"] == persons["g"] == persons[USER] == persons[MAIL] != persons["c.1"]
    assert (done["days"], done["ids"], done["persons"], done["excluded"], done["written"]) == (3, 6, 2, 0, 6)


def test_an_edge_says_when_and_how_often(identity: Identity) -> None:
    """One row a day and pair: first and last time and number of events; the cookie alone has a row too."""
    for _ in range(3):
        identity.web(1, "a.1", user_id_hash=USER)
    identity.web(2, "a.1", user_id_hash=USER)
    identity.stitch()
    rows = identity.warehouse.query(
        "SELECT event_date, left_id_kind, right_id_kind, first_seen_at, last_seen_at, event_count "
        "FROM gaelp_users.identity_edges ORDER BY event_date, left_id_kind, right_id_kind"
    ).rows()
    assert [row[:3] for row in rows[:3]] == [
        (date(2026, 3, 1), "user_id_hash", "user_id_hash"),
        (date(2026, 3, 1), "user_id_hash", "user_pseudo_id"),
        (date(2026, 3, 1), "user_pseudo_id", "user_pseudo_id"),
    ]
    assert rows[1][3:] == (datetime(2026, 3, 1, 12, 1, tzinfo=UTC), datetime(2026, 3, 1, 12, 3, tzinfo=UTC), 3)
    assert len(rows) == 6


def test_twice_changes_nothing(identity: Identity) -> None:
    """The second run reads no day again, writes nothing and leaves every row as it was, stamps included."""
    identity.web(1, "a.1", user_id_hash=USER)
    identity.web(2, "b.1", user_id_hash=USER)
    identity.stitch()
    before = {table: identity.all(table) for table in TABLES}
    identity.now(10, hour=9)
    done = identity.stitch()
    assert (done["days"], done["written"], done["deleted"]) == (0, 0, 0)
    assert before == {table: identity.all(table) for table in TABLES}


def test_late_events_of_any_age_count_on_the_next_run(identity: Identity) -> None:
    """An order uploaded a week later joins what was apart; only its day is read again; the older person's id stays."""
    identity.web(1, "a.1", gclid="g")
    identity.web(5, "b.1", user_id_hash=USER)
    identity.stitch()
    first = identity.persons()
    identity.server(2, loaded=11, gclid="g", user_id_hash=USER)
    identity.now(12)
    done = identity.stitch(day=12)
    assert (done["days"], done["merged"]) == (1, 1)
    assert identity.persons() == dict.fromkeys(("a.1", "b.1", "g", USER), first["a.1"])
    ((_, change, kept, ended, moved, _),) = identity.all("gaelp_users.identity_person_changes")
    assert (change, kept, ended, moved) == ("merged", first["a.1"], first["b.1"], 2)


def test_days_in_any_order_end_in_the_same_groups(identity: Identity) -> None:
    """Stitched day by day or all at once, the same ids are together."""
    identity.web(3, "a.1", user_id_hash=USER)
    identity.stitch(day=4)
    identity.web(2, "b.1", gclid="g", loaded=5)
    identity.now(11)
    identity.stitch(day=11)
    identity.server(1, gclid="g", user_id_hash=USER, loaded=12)
    identity.now(13)
    identity.stitch(day=13)
    assert len(set(identity.persons().values())) == 1


def test_a_day_taken_back_by_the_source_is_undone(identity: Identity) -> None:
    """The export of a day is replaced without the sign-in: edge and user id are gone, the cookie is alone again."""
    identity.web(1, "a.1", user_id_hash=USER)
    identity.stitch()
    first = identity.persons()["a.1"]
    identity.warehouse.delete("ga4.ga4_events", column="property_id", values=["1"])
    identity.web(1, "a.1", loaded=11)
    identity.now(12)
    assert identity.stitch(day=12)["deleted"] == 1
    assert identity.persons() == {"a.1": first}
    identity.warehouse.delete("ga4.ga4_events", column="property_id", values=["1"])
    identity.stitch(day=12)
    assert identity.persons() == {}


def test_a_shared_device_found_later_parts_what_it_glued(identity: Identity) -> None:
    """At first one signs in on the tablet, then another: the tablet belongs to nobody, the persons stay who they were."""
    identity.web(1, "t.1", user_id_hash=USER)
    identity.stitch()
    first = identity.persons()
    identity.web(9, "t.1", user_id_hash=sha("other"), loaded=11)
    identity.now(12)
    identity.stitch(day=12)
    persons = identity.persons()
    assert (persons["t.1"], persons[USER]) == (None, first[USER])
    assert persons[sha("other")] not in (None, first[USER])


def test_without_consent_only_the_cookie_is_known(identity: Identity) -> None:
    """Neither user id nor click nor e-mail of an event without consent is in any table of identity."""
    identity.web(1, "a.1", user_id_hash=USER, gclid="g-click", is_analytics_consented=False)
    identity.server(1, email_sha256=MAIL, user_id_hash=USER, user_pseudo_id="b.1", is_analytics_consented=False)
    identity.stitch()
    assert set(identity.persons()) == {"a.1"}
    everything = str([identity.all(table) for table in TABLES])
    for value in (USER, MAIL, "g-click", "b.1"):
        assert value not in everything


def test_aggregate_click_ids_join_nobody(identity: Identity) -> None:
    """Google gives one gbraid or wbraid to many people."""
    for cookie in ("a.1", "b.1"):
        identity.web(1, cookie, gbraid="same", wbraid="same")
    identity.stitch()
    persons = identity.persons()
    assert set(persons) == {"a.1", "b.1"}
    assert persons["a.1"] != persons["b.1"]


def test_events_outside_of_the_window_do_not_count(identity: Identity) -> None:
    """Events of the run date and later, and those older than the window, are left out; old ids vanish."""
    identity.web(1, "old.1")
    identity.web(9, "new.1")
    identity.web(10, "today.1")
    identity.stitch()
    assert set(identity.persons()) == {"old.1", "new.1"}
    code, said = identity.run("stitch-identities", "--window-days", "5")
    assert code == 0, said
    assert set(identity.persons()) == {"new.1"}


def test_who_was_forgotten_is_not_stitched_again(identity: Identity) -> None:
    """Even if a load failed to drop it, a forgotten id makes no edge and no node."""
    identity.web(1, "a.1", user_id_hash=USER)
    identity.web(1, "b.1")
    remember(identity.warehouse, {("user_id_hash", USER)}, SALT, "asked", date(2026, 3, 9))
    identity.stitch()
    assert set(identity.persons()) == {"b.1"}
    assert forgotten_hash("user_id_hash", USER, SALT) != hash_name(USER, SALT)


def test_no_events_at_all_is_no_error(identity: Identity) -> None:
    """Before the first event there is nobody."""
    assert identity.stitch()["ids"] == 0


def test_the_checks_hold_and_can_fail(identity: Identity) -> None:
    """What the job wrote passes the table's checks; a shared id with a person does not."""
    identity.web(1, "t.1", user_id_hash=USER)
    identity.web(1, "t.1", user_id_hash=MAIL)
    identity.web(2, "n.1", is_analytics_consented=False)
    identity.stitch()
    params = {"start_date": date(2026, 3, 1), "run_date": date(2026, 3, 10)}

    def failing() -> list[str]:
        checks = load_checks("gaelp_users.identity_nodes")
        return [check.name for check in checks if identity.warehouse.query(check.sql, params).height]

    assert failing() == ["many_shared_cookies"]
    nodes = identity.warehouse.query(
        "SELECT id_kind, id, excluded_reason, first_seen_at, last_seen_at, last_seen_date, event_count, stitched_at, "
        "'00000000000000000000000000000000' AS person_id FROM gaelp_users.identity_nodes"
    )
    identity.warehouse.merge("gaelp_users.identity_nodes", nodes)
    assert failing() == ["shared_ids_have_no_person", "many_shared_cookies"]
