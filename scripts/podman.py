"""podman as this project calls it: its own settings, and errors that say what is missing and how to get it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Without recommends: they bring a second network stack and a desktop's keyring.
PACKAGES = ("podman", "runc", "catatonit", "netavark", "aardvark-dns", "iptables")
_PROGRAMS = ("podman", "runc", "catatonit")


def install_line(*packages: str) -> str:
    """The command that installs them on Debian."""
    return "apt-get update && apt-get install -y --no-install-recommends " + " ".join(packages)


def require() -> None:
    """End with the remedy where a program is missing."""
    paths = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [program for program in _PROGRAMS if not shutil.which(program, path=paths)]
    if missing:
        sys.exit(f"Images need {', '.join(missing)}, which this machine lacks. On Debian 12:\n  {install_line(*PACKAGES)}")


def environment() -> dict[str, str]:
    """The environment of podman: images/containers.conf, unless the caller named settings of their own."""
    return {"CONTAINERS_CONF": str(ROOT / "images" / "containers.conf"), **os.environ}


def podman(
    *arguments: str, check: bool = True, stdin: str | None = None, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run podman and keep what it says; a failure that is not asked about ends with its words."""
    done = subprocess.run(
        ["podman", *arguments],  # noqa: S607 - podman of the PATH
        env=environment(),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    if check and done.returncode:
        raise PodmanError(f"podman {arguments[0]} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done


class PodmanError(RuntimeError):
    """podman refused; the message carries its words."""


def inspect(kind: str, name: str) -> dict[str, Any]:
    """What podman knows of the image or container ``name``; empty if there is none."""
    done = podman(kind, "inspect", name, check=False)
    return dict(json.loads(done.stdout)[0]) if done.returncode == 0 else {}
