"""What the exit code of a job means for its task. The codes are those of `aelp2 --help`."""

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

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
    message = f"aelp2 {command} ended with exit code {code} ({MEANING.get(code, 'unexpected')}); its own words are above"
    if code == NOTHING_TO_DO:
        return AirflowSkipException(message)
    return AirflowFailException(message) if code in FINAL else AirflowException(message)
