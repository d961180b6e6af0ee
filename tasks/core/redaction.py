"""Names leave the ad platforms only as salted hashes: equal names stay equal, and nobody can read them back."""

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from tasks.core.errors import JobError


def refuse_shared_file(path: Path, what: str) -> None:
    """JobError unless only the owner can read ``path``."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise JobError(f"{what} {path} has mode {mode:04o}: others on this machine can reach it; run chmod 600 {path}")


def load_salt(path: Path) -> bytes:
    """The salt in ``path``; made once (32 random bytes, mode 0600) if there is none.

    Back it up: hashes made with another salt never match those already stored. JobError if others can read the file.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        candidate = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        candidate.touch(mode=0o600)
        candidate.write_text(secrets.token_hex(32), encoding="ascii")
        try:
            os.link(candidate, path)  # fails if another process was first, so that both use its salt
        except FileExistsError:
            pass
        finally:
            candidate.unlink()
    refuse_shared_file(path, "the salt file")
    salt = path.read_bytes().strip()
    if len(salt) < 32:
        raise JobError(f"the salt file {path} holds {len(salt)} bytes, fewer than 32; restore it from its backup")
    return salt


def hash_name(name: str | None, salt: bytes) -> str | None:
    """HMAC-SHA-256 of ``name`` under ``salt`` as 64 hex digits; None for an absent or blank name."""
    if name is None or not name.strip():
        return None
    return hmac.new(salt, name.strip().encode(), hashlib.sha256).hexdigest()
