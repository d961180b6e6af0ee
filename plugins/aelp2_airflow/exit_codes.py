"""What the exit code of a job means for its task. The codes are those of `aelp2 --help`."""

from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from aelp2_airflow.failure_kinds import Failure, error, of_exit_code

NOTHING_TO_DO = 99
MEANING = {
    1: "job error: something a person must mend",
    2: "usage: the arguments are wrong",
    3: "a gate says stop: the data or the model is not fit for the next step",
    4: "refused by a guard on money",
    75: "a passing fault: the same command may succeed later",
    NOTHING_TO_DO: "nothing to do",
    137: "killed: out of memory, or the machine went away",
    143: "ended from outside",
}
# The same command with the same data ends the same way: trying again only delays the alert.
FINAL = frozenset({2, 3, 4})


def failure(command: str, code: int) -> AirflowException:
    """The exception that gives the task the state that belongs to exit code ``code`` of ``aelp2 command``."""
    why = f"ended with exit code {code} ({MEANING.get(code, 'unexpected')}); its own words are above"
    if code == NOTHING_TO_DO:
        return AirflowSkipException(f"aelp2 {command} {why}")
    return error(command, Failure(of_exit_code(code), why, final=code in FINAL))
