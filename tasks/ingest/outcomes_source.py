"""Fetching a CSV that the business publishes: a file, or an http(s) address."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tasks.core.errors import JobError, TryAgain

TIMEOUT_SECONDS = 60
MAX_BYTES = 100 * 1024 * 1024


def without_query(address: str) -> str:
    """``address`` fit for a message: user, password and query, which may hold a key, are left out."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return address
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit((parts.scheme, f"{parts.hostname}{port}", parts.path, "", ""))


def fetch(address: str, variable: str, start: date, end: date) -> str:
    """Text of ``address``; ``{start}`` and ``{end}`` in it become the first and last day wanted.

    ``variable`` is the setting it came from, for messages. TryAgain if the server does not answer or answers 5xx or 429,
    JobError for anything a person must mend.
    """
    shown = without_query(address)
    address = address.replace("{start}", start.isoformat()).replace("{end}", end.isoformat())
    if urlsplit(address).scheme in ("http", "https"):
        raw = download(address, shown, variable)
    else:
        path = Path(address)
        if not path.is_file():
            raise JobError(f"{variable}={shown}: there is no such file; give a file or an http(s) address")
        raw = path.read_bytes()
    if len(raw) > MAX_BYTES:
        raise JobError(f"{variable}={shown} is larger than {MAX_BYTES:,} bytes; is it the daily table?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise JobError(f"{variable}={shown}: line {line} is not UTF-8; export it as CSV (UTF-8)") from None


def download(address: str, shown: str, variable: str) -> bytes:
    """Bytes of an http(s) address, at most one more than MAX_BYTES; errors as :func:`fetch`."""
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - the scheme was checked
            body: bytes = answer.read(MAX_BYTES + 1)
            return body
    except urllib.error.HTTPError as error:
        kind = TryAgain if error.code >= 500 or error.code == 429 else JobError
        raise kind(f"{variable}={shown} answers HTTP {error.code} {error.reason}; check the address and its access") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise TryAgain(f"{variable}={shown} cannot be reached ({reason}); check the address and run again") from None
