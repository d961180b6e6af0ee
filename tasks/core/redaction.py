"""Names leave the ad platforms only as salted hashes: equal names stay equal, and nobody can read them back."""

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from tasks.core.errors import JobError


def refuse_shared_file(path: Path, what: str) -> None:
    """JobError unless only the owner can read ``path``, or it is a mounted Kubernetes secret.

    The kubelet hands a secret to a pod without root as root's, mode 0440, of the pod's own group; no mode asked for changes that
    (``fsGroup`` adds the group's right to read). Nobody else is in that container.
    """
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    is_mounted_secret = found.st_uid == 0 != os.geteuid() and found.st_gid == os.getegid()
    if mode & (0o037 if is_mounted_secret else 0o077):
        raise JobError(f"{what} {path} has mode {mode:04o}: others on this machine can reach it; run chmod 600 {path}")


def load_salt(path: Path, *, may_create: bool) -> bytes:
    """The salt in ``path``; with ``may_create`` made once (32 random bytes, mode 0600) if there is none.

    Back it up: hashes made with another salt never match those already stored. JobError if others can read the file, or if there
    is none and none may be made: a pod's own disk is gone after the job, so a salt made there would be another one every day.
    """
    if not path.exists():
        if not may_create:
            raise JobError(
                f"the salt file {path} (AELP2_NAME_SALT_FILE) does not exist, and a warehouse that others share takes no salt of "
                "this machine alone; make one with `openssl rand -hex 32`, keep a backup, and mount it"
            )
        try:
            _make_salt(path)
        except OSError as error:
            raise JobError(
                f"the salt file {path} (AELP2_NAME_SALT_FILE) does not exist and cannot be made there: {error.strerror}; "
                "mount one, or name a place that can be written"
            ) from None
    refuse_shared_file(path, "the salt file")
    salt = path.read_bytes().strip()
    if len(salt) < 32:
        raise JobError(f"the salt file {path} holds {len(salt)} bytes, fewer than 32; restore it from its backup")
    return salt


def _make_salt(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    candidate = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    candidate.touch(mode=0o600)
    try:
        candidate.write_text(secrets.token_hex(32), encoding="ascii")
        os.link(candidate, path)  # fails if another process was first, so that both use its salt
    except FileExistsError:
        pass
    finally:
        candidate.unlink()


def hash_name(name: str | None, salt: bytes) -> str | None:
    """HMAC-SHA-256 of ``name`` under ``salt`` as 64 hex digits; None for an absent or blank name."""
    if name is None or not name.strip():
        return None
    return hmac.new(salt, name.strip().encode(), hashlib.sha256).hexdigest()
