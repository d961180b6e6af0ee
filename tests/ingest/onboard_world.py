"""`aelp2 onboard` as a process of its own on a sandbox with every platform; what it says, stores and shows to others."""

import os
import pty
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.lab.files import write_private
from tasks.lab.process import RunningSandbox
from tasks.platforms import adapter_of

RUN = "import sys; from tasks.cli import main; main(sys.argv[1:])"
FOLDERS = {"right": "credentials", "expired": "credentials_expired", "limited": "credentials_limited"}


@dataclass(frozen=True)
class Ended:
    """How it ended, and every command line that its process had."""

    code: int
    out: str
    err: str
    command_lines: str

    @property
    def said(self) -> str:
        """All it printed."""
        return self.out + self.err


@dataclass
class Onboarding:
    """One machine: credentials folder, warehouse, salt, policy; pointed at ``sandbox``."""

    sandbox: RunningSandbox
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = {
            "AELP2_CREDENTIALS_DIR": str(self.home),
            "AELP2_DUCKDB_PATH": str(self.folder / "w.duckdb"),
            "AELP2_NAME_SALT_FILE": str(self.folder / "salt"),
            "AELP2_NOW": f"{self.sandbox.endpoint['today']}T06:00:00+00:00",
        }
        given = {k: v for k, v in self.sandbox.env.items() if k.startswith("AELP2_") and k.endswith("_ENDPOINT")}
        roots = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
        self.env = {roots: self.sandbox.env[roots]} | given | own | self.env

    @property
    def home(self) -> Path:
        """The credentials folder."""
        return self.folder / "credentials"

    @property
    def warehouse(self) -> DuckDBWarehouse:
        """What is on record."""
        return DuckDBWarehouse(self.folder / "w.duckdb")

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        """`aelp2 onboard …` under way; standard input is no terminal."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AELP2_")}
        return subprocess.Popen(
            [sys.executable, "-c", RUN, "onboard", *arguments],
            env={**clean, **self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        """The same to its end, watched in the process list meanwhile."""
        process = self.start(*arguments, env=env)
        seen: set[str] = set()
        while process.poll() is None:
            seen |= _command_lines(process.pid)
            time.sleep(0.05)
        out, err = process.communicate()
        return Ended(process.returncode, out, err, "\n".join(seen))

    def at_terminal(self, platform: str, *, answers: Mapping[str, str]) -> str:
        """`aelp2 onboard PLATFORM` with a person who types ``answers``; all that the terminal showed, echo included."""
        master, slave = pty.openpty()
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AELP2_")}
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, "onboard", platform],
            env={**clean, **self.env},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,  # its terminal is this one, not the test runner's
        )
        os.close(slave)
        shown, wanted = "", list(adapter_of(platform).credential_fields)
        while True:
            try:
                read = os.read(master, 4096)
            except OSError:  # Linux says so when the other side is closed
                break
            shown += read.decode()
            if wanted and f"{wanted[0].name} (" in shown and shown.endswith(": "):
                asked = wanted.pop(0)
                given_up = time.monotonic() + 60  # a person is no faster than the prompt, and would type at one that shows all
                while asked.is_secret and termios.tcgetattr(master)[3] & termios.ECHO and time.monotonic() < given_up:
                    time.sleep(0.01)
                os.write(master, f"{answers[asked.name]}\n".encode())
        os.close(master)
        process.wait(timeout=1200)
        return shown

    def credentials(self, platform: str, standing: str) -> dict[str, str] | None:
        """Field → value of credentials that are right, expired, limited or wrong; None where the platform knows no such."""
        if platform == "google_ads":
            config = yaml.safe_load(Path(self.sandbox.env["AELP2_GOOGLE_ADS_CONFIG"]).read_text())
            names = {f.name for f in adapter_of(platform).credential_fields}
            right = {name: str(value) for name, value in config.items() if name in names}
            changes = {
                "right": {},
                "wrong": {"developer_token": "canary-developer-token-1"},
                "limited": {"login_customer_id": "9999999999"},
            }
            return right | changes[standing] if standing in changes else None
        home = Path(self.sandbox.endpoint["credentials_dir"])
        values = yaml.safe_load((home.with_name(FOLDERS.get(standing, "credentials")) / f"{platform}.yaml").read_text())
        good = {name: str(value) for name, value in values.items()}
        if standing == "wrong":
            secret = {f.name for f in adapter_of(platform).credential_fields if f.is_secret}
            return {name: f"canary-{name}-{'x' * 24}" if name in secret else value for name, value in good.items()}
        return good

    def environment(self, platform: str, values: Mapping[str, str]) -> dict[str, str]:
        """The variables that hold ``values``."""
        return {f.env: values[f.name] for f in adapter_of(platform).credential_fields if f.name in values}

    def file(self, values: Mapping[str, str]) -> Path:
        """A private file with ``values``."""
        path = self.folder / "given.yaml"
        write_private(path, yaml.safe_dump(dict(values)))
        return path


def secrets(platform: str, values: Mapping[str, str]) -> list[str]:
    """The secret ones of ``values``."""
    return [values[f.name] for f in adapter_of(platform).credential_fields if f.is_secret and f.name in values]


def _command_lines(pid: int) -> set[str]:
    """Of the process, with its environment left out: that is its owner's alone."""
    try:
        return {Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()}
    except (FileNotFoundError, ProcessLookupError):
        return set()
