"""Why a task failed, in one word: what the alert carries as `kind` (docs/runbooks/failure_kinds.md).

A pod that failed says so in three places: in its own status (the cluster ended it), in the state of a container that waits
(it never began) and in the exit code of one that ended (the job itself). They are read in that order, because a pod that
was evicted or ran out of time also leaves an exit code behind: that of the signal it was ended with.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout, AirflowTaskTimeout


class Kind(StrEnum):
    """What went wrong; log-based metrics and alert policies are cut by it."""

    IMAGE_PULL = "image_pull"
    OUT_OF_MEMORY = "out_of_memory"
    EVICTED = "evicted"
    DEADLINE = "deadline"
    USAGE = "usage"
    GATE = "gate"
    GUARD = "guard"
    PASSING = "passing"
    JOB_ERROR = "job_error"
    UNKNOWN = "unknown"


FIRST_STEP = {
    Kind.IMAGE_PULL: "The image did not arrive: is the digest of images.lock.json in the registry, and may the nodes read it?",
    Kind.OUT_OF_MEMORY: "The job needs more memory than its size has: take the next size in the DAG, or give it less to do.",
    Kind.EVICTED: "The cluster took the pod away: clear the task. If it was for storage or memory, take the next size.",
    Kind.DEADLINE: "It ran longer than it may: look where its log stands still before raising execution_timeout.",
    Kind.USAGE: "The arguments are wrong, so a DAG or its form is: read the job's last line, mend, clear the task.",
    Kind.GATE: "The data or the model is not fit for the next step: read which check says so, mend that, then clear.",
    Kind.GUARD: "A guard on money refused, and this job changed nothing: read what it refused and why before anything else.",
    Kind.PASSING: "A fault that passes outlasted every try: see whether the other side answers again, then clear the task.",
    Kind.JOB_ERROR: "The job ended with an error: its last lines in the log say what a person must mend.",
    Kind.UNKNOWN: "No cause is known: read the task's log, then the events of its pod.",
}

_EXIT_CODES = {
    1: Kind.JOB_ERROR,
    2: Kind.USAGE,
    3: Kind.GATE,
    4: Kind.GUARD,
    75: Kind.PASSING,
    137: Kind.OUT_OF_MEMORY,  # SIGKILL: of those who send it, the kernel short of memory is the usual one
    143: Kind.EVICTED,  # SIGTERM: somebody else wanted it to end
}
# Reasons of a container that waits, as the kubelet words them.
_NO_IMAGE = {
    *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable"),
    "SignatureValidationFailed",
}
# Reasons of a pod that the kubelet ended, or did not let in.
_TAKEN_AWAY = {
    *("Evicted", "Preempting", "NodeShutdown", "Shutdown", "Terminated", "NodeLost", "NodeAffinity", "UnexpectedAdmissionError"),
    *("OutOfcpu", "OutOfmemory", "OutOfpods", "OutOfephemeral-storage"),
}


@dataclass(frozen=True)
class Failure:
    """What is known of a failure. ``final`` means that another try with the same command would end the same way."""

    kind: Kind
    why: str
    final: bool = False


class JobFailed(AirflowException):
    """A job failed; another try may help."""

    def __init__(self, message: str, kind: Kind) -> None:
        super().__init__(message)
        self.kind = kind


class JobFailedForGood(AirflowFailException):
    """A job failed in a way that another try would only repeat."""

    def __init__(self, message: str, kind: Kind) -> None:
        super().__init__(message)
        self.kind = kind


def error(command: str, failure: Failure) -> AirflowException:
    """The exception that ends the task of ``aelp2 command``, with or without another try."""
    message = f"aelp2 {command} {failure.why} [{failure.kind}]"
    return JobFailedForGood(message, failure.kind) if failure.final else JobFailed(message, failure.kind)


def of_exit_code(code: int) -> Kind:
    """The kind that an exit code of `aelp2` stands for."""
    return _EXIT_CODES.get(code, Kind.UNKNOWN)


def of_exception(exception: object) -> Kind:
    """The kind of what ended a task, whatever it was."""
    if isinstance(kind := getattr(exception, "kind", None), Kind):
        return kind
    from airflow.providers.standard.exceptions import HITLTimeoutError  # where a person gave no answer in time

    late = isinstance(exception, AirflowTaskTimeout | AirflowSensorTimeout | HITLTimeoutError)
    return Kind.DEADLINE if late else Kind.UNKNOWN


def of_pod(pod: Any) -> Failure | None:
    """Why the cluster ended ``pod`` or never began it; None where only the exit code of the job can say."""
    status = pod.status
    said = f": {status.message}" if status.message else ""
    if status.reason == "DeadlineExceeded":
        return Failure(Kind.DEADLINE, f"was ended by the cluster at its pod's active deadline{said}")
    if status.reason in _TAKEN_AWAY:
        return Failure(Kind.EVICTED, f"was taken away by the cluster, {status.reason}{said}")
    for condition in status.conditions or []:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            why = f"was taken away by the cluster, {condition.reason}: {condition.message or 'no message'}"
            return Failure(Kind.EVICTED, why)
    return _waits(status) or _out_of_memory(status)


def exit_code(pod: Any, container: str) -> int | None:
    """The exit code that ``container`` of ``pod`` ended with; None where it did not end."""
    ended = next((ended for name, ended in _ended(pod.status) if name == container), None)
    return ended.exit_code if ended else None


def _ended(status: Any) -> Iterable[tuple[str, Any]]:
    for one in status.container_statuses or []:
        if one.state and one.state.terminated:
            yield one.name, one.state.terminated


def _waits(status: Any) -> Failure | None:
    for one in status.container_statuses or []:
        waiting = one.state.waiting if one.state else None
        if waiting and waiting.reason not in (None, "ContainerCreating", "PodInitializing"):
            kind = Kind.IMAGE_PULL if waiting.reason in _NO_IMAGE else Kind.UNKNOWN
            said = waiting.message or "no message"
            return Failure(kind, f"could not begin: container {one.name} with {one.image} waits, {waiting.reason}: {said}")
    if status.phase == "Pending":
        late = [c for c in status.conditions or [] if c.type == "PodScheduled" and c.status == "False"]
        why = f"no node took its pod, {late[0].reason}: {late[0].message}" if late else "its pod's events are above"
        return Failure(Kind.UNKNOWN, f"could not begin: {why}")
    return None


def _out_of_memory(status: Any) -> Failure | None:
    for name, ended in _ended(status):
        if ended.reason == "OOMKilled":
            # Limit and data are the same at the next try, so it would end there too, hours later where the job is a long one.
            why = f"needed more memory than container {name} may use (OOMKilled, exit code {ended.exit_code})"
            return Failure(Kind.OUT_OF_MEMORY, why, final=True)
    return None
