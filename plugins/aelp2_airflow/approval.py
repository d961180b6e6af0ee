"""A person's decision in Airflow, and the gate that waits for it (docs/decisions/0003-approval-gate.md).

Airflow is the interface, not the authority: the pod `record-approval` writes what was decided on which hash, and
`apply-changes` reads that table again. A task marked as success by hand moves no money.
"""

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from aelp2_airflow.pods import pod
from aelp2_airflow.runner import is_local

MARKER = "approved"
_REQUEST = "ti.xcom_pull(task_ids='request_approval')"
_RESPONSE = "ti.xcom_pull(task_ids='review', key='answer')"


def _only_manual(context: Any) -> None:
    """A scheduled run's twin is made by the scheduler; a manual run's twin must be asked for, at the same logical date."""
    run = context["dag_run"]
    if run.run_type not in {"manual", "operator_triggered"}:
        raise AirflowSkipException(f"This run is {run.run_type}: the other DAG gets its own run of the same kind.")
    if run.logical_date is None:
        raise AirflowFailException(
            "This run has no logical date, so its approval and its canary cannot find each other. Trigger the DAG again with one."
        )


def _only_if_requested(context: Any) -> None:
    """Nothing expires where nothing was asked: then the request itself failed, and its own alert says so."""
    if context["ti"].xcom_pull(task_ids="request_approval") is None:
        raise AirflowSkipException("No approval was requested in this run, so none expired.")


def twin(dag_id: str) -> TriggerDagRunOperator:
    """Make sure that a manual run has its counterpart: the run of ``dag_id`` at the same logical date."""
    return TriggerDagRunOperator(
        task_id="twin",
        trigger_dag_id=dag_id,
        logical_date="{{ dag_run.logical_date.isoformat() }}",
        skip_when_already_exists=True,
        fail_when_dag_is_paused=True,
        pre_execute=_only_manual,
        retries=0,
    )


class Review(ApprovalOperator):
    """`ApprovalOperator` whose Reject leaves an answer behind and skips the marker alone.

    The base class ends the task by an exception on Reject, before its result is stored, and skips every direct downstream task
    whatever its trigger rule (both seen with provider 1.17 on Airflow 3.3). A rejection must be recorded as well as an approval.
    """

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Store who answered what, then go on as the base class does."""
        if "error" not in event:
            answer = {"chosen_options": event["chosen_options"], "responded_by_user": event["responded_by_user"]}
            context["ti"].xcom_push(key="answer", value=answer)
        return super().execute_complete(context, event)

    def skip(self, ti: Any, tasks: Iterable[Any]) -> None:
        """Skip the marker."""
        super().skip(ti=ti, tasks=[task for task in tasks if task.task_id == MARKER])


def approval_of(request: BaseOperator, *, within: timedelta) -> EmptyOperator:
    """Ask a person about what ``request`` (the pod `request-approval`) laid out; the marker `approved` is the end.

    One answer decides every change set of the page; each is recorded by itself.

    | what happens | review | record_approval | approved | record_expiry |
    | --- | --- | --- | --- | --- |
    | Approve | success | success | success | skipped |
    | Reject | success | success (rejected) | skipped | skipped |
    | no answer ``within`` | failed | upstream_failed | upstream_failed | success (expired) |
    | nothing to approve | skipped | skipped | skipped | skipped |
    | `review` marked as success by hand | success | failed: nobody answered | upstream_failed | skipped |
    """
    if is_local() and (seconds := os.environ.get("AELP2_RESPONSE_TIMEOUT_S")):
        within = timedelta(seconds=float(seconds))
    names = [name for name in os.environ.get("AELP2_APPROVERS", "").split(",") if name]
    review = Review(
        task_id="review",
        subject="{{ " + _REQUEST + "['subject'] }}",
        body="{{ " + _REQUEST + "['body'] }}",
        response_timeout=within,
        # No defaults: silence never means yes (DESIGN §5, rule 4).
        assigned_users=[{"id": name, "name": name} for name in names] or None,
        retries=0,
    )
    record = _record("record_approval", "{{ decision(" + _RESPONSE + ") }}", "{{ approver(" + _RESPONSE + ") }}")
    expiry = _record("record_expiry", "expired", "nobody", trigger_rule="one_failed", pre_execute=_only_if_requested)
    approved = EmptyOperator(task_id=MARKER)

    request >> review >> record >> approved
    review >> approved
    review >> expiry
    return approved


def _record(task_id: str, decision: str, approver: str, **kwargs: Any) -> BaseOperator:
    return pod(
        "record-approval",
        *("--set", "{{ sets(" + _REQUEST + ") }}"),
        *("--decision", decision),
        *("--approver", approver),
        *("--approval-ref", "{{ run_id }}/review"),
        image="ads",
        task_id=task_id,
        **kwargs,
    )


class Gate(ExternalTaskSensor):
    """`ExternalTaskSensor` that looks once before it waits.

    The trigger it waits with looks at once as well. Where the decision is there already, the task is queued again before the
    scheduler has read that its waiting process is over; Airflow 3.3.1 takes that for the end of the new part and fails the gate.
    """

    def execute(self, context: Any) -> None:
        """Go on, skip or fail if it is decided; wait in the trigger if not."""
        if not self.poke(context):
            super().execute(context)


def approval_gate(dag_id: str) -> Gate:
    """Wait until the marker of ``dag_id`` at the same logical date says how the person decided.

    approved → success; rejected → skipped, and all after it, quietly; expired or failed → failed. Both DAGs share schedule and
    start date (a test compares them), so no execution_delta is needed. Airflow 3 no longer looks at check_existence (it is a
    no-op in provider 1.17): a missing run is met by `twin`, a missing DAG by the test over the bag, and both by the timeout.
    """
    gate = Gate(
        task_id="gate",
        external_dag_id=dag_id,
        external_task_id=MARKER,
        allowed_states=["success"],
        skipped_states=["skipped"],
        failed_states=["failed", "upstream_failed"],
        check_existence=True,
        deferrable=True,
        poke_interval=5 if is_local() else 60,
        timeout=timedelta(hours=23).total_seconds(),
        execution_timeout=None,
        pool="gates",
        retries=0,
        trigger_rule="none_failed",
    )
    twin(dag_id) >> gate
    return gate
