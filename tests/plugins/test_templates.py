"""What a task's arguments say about its run."""

from datetime import UTC, datetime
from types import SimpleNamespace

import jinja2
import pytest
from aelp2_airflow.templates import ACTOR, MACROS, RUN_DATE, approver, decision, person, run_date
from airflow.sdk.exceptions import AirflowFailException

AFTER = datetime(2026, 11, 24, 17, 30, tzinfo=UTC)


def _run(logical_date: datetime | None) -> SimpleNamespace:
    return SimpleNamespace(logical_date=logical_date, run_after=AFTER, triggering_user_name=None)


def _events(*dates: str) -> dict[str, list[SimpleNamespace]]:
    return {"ads_validated": [SimpleNamespace(extra={"run_date": date}) for date in dates]}


def test_run_date_is_the_day_of_the_logical_date() -> None:
    """Scheduled and manual runs work for the day of their logical date, whenever they really run."""
    assert run_date(_run(datetime(2026, 3, 2, 6, tzinfo=UTC)), {}) == "2026-03-02"
    # A logical date wins over events: a manual run of an asset-scheduled DAG works for the day it was asked for.
    assert run_date(_run(datetime(2026, 3, 2, 6, tzinfo=UTC)), _events("2026-03-01")) == "2026-03-02"


def test_run_date_of_an_asset_run_is_that_of_the_newest_event() -> None:
    """A run started by assets has no logical date; several queued events mean the newest day."""
    assert run_date(_run(None), _events("2026-03-01", "2026-03-02")) == "2026-03-02"


def test_run_date_without_anything_is_the_day_it_was_asked_for() -> None:
    """A manual run without a logical date works for today."""
    assert run_date(_run(None), {}) == "2026-11-24"


def test_an_event_without_a_run_date_stops_the_run() -> None:
    """An asset event made by hand carries no run date, and the job must not guess one."""
    with pytest.raises(AirflowFailException, match="carry no run_date"):
        run_date(_run(None), {"ads_validated": [SimpleNamespace(extra={})]})


def test_templates_render_with_the_macros() -> None:
    """The strings that pod() puts into arguments render with the words it offers."""
    context = {"dag_run": _run(datetime(2026, 3, 2, 6, tzinfo=UTC)), "triggering_asset_events": {}, **MACROS}
    render = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string
    assert render(RUN_DATE).render(context) == "2026-03-02"
    assert render(ACTOR).render(context) == "schedule"


def test_an_email_address_becomes_a_stable_pseudonym() -> None:
    """No clear e-mail reaches a table; the same person keeps the same name, whatever the case."""
    assert person("approver") == "approver"
    assert person("Ada@Example.test") == person("ada@example.test ")
    assert person("ada@example.test").startswith("user-")
    assert "@" not in person("ada@example.test")
    assert person("ada@example.test") != person("bob@example.test")


@pytest.mark.parametrize(("option", "expected"), [("Approve", "approved"), ("Reject", "rejected")])
def test_the_answer_in_the_words_of_the_table(option: str, expected: str) -> None:
    """Option and person as control.approvals knows them."""
    response = {"chosen_options": [option], "responded_by_user": {"id": "7", "name": "approver"}}
    assert (decision(response), approver(response)) == (expected, "approver")


@pytest.mark.parametrize("response", [None, {}, {"chosen_options": ["Approve"], "responded_by_user": None}])
def test_no_answer_of_a_person_is_no_answer(response: dict[str, object] | None) -> None:
    """A task marked as success has no answer, and an answer by a default has no person: neither approves."""
    with pytest.raises(AirflowFailException, match="carries no answer of a person"):
        decision(response)
