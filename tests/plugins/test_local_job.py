"""A job as a process: exit codes, XCom, environment, kill."""

import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aelp2_airflow.containers import Container
from aelp2_airflow.local_job import LocalJobOperator
from aelp2_airflow.simulated_clock import set_clock, simulated_now
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, AirflowTaskTimeout


def _program(folder: Path, body: str) -> str:
    """A program that stands where `aelp2` stands."""
    program = folder / "aelp2"
    program.write_text(f"#!{sys.executable}\nimport json, os, pathlib, signal, sys, time\n{body}\n", encoding="utf-8")
    program.chmod(0o755)
    return str(program)


def _operator(*, xcom: bool = False) -> LocalJobOperator:
    operator = LocalJobOperator(
        task_id="fit_mmm", container=Container("fit-mmm"), arguments=["fit-mmm", "--run-date", "2026-03-02"], xcom=xcom
    )
    operator.actor = "operator"
    return operator


@pytest.mark.parametrize(
    ("code", "expected", "is_final", "kind"),
    [
        (1, AirflowException, False, "job_error"),
        (2, AirflowFailException, True, "usage"),
        (3, AirflowFailException, True, "gate"),
        (4, AirflowFailException, True, "guard"),
        (75, AirflowException, False, "passing"),
        (99, AirflowSkipException, False, None),
    ],
)
def test_exit_codes(
    code: int, expected: type[Exception], is_final: bool, kind: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """99 skips; 2, 3 and 4 fail without another try; 1 and 75 may be tried again. The message names code and meaning, the alert
    gets the kind."""
    monkeypatch.setenv("AELP2_CLI", _program(tmp_path, f"sys.exit({code})"))
    with pytest.raises(expected, match=f"aelp2 fit-mmm ended with exit code {code} ") as raised:
        _operator().execute({})
    assert is_final == isinstance(raised.value, AirflowFailException)
    assert getattr(raised.value, "kind", None) == kind


@pytest.mark.parametrize(("signal", "code", "kind"), [("SIGKILL", 137, "out_of_memory"), ("SIGTERM", 143, "evicted")])
def test_a_job_that_a_signal_ends_is_told_apart(
    signal: str, code: int, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a pod: killed is mostly short of memory, terminated is from outside. Both may be tried again."""
    monkeypatch.setenv("AELP2_CLI", _program(tmp_path, f"os.kill(os.getpid(), signal.{signal}); time.sleep(3600)"))
    with pytest.raises(AirflowException, match=f"exit code {code} ") as raised:
        _operator().execute({})
    assert (raised.value.kind, isinstance(raised.value, AirflowFailException)) == (kind, False)  # type: ignore[attr-defined]


def test_a_local_job_that_runs_out_of_time_is_ended_and_called_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's timeout ends the process, and the alert calls it a deadline.

    The job rings the alarm that the timeout has set, as soon as its output is being read: a real second might be over before
    it began.
    """
    from aelp2_airflow.failure_kinds import of_exception
    from airflow.sdk.execution_time.task_runner import _run_execute_callable

    body = f"""
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
print("x" * 2**20, flush=True)  # more than a pipe holds
os.kill(os.getppid(), signal.SIGALRM)
while True:  # a reader that the alarm meets right before it waits looks at it once there is something to read
    print("on and on", flush=True)
    time.sleep(0.1)
"""
    monkeypatch.setenv("AELP2_CLI", _program(tmp_path, body))
    operator = _operator()
    operator.execution_timeout = timedelta(hours=1)
    with pytest.raises(AirflowTaskTimeout) as raised:
        _run_execute_callable({}, operator.execute, operator)
    assert of_exception(raised.value) == "deadline"
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def test_xcom_is_what_the_job_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The JSON in AELP2_XCOM_FILE becomes the result, and only if it was asked for."""
    body = "f = os.environ.get('AELP2_XCOM_FILE')\nif f: pathlib.Path(f).write_text(json.dumps({'argv': sys.argv[1:]}))"
    monkeypatch.setenv("AELP2_CLI", _program(tmp_path, body))
    assert _operator(xcom=True).execute({}) == {"argv": ["fit-mmm", "--run-date", "2026-03-02"]}
    assert _operator().execute({}) is None


def test_the_job_inherits_settings_but_not_airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AELP2_* settings and the actor reach the job; Airflow's own variables and interpreter paths do not."""
    body = "pathlib.Path(os.environ['AELP2_XCOM_FILE']).write_text(json.dumps(dict(os.environ)))"
    monkeypatch.setenv("AELP2_CLI", _program(tmp_path, body))
    monkeypatch.setenv("AELP2_MODE", "live")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    seen = _operator(xcom=True).execute({})
    assert (seen["AELP2_MODE"], seen["AELP2_ACTOR"]) == ("live", "operator")
    assert not [name for name in seen if name.startswith(("AIRFLOW", "PYTHONPATH"))]
    assert "AELP2_NOW" not in seen  # without a simulated clock the job reads the real one


def test_simulated_time_reaches_the_job_and_runs_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock file the job's now is the simulated instant plus the real time since it was set."""
    clock = tmp_path / "clock.json"
    simulated, real = datetime(2026, 3, 2, 6, tzinfo=UTC), datetime(2026, 11, 24, 12, tzinfo=UTC)
    set_clock(clock, simulated, real)
    assert simulated_now(clock, real + timedelta(seconds=90)) == simulated + timedelta(seconds=90)
    set_clock(clock, simulated)
    body = "pathlib.Path(os.environ['AELP2_XCOM_FILE']).write_text(json.dumps(os.environ['AELP2_NOW']))"
    monkeypatch.setenv("AELP2_CLI", _program(tmp_path, body))
    monkeypatch.setenv("AELP2_CLOCK_FILE", str(clock))
    passed = datetime.fromisoformat(_operator(xcom=True).execute({})) - simulated
    assert timedelta(0) <= passed < timedelta(hours=1)


def test_a_killed_task_ends_the_whole_process_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """on_kill sends SIGTERM to the job and to what the job started."""
    body = f"""
child = os.fork()
mark = pathlib.Path({str(tmp_path)!r})
name = "child" if child == 0 else "job"
def end(*_):
    (mark / f"{{name}}.ended").touch()
    os._exit(0 if name == "child" else 143)
signal.signal(signal.SIGTERM, end)
(mark / f"{{name}}.ready").touch()
time.sleep(3600)
"""
    monkeypatch.setenv("AELP2_CLI", _program(tmp_path, body))
    monkeypatch.setattr("aelp2_airflow.local_job._GRACE_S", 600)
    operator = _operator()
    errors: list[Exception] = []

    def run() -> None:
        try:
            operator.execute({})
        except AirflowException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 600
    while not all((tmp_path / f"{name}.ready").exists() for name in ("job", "child")) and time.monotonic() < deadline:
        time.sleep(0.05)
    operator.on_kill()
    thread.join(600)
    assert not thread.is_alive()
    while not (tmp_path / "child.ended").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sorted(path.name for path in tmp_path.glob("*.ended")) == ["child.ended", "job.ended"]
    assert "143" in str(errors[0])


def test_without_a_program_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """AELP2_CLI names the program; nothing is guessed."""
    monkeypatch.delenv("AELP2_CLI", raising=False)
    with pytest.raises(AirflowException, match="AELP2_CLI is not set"):
        _operator().execute({})
