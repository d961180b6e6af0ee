"""Reading the feature flags that AELP2_FLAGS names: a file, or GrowthBook's features endpoint. All of it, or an error."""

from __future__ import annotations

import json
import queue
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tasks.core.errors import JobError, TryAgain
from tasks.core.redaction import refuse_shared_file

if TYPE_CHECKING:
    from tasks.core.settings import Settings

DEADLINE_SECONDS = 10.0
MAX_BYTES = 5 * 1024 * 1024
_CLIENT_KEY = re.compile(r"[A-Za-z0-9_-]+")


def read_payload(settings: Settings) -> dict[str, Any]:
    """The features JSON. TryAgain if the service does not answer in time or is out of order, JobError for what a person mends."""
    place = settings.flags or ""
    if urlsplit(place).scheme in ("http", "https"):
        shown = urlsplit(place).hostname or "?"  # no more of it: the path may hold the client key
        raw = _fetch(_address(place, settings.flags_client_key_file), shown)
    else:
        shown = place
        if not Path(place).is_file():
            raise JobError(f"AELP2_FLAGS={shown}: there is no such file; give one, or an http(s) address, or unset it")
        raw = Path(place).read_bytes()
    try:
        payload = json.loads(raw)
        json.dumps(payload, ensure_ascii=False).encode()  # half a surrogate pair is no text, and no table takes it
    except (ValueError, RecursionError) as error:
        raise JobError(
            f"AELP2_FLAGS={shown} gives no JSON ({type(error).__name__}); is it the address of the features?"
        ) from None
    if not isinstance(payload, dict) or not isinstance(payload.get("features"), dict):
        raise JobError(f"AELP2_FLAGS={shown} gives JSON without a mapping `features`; encrypted payloads are not read")
    return payload


def _address(place: str, key_file: Path | None) -> str:
    """The features endpoint: the host with the key of the file, or the whole address as it was given."""
    if key_file is None:
        return place
    if not key_file.is_file():
        raise JobError(f"AELP2_FLAGS_CLIENT_KEY_FILE names {key_file}, which does not exist")
    refuse_shared_file(key_file, "the file of the GrowthBook client key")
    key = key_file.read_text(encoding="ascii", errors="replace").strip()
    if not _CLIENT_KEY.fullmatch(key):
        raise JobError(f"{key_file} holds no client key; one line such as sdk-abc123 is expected")
    return f"{place.rstrip('/')}/api/features/{key}"


def _fetch(address: str, shown: str) -> bytes:
    """Bytes of ``address``.

    In a thread that is not waited for: a socket's time limit holds for one read, so a server that sends a byte a second, or a
    name that is not resolved, would hold the job for as long as it likes.
    """
    answers: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_download(address)), daemon=True).start()
    try:
        found = answers.get(timeout=DEADLINE_SECONDS)
    except queue.Empty:
        raise TryAgain(f"AELP2_FLAGS={shown} did not answer within {DEADLINE_SECONDS:g} s; run again") from None
    if isinstance(found, urllib.error.HTTPError):
        kind = TryAgain if found.code >= 500 or found.code == 429 else JobError
        raise kind(f"AELP2_FLAGS={shown} answers HTTP {found.code}; check the address and the client key")
    if isinstance(found, OSError):
        raise TryAgain(f"AELP2_FLAGS={shown} cannot be reached ({getattr(found, 'reason', found)}); run again")
    if isinstance(found, Exception):
        # Its text may quote the address.
        raise JobError(f"AELP2_FLAGS={shown} is no proper address or answer ({type(found).__name__}); check it")
    if len(found) > MAX_BYTES:
        raise JobError(f"AELP2_FLAGS={shown} gives more than {MAX_BYTES:,} bytes; is it the address of the features?")
    return found


def _download(address: str) -> bytes | Exception:
    """The answer, or what went wrong, for the thread that waits."""
    try:
        with urllib.request.urlopen(address, timeout=DEADLINE_SECONDS) as answer:  # noqa: S310 - the scheme was checked
            body: bytes = answer.read(MAX_BYTES + 1)
            promised = int(answer.headers.get("Content-Length") or len(body))
    except Exception as error:  # handed over to the thread that waits, which raises it
        return error
    # A connection that breaks ends such a read without an error.
    return OSError("the answer was cut off") if len(body) < min(promised, MAX_BYTES + 1) else body
