"""A job as a process of this machine: what `pod()` makes where there is no Kubernetes."""

import json
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException

from aelp2_airflow.containers import Container
from aelp2_airflow.exit_codes import failure
from aelp2_airflow.simulated_clock import simulated_now
from aelp2_airflow.templates import ACTOR, MACROS

_GRACE_S = 15  # between SIGTERM and SIGKILL: long enough to finish one row and write its receipt


class LocalJobOperator(BaseOperator):
    """Run ``aelp2 COMMAND ARGUMENTS`` (the program named by ``AELP2_CLI``) and stream what it says into the task's log.

    The job's exit code decides the task's state, see exit_codes. With ``xcom`` the JSON it writes to ``AELP2_XCOM_FILE`` becomes
    the task's result. A killed task ends the whole process group.
    """

    template_fields: Sequence[str] = ("arguments", "actor")
    ui_color = "#e6f0e6"

    def __init__(self, *, container: Container, arguments: Sequence[str], xcom: bool = False, **kwargs: Any) -> None:
        super().__init__(do_xcom_push=xcom, **kwargs)
        self.container = container
        self.arguments = list(arguments)
        self.actor = ACTOR
        self._process: subprocess.Popen[str] | None = None

    def _do_render_template_fields(self, parent: Any, template_fields: Any, context: Any, jinja_env: Any, seen_oids: Any) -> None:
        """Render with the words of `templates` at hand; this is where tasks and instances of a mapped task both come through."""
        super()._do_render_template_fields(parent, template_fields, {**context, **MACROS}, jinja_env, seen_oids)

    def _environment(self, xcom_file: Path) -> dict[str, str]:
        foreign = ("AIRFLOW", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")  # Airflow's interpreter is not the job's
        env = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        env |= {"AELP2_ACTOR": self.actor, "PYTHONUNBUFFERED": "1"}
        if self.do_xcom_push:
            env["AELP2_XCOM_FILE"] = str(xcom_file)
        if clock := os.environ.get("AELP2_CLOCK_FILE"):
            env["AELP2_NOW"] = simulated_now(Path(clock)).isoformat()
        return env

    def execute(self, context: Any) -> Any:  # noqa: ARG002 - Airflow's signature
        """Run the job; its XCom, or None."""
        cli = os.environ.get("AELP2_CLI")
        if not cli:
            raise AirflowException("AELP2_CLI is not set: it names the aelp2 program that local tasks run")
        with tempfile.TemporaryDirectory(prefix="aelp2-") as folder:
            xcom_file = Path(folder) / "return.json"
            self.log.info("$ aelp2 %s", shlex.join(self.arguments))
            self._process = subprocess.Popen(  # noqa: S603 - our own program, arguments as a list
                [cli, *self.arguments],
                env=self._environment(xcom_file),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                cwd=os.environ.get("AELP2_WORK_DIR") or None,
                start_new_session=True,
            )
            assert self._process.stdout is not None
            for line in self._process.stdout:
                self.log.info("%s", line.rstrip("\n"))
            code = self._process.wait()
            if code:
                raise failure(self.container.command, code if code > 0 else 128 - code)
            if self.do_xcom_push and xcom_file.exists():
                return json.loads(xcom_file.read_text(encoding="utf-8"))
        return None

    def on_kill(self) -> None:
        """Ask the job's process group to end, and end it if it does not."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
