"""plan-audiences: causal scores only, consent, least sizes, payloads that can be made again from what is stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from tasks.cli import cli
from tasks.core.contracts import load_contract
from tasks.core.errors import NothingToDo, Refused
from tasks.core.settings import load_settings
from tasks.core.warehouse import Warehouse, open_warehouse
from tasks.decide.audiences import payload_of

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
DAY = date(2026, 3, 2)


SCORES = "models.segment_scores_daily"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_NOW", NOW.isoformat())
    return open_warehouse(load_settings())


@pytest.fixture
def run(warehouse: Warehouse) -> Callable[..., Result]:
    def call(*options: str) -> Result:
        return CliRunner().invoke(cli, ["plan-audiences", "--run-date", str(DAY), "--experiment", "holdout", *options])

    return call


def store(
    warehouse: Warehouse, people: int = 1000, *, kind: str = "causal", withheld: str | None = None, day: date = DAY
) -> None:
    """Person i has uplift (i − people/2) / people; one in ten gave no consent; one in two has a phone; some share an e-mail."""
    persons = [f"{i:032x}" for i in range(people)]
    scores = [
        {
            "date": day,
            "experiment_id": "holdout",
            "person_id": person,
            "segment": "returning",
            "propensity": 0.1,
            "uplift": None if withheld else (i - people / 2) / people,
            "effect_kind": kind,
            "is_drifted": withheld is not None,
            "withheld_reason": withheld,
            "is_ads_consented": i % 10 > 0,
            "model_version": "v1",
            "loaded_at": NOW,
        }
        for i, person in enumerate(persons)
    ]
    nodes = []
    for i, person in enumerate(persons):
        ids = {"email_sha256": sha(f"e{i}"), "user_pseudo_id": f"{i}.1"} | ({"phone_sha256": sha(f"p{i}")} if i % 2 else {})
        for id_kind, value in ids.items():
            shared = "shared_contact" if i % 97 == 7 and id_kind == "email_sha256" else None
            stamps = {"first_seen_at": NOW, "last_seen_at": NOW, "last_seen_date": DAY, "event_count": 1, "stitched_at": NOW}
            nodes.append({"id_kind": id_kind, "id": value, "person_id": person, "excluded_reason": shared} | stamps)
    for table, rows in (("models.segment_scores_daily", scores), ("gaelp_users.identity_nodes", nodes)):
        warehouse.append(table, pl.DataFrame(rows, schema=load_contract(table).polars_schema()))


def plans(warehouse: Warehouse) -> pl.DataFrame:
    columns = ", ".join(load_contract("control.audience_plans").columns)
    return warehouse.query(f"SELECT {columns} FROM control.audience_plans ORDER BY destination, audience")


def members(warehouse: Warehouse) -> pl.DataFrame:
    return warehouse.query("SELECT destination, audience, person_id, id_kind, id FROM gaelp_users.audience_members")


def test_the_best_share_with_consent_is_planned_and_the_payload_can_be_made_again(
    warehouse: Warehouse, run: Callable[..., Result]
) -> None:
    """The stored members give each payload back byte by byte; a person deleted there changes its hash."""
    store(warehouse)
    result = run("--share", "0.2")
    assert result.exit_code == 0, result.output
    assert result.output.endswith("shadow: nothing was sent\n")
    frame, stored = plans(warehouse), members(warehouse)
    assert frame["is_withheld"].to_list() == [False] * 6
    grow = frame.filter(audience="grow")
    assert grow["people"].to_list() == [200] * 3
    assert grow["consented_people"].to_list() == [180] * 3
    assert dict(zip(grow["destination"], grow["matchable_people"], strict=True))["ga4_audience"] == 180
    for row in frame.iter_rows(named=True):
        mine = stored.filter(destination=row["destination"], audience=row["audience"])
        assert mine.height == row["identifiers"]
        assert (
            sha(payload_of(row["destination"], row["audience"], mine.sample(fraction=1, shuffle=True, seed=1)))
            == (row["payload_sha256"])
        )
        assert sha(payload_of(row["destination"], row["audience"], mine[1:])) != row["payload_sha256"]
    assert int(stored.filter(audience="grow")["person_id"].min() or "0", 16) >= 800


def test_nobody_without_consent_and_no_shared_id_is_a_member(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """A tenth gave no consent, and the shared address names nobody, though the person's own phone does."""
    store(warehouse)
    run("--share", "0.5")
    stored = members(warehouse)
    assert {int(p, 16) % 10 == 0 for p in stored["person_id"]} == {False}
    assert sha("e783") not in stored["id"].to_list()
    assert sha("p783") in stored["id"].to_list()
    assert "phone_sha256" not in stored.filter(destination="meta_custom_audience")["id_kind"].to_list()


