"""Programs that a release runs: shown before they run, as argument lists, with errors that say what to do."""

import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

REMEDIES = {
    "git": "install git",
    "make": "install make",
    "podman": "install podman (docs/deploy.md has the line for Debian), or docker",
    "terraform": "install Terraform 1.9 or newer: https://developer.hashicorp.com/terraform/install",
    "gcloud": "install the Google Cloud CLI: https://cloud.google.com/sdk/docs/install, then `gcloud auth login`",
}
_LOCKED = "Error acquiring the state lock"


class ReleaseError(RuntimeError):
    """The release cannot go on; the message names the thing and the remedy."""


def missing_programs(names: Sequence[str]) -> list[str]:
    """Those of ``names`` that are not on PATH, each with how to get it."""
    return [f"{name} is not on PATH: {REMEDIES[name]}" for name in names if shutil.which(name) is None]


def foreign_machine() -> list[str]:
    """A problem where images built here would not start in the cluster, whose nodes are amd64."""
    here = platform.machine()
    if here in ("x86_64", "AMD64"):
        return []
    return [f"this machine is {here}, so its images would not start on the cluster's amd64 nodes; release from an amd64 machine"]


def builder() -> str:
    """The program that builds images: podman, or docker where there is no podman."""
    return "docker" if shutil.which("podman") is None and shutil.which("docker") else "podman"


class Programs:
    """Runs programs in ``root``; with ``dry`` it only says which, and looks at nothing but Git."""

    def __init__(self, root: Path, *, dry: bool = False, say: Callable[[str], None] = print) -> None:
        self.root = root
        self.dry = dry
        self.say = say

    def run(self, *arguments: str, stdin: str | None = None) -> None:
        """Show the command, run it with its output on this terminal; ReleaseError if it fails. ``stdin`` is never shown."""
        self.say(f"$ {shlex.join(arguments)}")
        if self.dry:
            return
        process = self._started(arguments, stdin)
        assert process.stdout is not None
        if stdin is not None:
            assert process.stdin is not None
            process.stdin.write(stdin)
            process.stdin.close()
        was_locked = False
        for line in process.stdout:
            was_locked = was_locked or _LOCKED in line
            self.say(line.rstrip("\n"))
        if code := process.wait():
            raise ReleaseError(
                f"{shlex.join(arguments)} ended with exit code {code}; its own words are above.{_hint(was_locked)}"
            )

    def _started(self, arguments: Sequence[str], stdin: str | None) -> "subprocess.Popen[str]":
        try:
            return subprocess.Popen(
                arguments,
                cwd=self.root,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except FileNotFoundError:
            raise ReleaseError(f"{arguments[0]} is not on PATH: {REMEDIES.get(arguments[0], 'install it')}") from None

    def read(self, *arguments: str, instead: str = "") -> str:
        """What a command that changes nothing prints; a dry run does not ask and takes ``instead``."""
        self.say(f"$ {shlex.join(arguments)}")
        return instead if self.dry else self.quietly(*arguments)

    def quietly(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """What a command prints, without showing it: for Git, which a dry run asks too, and for what holds a secret."""
        try:
            done = subprocess.run(arguments, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise ReleaseError(f"{arguments[0]} is not on PATH: {REMEDIES.get(arguments[0], 'install it')}") from None
        if done.returncode:
            raise ReleaseError(f"{shlex.join(arguments)} ended with exit code {done.returncode}: {done.stderr.strip()[-600:]}")
        return done.stdout.strip()

    def ask(self, question: str, *, yes: bool) -> None:
        """Go on only if a person says so, or said so before with --yes; ReleaseError else."""
        if self.dry or yes:
            self.say(f"{question} {'asked here' if self.dry else 'yes (--yes)'}")
            return
        if not sys.stdin.isatty():
            raise ReleaseError(
                f"{question} Nobody is at this terminal to answer; look at the plan above, then run again with --yes"
            )
        if input(f"{question} Type yes to go on: ").strip() != "yes":
            raise ReleaseError("nothing was applied, because the answer was not yes")


def _hint(was_locked: bool) -> str:
    if not was_locked:
        return " Mend that and run the same command again: what is done is not done twice."
    return (
        " Another release holds the lock of Terraform's state. Wait until it ends and run this again. If it died, "
        "`terraform force-unlock` with the ID shown, once you are sure that nobody applies."
    )
