"""The ways a job can end badly, each with its exit code.

Airflow and the alerts tell them apart by the code: 1 job error, 2 usage, 3 a gate says stop, 4 refused by a guard,
75 try again, 99 nothing to do (Airflow marks the task skipped).
"""


class JobError(Exception):
    """Something is wrong that a person must mend. The message names the thing, the value and the remedy."""

    exit_code = 1


class GateStop(JobError):
    """A quality or health gate says stop: the data or the model is not fit for the next step."""

    exit_code = 3


class Refused(JobError):
    """A guard on money refused: no approval, a cap, a freeze, somebody else's edit, a lease held by another run."""

    exit_code = 4


class TryAgain(JobError):
    """A passing fault (quota, timeout): the same command may succeed later."""

    exit_code = 75


class NothingToDo(JobError):
    """The job's work does not exist today; downstream tasks are skipped."""

    exit_code = 99