def test_the_payloads_speak_each_destination_s_form(warehouse: Warehouse) -> None:
    """Data Manager members with hex hashes and consent; Meta's schema and rows; a user property for GA4."""
    rows = [("a" * 32, "email_sha256", sha("e")), ("a" * 32, "phone_sha256", sha("p"))]
    frame = pl.DataFrame(rows, schema=["person_id", "id_kind", "id"], orient="row")
    (google,) = json.loads(payload_of("google_customer_match", "grow", frame))
    assert google["audienceMembers"] == [
        {"userData": {"userIdentifiers": [{"emailAddress": sha("e")}, {"phoneNumber": sha("p")}]}}
    ]
    assert (google["encoding"], google["consent"]["adUserData"]) == ("HEX", "CONSENT_GRANTED")
    (meta,) = json.loads(payload_of("meta_custom_audience", "grow", frame[:1]))
    assert meta == {"payload": {"schema": ["EMAIL_SHA256"], "data": [[sha("e")]]}}
    cookie = pl.DataFrame([("a" * 32, "user_pseudo_id", "1.2")], schema=frame.schema, orient="row")
    (ga4,) = json.loads(payload_of("ga4_audience", "suppress", cookie))
    assert (ga4["client_id"], ga4["user_properties"]) == ("1.2", {"aelp2_audience": {"value": "suppress"}})


def test_an_address_in_clear_enters_no_payload() -> None:
    """What is no SHA-256 is refused, and the message does not repeat it (M14)."""
    clear = pl.DataFrame([("a" * 32, "email_sha256", "jane@example.com")], schema=["person_id", "id_kind", "id"], orient="row")
    with pytest.raises(ValueError, match="no SHA-256") as caught:
        payload_of("google_customer_match", "grow", clear)
    assert "jane" not in str(caught.value)


def test_observational_scores_never_make_an_audience(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """The job is refused and leaves no plan and no member."""
    store(warehouse, kind="observational")
    result = run()
    assert isinstance(result.exception, Refused)
    assert "observational scores never make an audience" in str(result.exception)
    assert plans(warehouse).is_empty()
    assert members(warehouse).is_empty()


def test_an_audience_below_the_least_size_is_withheld_with_its_counts(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """Nothing of it is stored but the numbers and the reason."""
    store(warehouse, people=200)
    run("--share", "0.2")
    row = plans(warehouse).filter(destination="ga4_audience", audience="grow").row(0, named=True)
    assert (row["people"], row["consented_people"], row["matchable_people"]) == (40, 36, 36)
    assert row["withheld_reason"] == "too small: 36 people can be matched, ga4_audience serves from 100 on"
    assert (row["payload_sha256"], row["identifiers"]) == (None, 0)
    assert members(warehouse).is_empty()


def test_withheld_scores_make_no_audience_and_the_reason_is_handed_on(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    store(warehouse, withheld="drift: the people differ")
    assert run().exit_code == 0
    frame = plans(warehouse)
    assert frame["withheld_reason"].unique().to_list() == ["drift: the people differ"]
    assert frame["people"].sum() == 0


def test_twice_is_as_once_and_old_scores_are_none(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """The day's plans are replaced; scores of more than a week ago are not used."""
    store(warehouse, day=date(2026, 2, 22))
    assert isinstance(run().exception, NothingToDo)
    warehouse.delete("gaelp_users.identity_nodes", column="id_kind", values=["email_sha256", "phone_sha256", "user_pseudo_id"])
    store(warehouse)
    run()
    first, rows = plans(warehouse), members(warehouse).height
    run()
    assert plans(warehouse).equals(first)
    assert members(warehouse).height == rows > 0


def plan_all(warehouse: Warehouse) -> Result:
    return CliRunner().invoke(cli, ["plan-audiences", "--run-date", str(DAY)])


def test_without_a_name_every_experiment_with_causal_scores_is_planned(warehouse: Warehouse) -> None:
    """The causal one is planned, the observational one is named and left alone."""
    store(warehouse)
    scores = warehouse.query(f"SELECT {', '.join(load_contract(SCORES).columns)} FROM {SCORES}")
    seen = scores.with_columns(experiment_id=pl.lit("seen"), effect_kind=pl.lit("observational"))
    warehouse.append(SCORES, seen)
    result = plan_all(warehouse)
    assert result.exit_code == 0, result.output
    assert "seen: no audience; its scores are observational" in result.output
    assert plans(warehouse)["experiment_id"].unique().to_list() == ["holdout"]


def test_without_causal_scores_there_is_nothing_to_do(warehouse: Warehouse) -> None:
    """No scores, or only observational ones: exit code 99, so the DAG is skipped and not red."""
    assert isinstance(plan_all(warehouse).exception, NothingToDo)
    store(warehouse, kind="observational")
    assert isinstance(plan_all(warehouse).exception, NothingToDo)
    assert plans(warehouse).is_empty()
