"""Airflow on this machine: api-server, scheduler, dag-processor and triggerer, bound to loopback, stopped by their own pids.

SQLite in WAL mode holds Airflow's metadata: measured with the LocalExecutor of Airflow 3.3.1 it never answered "database is
locked" (docs/how-to/airflow.md), and it needs no server, no user and no port. Everything lives under ``.local/airflow``.
"""

import argparse
import base64
import configparser
import contextlib
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_api import AirflowApi, AirflowApiError

ROOT = Path(__file__).resolve().parents[1]
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
OPERATOR, APPROVER = "operator", "approver"  # who triggers and who answers: an own approval is refused, so they differ
POOLS = {
    "gates": (4, "sensors that wait for a person; they must not hold the slots of working tasks"),
    "mutations": (1, "one slot: two mutating tasks never run at once"),
}


def state_dir() -> Path:
    """The folder of all local state: ``AELP2_LOCAL_DIR``, or ``.local`` in the checkout."""
    return Path(os.environ.get("AELP2_LOCAL_DIR") or ROOT / ".local").resolve()


def reserve_port(wanted: int | None) -> socket.socket:
    """Port ``wanted`` of the loopback interface, or another one where somebody has it, kept until the socket is closed.

    Nobody listens on the socket, so a server that sets SO_REUSEADDR, as uvicorn does, can have the port; the kernel gives it to
    no other program that asks for any free port, be it a server or a client.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind(("127.0.0.1", wanted or 0))
    except OSError:
        held.bind(("127.0.0.1", 0))
    return held


def write_private(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` so that only this user can read it, from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def process_start(pid: int) -> str | None:
    """When process ``pid`` started (kernel ticks since boot), or None if it is gone. Pid and start name one process for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state == "Z" else rest[18]


