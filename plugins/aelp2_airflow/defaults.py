"""What every DAG of AELP2 has in common: start, tags, schedules, retries, and the alert of a failed task."""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from airflow.sdk import Asset, CronTriggerTimetable

from aelp2_airflow.failure_kinds import FIRST_STEP, of_exception
from aelp2_airflow.runner import is_local

START = datetime(2026, 1, 1, tzinfo=UTC)
IF_IT_FAILS = re.compile(r"\*\*If it fails\*\*\s+(.+?)(?:\n\s*\n|\Z)", re.DOTALL)


class Tag(StrEnum):
    """Stages of the loop; the DAG list of the UI filters by them."""

    INGEST = "ingest"
    CHECK = "check"
    IDENTIFY = "identify"
    MEASURE = "measure"
    DECIDE = "decide"
    APPROVE = "approve"
    ACT = "act"
    GOVERN = "govern"


class Urgency(StrEnum):
    """How soon a person has to look at a failed task."""

    NOW = "now: money may be moving"
    TODAY = "today: tomorrow's plan needs it"
    THIS_WEEK = "this week: yesterday's result stays in use"


def cron(expression: str) -> CronTriggerTimetable | None:
    """Runs at ``expression`` (UTC), with the moment of the run as logical date.

    None on a developer's machine: the loop there follows the simulated calendar, which no cron knows, and unpausing a DAG would
    at once start a run for the real today.
    """
    return None if is_local() else CronTriggerTimetable(expression, timezone="UTC")


def after(*assets: Asset) -> list[Asset] | None:
    """Runs whenever all ``assets`` were written; None on a developer's machine, as with `cron`."""
    return None if is_local() else list(assets)


def alert(context: Mapping[str, Any], urgency: Urgency) -> None:
    """Log one JSON line that a log-based alert can match on `aelp2_alert` and a person can act on."""
    task = context["task"]
    exception = context.get("exception")
    kind = of_exception(exception)
    # Airflow itself calls this, with no exception, where it lost the worker: nobody was left to end the pod.
    vanished = "the task's Airflow worker vanished; a pod it had started runs on to its end or its deadline"
    found = IF_IT_FAILS.search(context["dag"].doc_md or "")
    line = {
        "aelp2_alert": "task_failed",
        "urgency": str(urgency),
        "kind": str(kind),
        "first_step": FIRST_STEP[kind],
        "owner": task.owner,
        "dag_id": context["dag"].dag_id,
        "task_id": task.task_id,
        "run_id": context["run_id"],
        "error": f"{type(exception).__name__}: {exception}"[:500] if exception else vanished,
        "what_to_do": " ".join(found.group(1).split()) if found else "",
        "runbook": f"docs/runbooks/{context['dag'].dag_id}.md",
        "log_url": context["ti"].log_url,
    }
    logging.getLogger("aelp2.alert").error(json.dumps(line, sort_keys=True))


def default_args(owner: str, urgency: Urgency = Urgency.TODAY) -> dict[str, Any]:
    """Arguments of every task of a DAG. Only task arguments: Airflow silently ignores DAG arguments in here."""
    return {
        "owner": owner,
        # Somebody sits at the terminal of a local run: an error shall show at once there.
        "retries": 0 if is_local() else 2,
        "retry_delay": timedelta(minutes=5),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
        "execution_timeout": timedelta(hours=1),
        "on_failure_callback": partial(alert, urgency=urgency),
    }
