"""Forgetting: every row with an id of the person is gone from every table, and no load brings it back."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from identity.identity_world import SALT, Identity, sha

from tasks import cli
from tasks.core.contracts import TableContract, all_contracts
from tasks.core.identifiers import KINDS, PERSON_KIND, columns_of, holds_rows
from tasks.core.personal import hash_email, hash_phone
from tasks.core.quarantine import quarantine
from tasks.core.redaction import hash_name

JANE_MAIL, JANE_PHONE = hash_email("jane.doe@gmail.com"), hash_phone("+14155552671", None)
JANE_USER = str(hash_name("member 4711", SALT))
JOE_MAIL, JOE_USER = hash_email("joe@example.com"), str(hash_name("member 12", SALT))
HOLDING = [contract for contract in all_contracts() if list(columns_of(contract))]
ASIDE = [contract.name for contract in all_contracts() if holds_rows(contract)]


@pytest.fixture
def people(identity: Identity) -> Identity:
    """Jane on two cookies with an order, Joe on one, and a tablet of both; stitched."""
    identity.web(1, "jane.1", user_id_hash=JANE_USER)
    identity.web(2, "jane.2", gclid="jane-click")
    identity.server(2, gclid="jane-click", user_id_hash=JANE_USER, email_sha256=JANE_MAIL, phone_sha256=JANE_PHONE)
    identity.web(3, "joe.1", user_id_hash=JOE_USER)
    identity.server(3, user_id_hash=JOE_USER, email_sha256=JOE_MAIL)
    identity.web(4, "tablet.1", user_id_hash=JANE_USER)
    identity.web(4, "tablet.1", user_id_hash=JOE_USER)
    identity.stitch()
    return identity


def forget(identity: Identity, *arguments: str, values: str) -> tuple[int, str]:
    (identity.folder / "values").write_text(values)
    return identity.run("forget", *arguments, "--why", "request 17", "--file", str(identity.folder / "values"))


def everything(identity: Identity) -> str:
    """All rows of all tables that may hold an id, as text."""
    return str([identity.all(contract.name) for contract in HOLDING])


def test_a_person_is_deleted_by_any_id(people: Identity) -> None:
    """By e-mail as she writes it: her cookies, click, phone and user id go with it, Joe and the tablet stay."""
    joe = people.persons()["joe.1"]
    code, said = forget(people, "--email", "--delete", values=" Jane.Doe+x@GoogleMail.com\n")
    assert code == 0, said
    text = everything(people)
    for value in ("jane.1", "jane.2", "jane-click", JANE_MAIL, JANE_PHONE, JANE_USER):
        assert value not in text
    assert people.persons() == {"joe.1": joe, JOE_USER: joe, JOE_MAIL: joe, "tablet.1": None}
    assert len(people.all("ga4.ga4_events")) == 2
    assert len(people.all("gaelp_users.server_events")) == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--phone", "(415) 555-2671"),
        ("--user-id", "member 4711"),
        ("--user-pseudo-id", "jane.2"),
        ("--gclid", "jane-click"),
        ("--email", JANE_MAIL),
    ],
)
def test_every_kind_finds_the_same_person(people: Identity, option: str, value: str) -> None:
    """Whatever the person names, the same rows go."""
    code, said = forget(people, option, "--delete", "--default-country", "US", values=value)
    assert code == 0, said
    assert set(people.persons()) == {"joe.1", JOE_USER, JOE_MAIL, "tablet.1"}


def test_without_delete_rows_are_only_counted(people: Identity) -> None:
    """The default is safe: it says how many rows each table holds, the same number as the deletion deletes."""
    before = everything(people)
    code, counted = forget(people, "--email", values="jane.doe@gmail.com")
    assert (code, "would be deleted; say --delete" in counted) == (0, True)
    assert before == everything(people)
    assert people.all("gaelp_users.forgotten_ids") == []
    rows = json.loads((people.folder / "xcom.json").read_text())["rows"]
    assert rows["ga4.ga4_events"] >= 3
    assert forget(people, "--email", "--delete", values="jane.doe@gmail.com")[0] == 0
    text = everything(people)
    assert JANE_MAIL not in text


def test_only_these_leaves_the_other_ids(people: Identity) -> None:
    """One cookie is forgotten, the person stays and keeps her id."""
    jane = people.persons()["jane.1"]
    assert forget(people, "--user-pseudo-id", "--only-these", "--delete", values="jane.2")[0] == 0
    assert "jane.2" not in everything(people)
    assert people.persons()["jane.1"] == jane


def test_a_shared_id_takes_nobody_along(people: Identity) -> None:
    """Forgetting the tablet deletes what happened on it and neither Jane nor Joe."""
    assert forget(people, "--user-pseudo-id", "--delete", values="tablet.1")[0] == 0
    assert set(people.persons()) == {
        "jane.1",
        "jane.2",
        "jane-click",
        JANE_MAIL,
        JANE_PHONE,
        JANE_USER,
        "joe.1",
        JOE_USER,
        JOE_MAIL,
    }


def test_what_was_forgotten_does_not_come_back(people: Identity) -> None:
    """Loading and stitching again leaves her out; the list of the forgotten holds none of her ids, nor plain hashes of them."""
    assert forget(people, "--email", "--delete", values="jane.doe@gmail.com")[0] == 0
    kept = str(people.all("gaelp_users.forgotten_ids"))
    for value in ("jane", JANE_MAIL, JANE_PHONE, JANE_USER, sha(JANE_MAIL)):
        assert value not in kept
    event = {"event_id": "late", "event_name": "call", "event_time": "2026-03-05T10:00:00Z", "phone": "+1 415 555 2671"}
    (people.folder / "late").write_text(json.dumps(event | {"consent_analytics": True}))
    code, said = people.run("ingest-events", str(people.folder / "late"), "--format", "ndjson")
    assert (code, "0 new, 0 known, 1 of forgotten people" in said) == (0, True), said
    people.web(5, "jane.2", loaded=11)
    people.now(12)
    people.stitch(day=12)
    assert "jane.2" not in people.persons()


def test_twice_deletes_nothing_more(people: Identity) -> None:
    """The second request finds nothing and records nothing new."""
    assert forget(people, "--email", "--delete", values="jane.doe@gmail.com")[0] == 0
    kept = people.all("gaelp_users.forgotten_ids")
    code, said = forget(people, "--email", "--delete", values="jane.doe@gmail.com")
    assert (code, "0 rows of 1 ids were deleted" in said) == (0, True), said
    assert kept == people.all("gaelp_users.forgotten_ids")


def test_a_run_that_dies_can_be_done_again(people: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between two tables: the hashes are kept already, and who is who goes last, so the next run finds all of her."""
    from tasks.core.warehouse.duckdb import DuckDBWarehouse

    real, seen = DuckDBWarehouse.delete, []

    def dies(self: DuckDBWarehouse, table: str, **options: Any) -> int:
        seen.append(table)
        if table.startswith("gaelp_users.identity_edges"):
            raise KeyboardInterrupt
        return real(self, table, **options)

    monkeypatch.setattr(DuckDBWarehouse, "delete", dies)
    assert forget(people, "--email", "--delete", values="jane.doe@gmail.com")[0] == 130
    assert "gaelp_users.identity_nodes" not in seen
    assert len(people.all("gaelp_users.forgotten_ids")) == 7  # her six ids and her person
    monkeypatch.setattr(DuckDBWarehouse, "delete", real)
    assert forget(people, "--email", "--delete", values="jane.doe@gmail.com")[0] == 0
    assert "jane.2" not in everything(people)


