"""`pod()`: the only way a job becomes a task."""

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, BaseOperator

from aelp2_airflow.containers import Access, Container, Size
from aelp2_airflow.runner import Runner, runner
from aelp2_airflow.templates import MACROS, RUN_DATE


def _stamp_assets(context: Any, _result: Any = None) -> None:
    """Tell the DAGs that wait for this task's assets which day they are about."""
    for asset in context["task"].outlets:
        context["outlet_events"][asset].extra = {
            "run_date": MACROS["run_date"](context["dag_run"], context["triggering_asset_events"])
        }


def _operator() -> type[Any]:
    """What runs a job here. Imported only where it is used: the clients of clusters cost seconds."""
    match runner():
        case Runner.LOCAL:
            from aelp2_airflow.local_job import LocalJobOperator

            return LocalJobOperator
        case Runner.COMPOSER:
            from aelp2_airflow.cluster_job import JobPodOperator

            return JobPodOperator
        case Runner.GKE:
            from aelp2_airflow.gke_job import GkeJobPodOperator

            return GkeJobPodOperator


def pod(
    command: str,
    *args: str,
    image: str = "ads",
    size: Size = "s",
    access: Access = "none",
    xcom: bool = False,
    dated: bool = True,
    writes: tuple[Asset, ...] = (),
    execution_timeout: timedelta = timedelta(hours=1),
    task_id: str | None = None,
    **kwargs: Any,
) -> BaseOperator:
    """A task that runs ``aelp2 command --run-date <the run's day> args``: a pod in a cluster, a process on a developer's machine.

    ``access`` is what it may do at the ad platforms. A task that may mutate is never retried by Airflow and waits for the one
    slot of the pool `mutations`; every other task keeps the retries of its DAG. ``xcom`` lets the job hand a small JSON
    value over. A command that works for no day is not ``dated`` and gets no ``--run-date``. ``writes`` names the assets that
    are fresh once the task succeeded. Other keywords go to the operator (``trigger_rule`` …).
    """
    container = Container(command, args, image, size, access)
    policy: dict[str, Any] = {"retries": 0, "pool": "mutations"} if container.mutates else {}
    if writes:
        policy |= {"outlets": list(writes), "post_execute": _stamp_assets}
    task: BaseOperator = _operator()(
        task_id=task_id or command.replace("-", "_"),
        container=container,
        arguments=[command, *(("--run-date", RUN_DATE) if dated else ()), *args],
        xcom=xcom,
        execution_timeout=execution_timeout,
        **policy,
        **kwargs,
    )
    return task


def pod_each(
    command: str,
    *,
    over: BaseOperator,
    image: str = "ads",
    size: Size = "s",
    access: Access = "none",
    execution_timeout: timedelta = timedelta(hours=1),
    **kwargs: Any,
) -> Any:
    """One task instance of ``aelp2 command`` for each command line that the task ``over`` handed over, as `list-accounts` does.

    They run side by side, and one that fails stops no other. Tasks that may mutate are never made this way: one at a time.
    """
    container = Container(command, (), image, size, access)
    if container.mutates:
        raise ValueError(f"{command}: a task that may mutate is a pod() of its own, in its pool, never one of many")
    partial = _operator().partial(
        task_id=command.replace("-", "_"), container=container, execution_timeout=execution_timeout, **kwargs
    )
    return partial.expand(arguments=over.output)  # type: ignore[attr-defined]  # the output of an operator


def marker(task_id: str, trigger_rule: str = "all_success") -> BaseOperator:
    """A task that does nothing: others wait for it, or its state tells at the end of a run what happened before it."""
    from airflow.providers.standard.operators.empty import EmptyOperator

    return EmptyOperator(task_id=task_id, trigger_rule=trigger_rule, execution_timeout=timedelta(minutes=5))
