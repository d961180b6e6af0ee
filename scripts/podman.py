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
_HELPERS = ("/usr/sbin", "/sbin", "/usr/libexec/podman", "/usr/libexec/catatonit")  # where distributions put what podman calls


def install_line(*packages: str) -> str:
    """The command that installs them on Debian."""
    return "apt-get update && apt-get install -y --no-install-recommends " + " ".join(packages)


def require() -> None:
    """End with the remedy where a program is missing."""
    paths = ":".join((os.environ.get("PATH", ""), *_HELPERS))
    # Somebody's own settings name a runtime of their own.
    wanted = ("podman",) if "CONTAINERS_CONF" in os.environ else ("podman", "runc", "catatonit")
    if missing := [program for program in wanted if not shutil.which(program, path=paths)]:
        sys.exit(
            f"Images need {', '.join(missing)}, which this machine lacks. On Debian 12:\n  {install_line(*PACKAGES)}\n"
            "With another runtime than runc name your own settings, for example CONTAINERS_CONF=/etc/containers/containers.conf"
        )


def environment() -> dict[str, str]:
    """The environment of podman: images/containers.conf, unless the caller named settings of their own."""
    return {"CONTAINERS_CONF": str(ROOT / "images" / "containers.conf"), **os.environ}


def podman(
    *arguments: str, check: bool = True, stdin: str | None = None, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run podman and keep what it says; a failure that is not asked about ends with its words."""
    try:
        done = subprocess.run(
            ["podman", *arguments],  # noqa: S607 - podman of the PATH
            env=environment(),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise PodmanError(f"podman {arguments[0]} did not end within {timeout:.0f} s") from None
    if check and done.returncode:
        raise PodmanError(f"podman {arguments[0]} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done


class PodmanError(RuntimeError):
    """podman refused; the message carries its words."""


def inspect(kind: str, name: str) -> dict[str, Any]:
    """What podman knows of the image or container ``name``; empty if there is none."""
    done = podman(kind, "inspect", name, check=False)
    return dict(json.loads(done.stdout)[0]) if done.returncode == 0 else {}