@pytest.mark.parametrize(
    ("arguments", "values", "code", "message"),
    [
        (("--email",), "jane.doe", 1, "line 1: an e-mail address has exactly one @; nothing was deleted"),
        (("--phone",), "415 555 2671", 1, "line 1: the number has no country code"),
        (("--email",), "\n \n", 1, "no value was given"),
        (("--email", "--max-ids", "3"), "jane.doe@gmail.com", 4, "ids would be forgotten, over --max-ids 3"),
        (("--email", "--why", "jane.doe@gmail.com asked"), "jane.doe@gmail.com", 2, "must hold no address or number"),
        (("--email", "--why", "call 415 555 2671"), "jane.doe@gmail.com", 2, "must hold no address or number"),
        (("--email", "--why", " "), "jane.doe@gmail.com", 2, "say why"),
        ((), "jane.doe@gmail.com", 2, "say what to forget"),
        (("--email", "--older-than-days", "40"), "jane.doe@gmail.com", 2, "say what to forget"),
        (("jane.doe@gmail.com",), "", 2, "unexpected extra argument"),
    ],
)
def test_a_wrong_request_deletes_nothing(
    people: Identity, arguments: tuple[str, ...], values: str, code: int, message: str
) -> None:
    """The error says what is wrong, and only a value that stood on the command line is in it."""
    before = everything(people)
    (people.folder / "values").write_text(values)
    why = () if "--why" in arguments else ("--why", "request 17")
    ended, said = people.run("forget", "--delete", *why, "--file", str(people.folder / "values"), *arguments)
    assert (ended, message in said) == (code, True), said
    assert "jane.doe@" not in said or "jane.doe@gmail.com" in arguments
    assert before == everything(people)
    assert people.all("gaelp_users.forgotten_ids") == []


