"""A base image for machines that reach no registry: Debian's packages by mmdebstrap and this machine's Python 3.12.

For tests only. What is released stands on the base that images/Dockerfile pins by digest; scripts/images.py keeps them apart.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from podman import environment, inspect, install_line, podman

NAME = "localhost/aelp2-base"
_SUITE = "bookworm"
# What Python's extension modules are linked against, certificates, and pgrep for the XCom sidecar.
_PACKAGES = (
    *("ca-certificates", "libbz2-1.0", "libexpat1", "libffi8", "libgomp1", "liblzma5", "libncursesw6", "libreadline8"),
    *("libsqlite3-0", "libssl3", "libstdc++6", "libuuid1", "procps", "zlib1g"),
)
_NOT_NEEDED = ("lib/python3.12/test", "lib/python3.12/site-packages", "lib/python3.12/config-*", "lib/python3.12/idlelib")
_MODULES = "bz2, ctypes, curses, hashlib, lzma, readline, sqlite3, ssl, uuid, zlib, xml.parsers.expat"


def _fingerprint() -> str:
    return hashlib.sha256(Path(__file__).read_bytes() + sys.version.encode()).hexdigest()[:16]


def _check() -> Path:
    """The prefix of this Python, if a base can be made of it here."""
    if not shutil.which("mmdebstrap"):
        sys.exit(f"The base for tests needs mmdebstrap, which this machine lacks. On Debian 12:\n  {install_line('mmdebstrap')}")
    release = Path("/etc/os-release").read_text(encoding="utf-8") if Path("/etc/os-release").exists() else ""
    if f"VERSION_CODENAME={_SUITE}" not in release:
        sys.exit(f"The base for tests is made on Debian 12 ({_SUITE}) only. Elsewhere name one: BASE_IMAGE=reference make image")
    prefix = Path(sys.base_prefix)
    if prefix == Path("/usr"):
        sys.exit(
            "The base for tests copies a Python 3.12 with a prefix of its own (pyenv's, for example); this one is the system's"
        )
    return prefix


def make(*, fresh: bool = False) -> str:
    """Build the base unless it is there as this script makes it; its name."""
    labels = inspect("image", NAME).get("Labels") or {}
    if not fresh and labels.get("aelp2.base") == _fingerprint():
        return NAME
    prefix = _check()
    copy = (
        f"tar -C {prefix} {' '.join(f'--exclude={path}' for path in _NOT_NEEDED)} --exclude='*.opt-[12].pyc' "
        '-cf - bin lib include | tar -C "$1/usr/local" -xf - && mkdir "$1/usr/local/lib/python3.12/site-packages"'
    )
    # dpkg syncs each file to the disk: on one in memory that is free.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    with tempfile.TemporaryDirectory(prefix="aelp2-base-", dir=memory) as scratch:
        Path(scratch).chmod(0o755)
        archive = Path(scratch) / "base.tar"
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=essential", f"--include={','.join(_PACKAGES)}", "--dpkgopt=force-unsafe-io"]
            + [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale")]
            + ['--aptopt=Acquire::Languages "none"', f"--customize-hook={copy}", '--customize-hook=ldconfig -r "$1"']
            + [_SUITE, str(archive), f"deb http://deb.debian.org/debian {_SUITE} main"],
            env={**environment(), "TMPDIR": scratch},
            check=True,
        )
        podman("import", "--quiet", "--change", f"LABEL aelp2.base={_fingerprint()}", str(archive), NAME)
    podman("run", "--rm", "--network=none", NAME, "python3.12", "-c", f"import {_MODULES}")
    return NAME