@dataclass(frozen=True)
class LocalAirflow:
    """One Airflow installation in ``home``; the methods start, watch and stop it."""

    home: Path
    dags: Path = ROOT / "dags"
    plugins: Path = ROOT / "plugins"

    @property
    def config(self) -> configparser.RawConfigParser:
        """Its airflow.cfg."""
        parser = configparser.RawConfigParser()
        parser.read(self.home / "airflow.cfg", encoding="utf-8")
        return parser

    @property
    def url(self) -> str:
        """Where its UI and REST API answer."""
        return f"http://127.0.0.1:{self.config['api']['port']}"

    def password(self, user: str) -> str:
        """The password of ``user``, from the file only this user of the machine can read."""
        passwords: dict[str, str] = json.loads((self.home / "passwords.json").read_text(encoding="utf-8"))
        return passwords[user]

    def api(self, user: str) -> AirflowApi:
        """A REST client logged in as ``user``."""
        return AirflowApi(self.url, user, self.password(user))

    def log_file(self, component: str) -> Path:
        """Where ``component`` writes what it says."""
        return self.home / "components" / f"{component}.log"

    def configure(self) -> socket.socket:
        """Write airflow.cfg, secrets and passwords once; later calls keep the secrets and only take new paths.

        What keeps its port free for the api-server: to be closed when that listens.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        old = self.config
        held = reserve_port(old.getint("api", "port", fallback=None))
        port = held.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        sections: dict[str, dict[str, object]] = {
            "core": {
                "dags_folder": self.dags,
                "plugins_folder": self.plugins,
                "executor": "LocalExecutor",
                "parallelism": 4,
                "load_examples": False,
                "dagbag_import_timeout": 300,
                "fernet_key": old.get("core", "fernet_key", fallback=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()),
                "simple_auth_manager_users": f"{OPERATOR}:op,{APPROVER}:user",
                "simple_auth_manager_passwords_file": self.home / "passwords.json",
                "execution_api_server_url": f"{url}/execution/",
                # A reverse lookup of the host name can hang where there is no DNS.
                "hostname_callable": "socket.gethostname",
            },
            "database": {"sql_alchemy_conn": f"sqlite:///{self.home / 'airflow.db'}?timeout=60"},
            "api": {
                "host": "127.0.0.1",
                "port": port,
                "base_url": url,
                "secret_key": old.get("api", "secret_key", fallback=secrets.token_urlsafe(32)),
            },
            "api_auth": {"jwt_secret": old.get("api_auth", "jwt_secret", fallback=secrets.token_urlsafe(48))},
            "scheduler": {
                "scheduler_idle_sleep_time": 0.2,
                "scheduler_heartbeat_sec": 1,  # the loop answers an approval after a beat
                "trigger_timeout_check_interval": 2,
                "scheduler_health_check_threshold": 300,  # one that was busy for a minute is not dead
            },
            "dag_processor": {
                "parsing_processes": 1,
                "min_file_process_interval": 60,
                "refresh_interval": 60,
                # A busy machine must not turn a slow parse into an import error.
                "dag_file_processor_timeout": 600,
                "health_check_threshold": 300,
            },
            "triggerer": {"triggerer_health_check_threshold": 300},
            "workers": {"execution_api_timeout": 120},
            "logging": {"colored_console_log": False, "dag_processor_log_target": "file"},
            "usage_data_collection": {"enabled": False},
        }
        lines = [f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in options.items()) for name, options in sections.items()]
        write_private(self.home / "airflow.cfg", "\n".join(lines))
        if not (self.home / "passwords.json").exists():
            users = {user: secrets.token_urlsafe(18) for user in (OPERATOR, APPROVER)}
            write_private(self.home / "passwords.json", json.dumps(users) + "\n")
        return held

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        """What the components inherit: this process's environment without foreign Airflow settings, plus ``extra``."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
        return kept | {"AIRFLOW_HOME": str(self.home), "PYTHONUNBUFFERED": "1", "AELP2_RUNNER": "local"} | extra

    def _prepare_database(self) -> None:
        """Make the file private and switch it to WAL for good, so that readers and the writer do not block each other."""
        database = self.home / "airflow.db"
        if not database.exists():
            write_private(database, "")
        with contextlib.closing(sqlite3.connect(database)) as connection:
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise RuntimeError(f"{database} refused WAL (journal mode {mode!r}); is .local on a network file system?")

    def running(self) -> dict[str, int]:
        """Component → pid of those of our components that run now."""
        found: dict[str, int] = {}
        for component in COMPONENTS:
            try:
                pid, started = (self.home / "pids" / component).read_text(encoding="utf-8").split()
            except (FileNotFoundError, ValueError):
                continue
            if process_start(int(pid)) == started:
                found[component] = int(pid)
        return found

    def start(self, extra_env: Mapping[str, str], say: Callable[[str], None] = print, timeout_s: float = 900) -> None:
        """Start all four components with ``extra_env`` for the tasks and return once every one reports healthy.

        Components that already run are stopped first: they would keep an older environment.
        """
        begun = time.monotonic()
        self.stop()
        with self.configure():
            self._prepare_database()
            say(f"Airflow: starting {', '.join(COMPONENTS)}; logs in {self.home / 'components'}")
            self._spawn(self.environment(extra_env))
            self._wait_until_healthy(begun + timeout_s)
        api = self.api(OPERATOR)
        for name, (slots, why) in POOLS.items():
            api.put_pool(name, slots, why)
        expected = {path.stem for path in self.dags.glob("*.py")}
        self._wait_for_dags(api, expected, begun + timeout_s)
        say(f"Airflow: up in {time.monotonic() - begun:.0f} s at {self.url} ({len(expected)} DAGs)")

    def _spawn(self, env: Mapping[str, str]) -> None:
        """Start all components (see airflow_components.py) and write down which processes they are."""
        logs = self.home / "components"
        logs.mkdir(exist_ok=True)
        command = [sys.executable, str(Path(__file__).with_name("airflow_components.py")), str(logs), *COMPONENTS]
        with (logs / "start.log").open("wb") as out:
            process = subprocess.Popen(
                command, env=dict(env), cwd=self.home, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
            code = process.wait()
        said = (logs / "start.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if code:
            tail = "\n".join(said[-15:])
            raise RuntimeError(f"Airflow did not start (exit code {code}); see {logs / 'start.log'}\n{tail}")
        for component, pid in json.loads(said[-1]).items():
            write_private(self.home / "pids" / component, f"{pid} {process_start(pid)}\n")

    def check_alive(self) -> None:
        """RuntimeError if one of the components has ended by itself."""
        for component in COMPONENTS:
            if component not in self.running():
                said = self.log_file(component).read_text(encoding="utf-8", errors="replace")
                tail = "\n".join(said.splitlines()[-15:])
                raise RuntimeError(f"Airflow's {component} ended by itself; see {self.log_file(component)}\n{tail}")

    def wait_until_parked(self, dag_id: str, run_id: str, task_id: str, timeout_s: float = 900) -> None:
        """Return once the scheduler has read that the process of a task that waits (for a person, or deferred) is over.

        Where the answer comes first and the task is queued again, Airflow 3.3.1 takes that late message for the end of the new
        part and fails the task; on a busy machine seconds go by. No person is that fast, and no script should be.
        """
        tries = {task["task_id"]: task["try_number"] for task in self.api(OPERATOR).tasks(dag_id, run_id)}
        # The number of the try: of a task that was cleared and waits again the log has told before.
        key = f"TaskInstanceKey(dag_id='{dag_id}', task_id='{task_id}', run_id='{run_id}', try_number={tries[task_id]},"
        heard = f"Received executor event with state success for task instance {key}"
        log, deadline = self.log_file("scheduler"), time.monotonic() + timeout_s
        while heard not in log.read_text(encoding="utf-8", errors="replace"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{dag_id}.{task_id} is not parked by the scheduler after {timeout_s:.0f} s; see {log}")
            time.sleep(0.3)

    def _wait_until_healthy(self, deadline: float) -> None:
        waiting: object = "no answer yet"
        while time.monotonic() < deadline:
            self.check_alive()
            try:
                health = AirflowApi.health(self.url)
            except AirflowApiError as error:
                waiting = error
            else:
                waiting = {name: part["status"] for name, part in health.items() if part["status"] != "healthy"}
                if not waiting:
                    return
            time.sleep(0.5)
        raise RuntimeError(f"Airflow is not healthy in time: {waiting}; see {self.home / 'components'}")

    def _wait_for_dags(self, api: AirflowApi, expected: set[str], deadline: float) -> None:
        found: set[str] = set()
        while time.monotonic() < deadline:
            self.check_alive()
            if errors := api.import_errors():
                raise RuntimeError("DAG files with errors:\n" + "\n".join(errors))
            found = api.dag_ids()
            if found == expected:
                return
            time.sleep(0.5)
        raise RuntimeError(f"Airflow lists the DAGs {sorted(found)}; the files in {self.dags} are {sorted(expected)}")

    def stop(self, timeout_s: float = 60) -> None:
        """End our components: SIGTERM to each, then SIGKILL to the process group of one that does not end in time."""
        running = self.running()
        for pid in running.values():
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        while self.running() and time.monotonic() < deadline:
            self._reap(running.values())
            time.sleep(0.1)
        for pid in self.running().values():
            os.killpg(pid, signal.SIGKILL)
        self._reap(running.values())
        for component in COMPONENTS:
            (self.home / "pids" / component).unlink(missing_ok=True)

    @staticmethod
    def _reap(pids: object) -> None:
        for pid in list(pids):  # type: ignore[call-overload]
            with contextlib.suppress(ChildProcessError):  # started by an earlier command: not our child to wait for
                os.waitpid(pid, os.WNOHANG)


def local_airflow() -> LocalAirflow:
    """The installation of this checkout."""
    return LocalAirflow(state_dir() / "airflow")


def main() -> None:
    """Start, stop or look at the local Airflow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["start", "stop", "status"])
    action = parser.parse_args().action
    airflow = local_airflow()
    if action == "start":
        airflow.start({"AELP2_CLI": os.environ.get("AELP2_CLI", str(ROOT / ".venv/bin/aelp2"))})
    elif action == "stop":
        airflow.stop()
        print("Airflow: stopped")
    else:
        running = airflow.running()
        for component in COMPONENTS:
            print(f"{component:14} {running.get(component, 'not running')}  log: {airflow.log_file(component)}")


if __name__ == "__main__":
    main()