def test_values_come_from_standard_input(people: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --file; no option takes a value of a person."""
    from click.testing import CliRunner

    done = CliRunner().invoke(
        cli.cli,
        ["forget", "--email", "--delete", "--why", "request 17", "--run-date", "2026-03-10"],
        input="jane.doe@gmail.com\n",
    )
    assert done.exit_code == 0, done.output
    assert "jane" not in done.output
    assert JANE_MAIL not in everything(people)


# --- every table


def row_of(contract: TableContract, kind: str, value: str) -> dict[str, Any] | None:
    """A row of ``contract`` in which every column that may hold ``kind`` holds ``value``; None if none may."""
    columns = [column for column in columns_of(contract) if column.holds(kind)]
    if not columns:
        return None
    plain = {"STRING": "x", "INT64": 1, "FLOAT64": 1.0, "BOOL": True, "DATE": date(2026, 3, 1)}
    plain["TIMESTAMP"] = datetime(2026, 3, 1, tzinfo=UTC)
    row: dict[str, Any] = {field.name: [] if field.repeated else plain[field.type] for field in contract.fields}
    for column in columns:
        row[column.column] = value
        if column.kind_column:
            row[column.kind_column] = kind
    return row


@pytest.mark.parametrize("kind", [*KINDS, PERSON_KIND])
def test_no_table_keeps_an_id_of_any_kind(identity: Identity, kind: str) -> None:
    """A row planted in every table that can hold the kind is found and deleted, in whichever column it stands."""
    from tasks.identity.forgetting import forget as forget_ids

    planted, other = f"planted-{kind}", f"other-{kind}"
    tables = []
    for contract in all_contracts():
        for value in (planted, other):
            row = row_of(contract, kind, value)
            if row is not None:
                identity.warehouse.merge(contract.name, pl.DataFrame([row], schema=contract.polars_schema()))
                tables.append(contract.name)
    assert tables
    rows = forget_ids(
        identity.warehouse, {(kind, planted)}, salt=SALT, why="w", run_date=date(2026, 3, 2), max_ids=9, do_delete=True
    )
    assert set(rows) >= {*tables, *ASIDE}  # a cookie is looked for as a person too
    for table in set(tables):
        assert planted not in str(identity.all(table)), table
        assert other in str(identity.all(table)), table


def test_every_column_that_looks_like_an_id_of_a_person_is_known_as_one() -> None:
    """A contract cannot hold an id of a person under a name that deletion does not know; the rest are named here with why."""
    not_of_one_person = {"gbraid", "wbraid", "transaction_id_hash", "campaign_hash", "name_hash", "id_hash"}
    suspicious = ("user", "person", "email", "phone", "clid", "fat_id", "pseudo", "braid", "cookie", "device_id", "unit_id")
    for contract in all_contracts():
        known = {column.column for column in columns_of(contract)}
        for field in contract.fields:
            looks = field.type == "STRING" and any(word in field.name for word in suspicious) and "kind" not in field.name
            assert not looks or field.name in known | not_of_one_person, f"{contract.name}.{field.name}"


# Texts that are called like an id or marked as personal, and are no id of a person whose ads are measured.
OF_NO_PERSON = {
    "of the ad platform": {
        "account_id", "ad_id", "adgroup_id", "arm_id", "budget_id", "campaign_hash", "campaign_id", "campaign_ids",
        "change_event_id", "conversion_action_id", "creative_id", "criterion_id", "enabled_campaign_ids", "entity_id",
        "member_campaign_ids", "name_hash", "parent_id",
        "property_id", "remarketing_campaign_ids", "request_id", "resource_id", "segment_id",
    },
    "of a row, a file or a run": {
        "canonical_sha256", "change_id", "change_set_id", "config_sha256", "content_sha256", "data_sha256", "event_id",
        "event_key", "experiment_id", "mmm_run_id", "payload_sha256", "prev_hash", "quarantine_id", "row_hash", "run_id",
        "acknowledgement_id", "sha256",
    },
    "of staff, whom the ledger names for good": {"actor", "actor_hash", "approver", "author"},
    "of an order or a session, in rows that hold the person's id too": {"session_id", "session_key", "transaction_id_hash"},
    "of a journey, made of the person's id beside it": {"journey_id"},
    "what forget itself keeps": {"id_hash"},
}  # fmt: skip


def test_every_text_called_like_an_id_is_reached_or_said_to_be_of_no_person() -> None:
    """A new contract with such a column fails here until forget reaches it or somebody says above whose it is."""
    named = set().union(*OF_NO_PERSON.values())
    for contract in all_contracts():
        known = {column.column for column in columns_of(contract)}
        for field in contract.fields:
            looks = field.pii or field.name.rsplit("_", 1)[-1] in {"id", "ids", "key", "keys", "hash", "sha256"}
            assert field.type != "STRING" or not looks or field.name in known | named, f"{contract.name}.{field.name}"


def test_a_cookie_inside_a_text_stands_in_a_column_of_its_own_too() -> None:
    """session_key, journey_id and orders hold ids of people within; deletion finds their rows by another column."""
    for contract in all_contracts():
        if {"session_key", "session_id"} & set(contract.columns):
            assert "user_pseudo_id" in contract.columns, contract.name
        if {"journey_id", "transaction_id_hash"} & set(contract.columns):
            assert list(columns_of(contract)), contract.name


def test_the_tables_a_person_is_in_are_reached() -> None:
    """By name, so that a change of the rule cannot lose one."""
    assert {contract.name for contract in HOLDING} >= {
        "ga4.ga4_events", "gaelp_users.server_events", "gaelp_users.identity_edges", "gaelp_users.identity_nodes",
        "gaelp_users.identity_person_changes", "gaelp_users.journey_sessions", "gaelp_users.persistent_touchpoints",
        "gaelp_users.experiment_assignments", "gaelp_users.audience_members", "models.segment_scores_daily",
    }  # fmt: skip
    assert ASIDE == ["control.quarantine"]
    # The others hold no rows of tables.
    texts = {field.name for contract in all_contracts() for field in contract.fields if field.name.endswith("_json")}
    assert texts == {"row_json", "canonical_json", "config_json", "detail_json", "value_json", "versions_json"}


# --- rows set aside


@pytest.mark.parametrize("kind", [*KINDS, PERSON_KIND])
def test_rows_set_aside_with_an_id_go_too(identity: Identity, kind: str) -> None:
    """In a column, deep in the row, in the reason, as a load's hash of a cookie; what merely contains the id's letters stays."""
    from tasks.identity.forgetting import forget as forget_ids

    value = {"user_pseudo_id": "12.34"}.get(kind, f"planted-{kind}")
    rows: list[dict[str, object]] = [
        {kind: value},
        {"deep": [{"er": value}]},
        {"x": 1},
        {kind: f"{value}5"},
        {"x": f"not {value}"},
    ]
    reasons = ["a", "b", f"the id {value!r} is odd", "d", "e"]
    if kind == "user_pseudo_id":
        rows.append({"user_pseudo_id_hash": hash_name(value, SALT)})
        reasons.append("f")
    for row, reason in zip(rows, reasons, strict=True):
        quarantine(identity.warehouse, "ga4.ga4_events", [row], "check", reason, date(2026, 3, 1))
    wish: dict[str, Any] = {"salt": SALT, "why": "w", "run_date": date(2026, 3, 2), "max_ids": 9}
    gone = len(rows) - 2
    assert forget_ids(identity.warehouse, {(kind, value)}, **wish, do_delete=False)["control.quarantine"] == gone
    assert len(identity.all("control.quarantine")) == len(rows)
    assert forget_ids(identity.warehouse, {(kind, value)}, **wish, do_delete=True)["control.quarantine"] == gone
    assert sorted(row[4] for row in identity.all("control.quarantine")) == ["d", "e"]


def test_a_person_known_by_the_cookie_alone_is_forgotten_whole(identity: Identity) -> None:
    """Visits and journeys of a cookie that was never stitched, an assignment of it as a person: all go with the cookie."""
    from tasks.identity.forgetting import forget as forget_ids

    for contract in HOLDING:
        row = row_of(contract, PERSON_KIND, "cookie:jane.9")
        if row is not None:
            identity.warehouse.merge(contract.name, pl.DataFrame([row], schema=contract.polars_schema()))
    wish: dict[str, Any] = {"salt": SALT, "why": "w", "run_date": date(2026, 3, 2), "max_ids": 1}
    forget_ids(identity.warehouse, {("user_pseudo_id", "jane.9")}, **wish, do_delete=True)
    assert "jane.9" not in everything(identity)


@pytest.mark.parametrize("contract", HOLDING, ids=lambda c: c.name)
def test_every_table_with_ids_of_people_can_be_swept(contract: TableContract) -> None:
    """Retention goes by partitions, so such a table has one."""
    assert contract.partition


@pytest.mark.slow
def test_what_is_too_old_is_swept(identity: Identity) -> None:
    """Rows older than the limit go from every table that holds ids, newer ones stay; without --delete all stay."""
    for contract in HOLDING:
        for kind, day in ((kind, day) for kind in (*KINDS, PERSON_KIND) for day in (date(2025, 1, 1), date(2026, 2, 1))):
            row = row_of(contract, kind, f"{kind}{day}")
            if row is not None:
                frame = pl.DataFrame([row | {str(contract.partition): day}], schema=contract.polars_schema())
                identity.warehouse.merge(contract.name, frame)
    for day in (date(2025, 1, 1), date(2026, 2, 1)):
        quarantine(identity.warehouse, "ga4.ga4_events", [{"day": str(day)}], "check", "reason", day)
    before = everything(identity)
    code, said = identity.run("forget", "--older-than-days", "100")
    assert (code, before == everything(identity), "would be deleted" in said) == (0, True, True), said
    assert identity.run("forget", "--older-than-days", "100", "--delete")[0] == 0
    assert "2025-01-01" not in everything(identity).replace("datetime.date(2025, 1, 1)", "2025-01-01")
    for contract in HOLDING:
        assert identity.all(contract.name), contract.name
    assert [row[2] for row in identity.all("control.quarantine")] == [date(2026, 2, 1)]
    assert identity.run("forget", "--older-than-days", "29")[0] == 2
