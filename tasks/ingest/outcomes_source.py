"""Fetching a CSV that the business publishes: a file, or an http(s) address."""

from __future__ import annotations

import base64
import http.client
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from tasks.core.errors import JobError, TryAgain

TIMEOUT_SECONDS = 60
MAX_BYTES = 100 * 1024 * 1024


def without_query(address: str) -> str:
    """``address`` fit for a message: user, password and query, which may hold a key, are left out. JobError if it is none."""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise JobError(f"the address of a table is not one ({type(error).__name__} in host or port); mend it") from None
    if parts.scheme not in ("http", "https"):
        return address
    return urlunsplit((parts.scheme, f"{parts.hostname}{port}", parts.path, "", ""))


def fetch(address: str, variable: str, start: date, end: date) -> str:
    """Text of ``address``; see :func:`fetch_bytes`. JobError if it is no text or is too much of it."""
    return decoded(fetch_bytes(address, variable, start, end), f"{variable}={without_query(address)}")


def fetch_bytes(address: str, variable: str, start: date, end: date) -> bytes:
    """What lies at ``address``; ``{start}`` and ``{end}`` in it become the first and last day wanted.

    ``variable`` is the setting it came from, for messages. TryAgain if the server does not answer or answers 5xx or 429,
    JobError for anything a person must mend.
    """
    shown = without_query(address)
    address = address.replace("{start}", start.isoformat()).replace("{end}", end.isoformat())
    if urlsplit(address).scheme in ("http", "https"):
        return download(address, shown, variable)
    path = Path(address)
    if not path.is_file():
        raise JobError(f"{variable}={shown}: there is no such file; give a file or an http(s) address")
    return path.read_bytes()


def decoded(raw: bytes, name: str) -> str:
    """``raw`` as text; JobError if it is none or is too much of it. ``name`` says where it came from."""
    if len(raw) > MAX_BYTES:
        raise JobError(f"{name} is larger than {MAX_BYTES:,} bytes; is it the daily table?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise JobError(f"{name}: line {line} is not UTF-8; export it as CSV (UTF-8)") from None


def _request(address: str) -> urllib.request.Request:
    """A request for ``address``; user and password in it go as Basic authentication, and to no host it may be redirected to."""
    parts = urlsplit(address)
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))  # noqa: S310 - http(s)
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
    return request


def download(address: str, shown: str, variable: str) -> bytes:
    """Bytes of an http(s) address, at most one more than MAX_BYTES; errors as :func:`fetch`."""
    try:
        with urllib.request.urlopen(_request(address), timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - the scheme was checked
            body: bytes = answer.read(MAX_BYTES + 1)
            # A connection that breaks ends such a read without an error: half a table would pass for a whole one.
            promised = int(answer.headers.get("Content-Length") or len(body))
    except urllib.error.HTTPError as error:
        kind = TryAgain if error.code >= 500 or error.code == 429 else JobError
        raise kind(f"{variable}={shown} answers HTTP {error.code} {error.reason}; check the address and its access") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise TryAgain(f"{variable}={shown} cannot be reached ({reason}); check the address and run again") from None
    except http.client.HTTPException as error:
        # Its text may quote the address, which may hold a key.
        raise JobError(f"{variable}={shown} is no proper address or answer ({type(error).__name__}); check it") from None
    if len(body) < min(promised, MAX_BYTES + 1):
        raise TryAgain(f"{variable}={shown} was cut off after {len(body):,} of {promised:,} bytes; run again")
    return body
