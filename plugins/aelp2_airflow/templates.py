"""What a task's arguments can say about its run. `pod()` offers these to the templates of its arguments.

The run date, decided here and nowhere else: **the day of the run's logical date (UTC)**; data up to the day before counts as
complete. A scheduled run at 06:00 on 2 March has run date 2 March. A manual run has the day of the logical date it was
triggered with, so a past day can be run again. A run started by an asset has no logical date; it takes the run date of the
run that wrote the asset. A manual run without a logical date works for the day it was asked for.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from airflow.sdk.exceptions import AirflowFailException

RUN_DATE = "{{ run_date(dag_run, triggering_asset_events) }}"
ACTOR = "{{ person(dag_run.triggering_user_name or 'schedule') }}"


class _DagRun(Protocol):
    logical_date: datetime | None
    run_after: datetime


def run_date(dag_run: _DagRun, triggering_asset_events: Mapping[Any, Iterable[Any]]) -> str:
    """The day the run works for, YYYY-MM-DD; see the module's docstring."""
    if dag_run.logical_date is not None:
        return dag_run.logical_date.strftime("%Y-%m-%d")
    events = [event for group in triggering_asset_events.values() for event in group]
    if not events:
        return dag_run.run_after.strftime("%Y-%m-%d")
    dates = [event.extra["run_date"] for event in events if "run_date" in event.extra]
    if not dates:
        raise AirflowFailException(
            "The asset events that started this run carry no run_date: they were created by hand. Trigger the DAG with a "
            "logical date instead."
        )
    return str(max(dates))


def person(name: str) -> str:
    """``name`` as it may be stored: an e-mail address becomes a stable pseudonym, anything else stays."""
    if "@" not in name:
        return name
    return "user-" + hashlib.sha256(name.strip().lower().encode()).hexdigest()[:16]


def answer(response: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The answer of a person, as the task `review` handed it over.

    A task marked as success by hand has none. Then nobody decided anything, and this run must not go on.
    """
    if not response or not response.get("responded_by_user"):
        raise AirflowFailException(
            "The task `review` carries no answer of a person (was it marked as success by hand?). Nothing is approved. "
            "Clear `review` and answer it under Required Actions."
        )
    return response


def decision(response: Mapping[str, Any] | None) -> str:
    """`approved` or `rejected`, the words of control.approvals, for the option that was chosen."""
    (option,) = answer(response)["chosen_options"]
    return {"Approve": "approved", "Reject": "rejected"}[option]


def approver(response: Mapping[str, Any] | None) -> str:
    """Who answered."""
    return person(answer(response)["responded_by_user"]["name"])


def sets(request: Mapping[str, Any] | None) -> str:
    """`ID=SHA256,…` of all change sets that `request_approval` laid out; empty where it laid out none."""
    return ",".join(f"{one['change_set_id']}={one['sha256']}" for one in (request or {}).get("sets", ()))


MACROS = {function.__name__: function for function in (run_date, person, decision, approver, sets)}
