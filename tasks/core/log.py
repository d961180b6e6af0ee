"""Structured logs on stderr, one event a line; secrets and personal data are cut out before a line is written."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import date
from typing import Any

import structlog

# Bearer tokens, OAuth refresh tokens, PEM blocks, key=value secrets, e-mail addresses, international phone numbers.
_NAMES = r"access_token|input_token|refresh_token|client_secret|private_key|developer[-_]token|password|appsecret_proof"
_OPAQUE = r"ya29\.[\w.-]+|1//[\w-]{20,}|Bearer\s+[\w.~+/=-]+|-----BEGIN (?s:.)*?(?:-----END [\w ]+-----|\Z)"
_SENSITIVE = re.compile(
    rf"(?P<token>{_OPAQUE})"
    rf"|(?P<pair>(?:{_NAMES})[\"']?\s*[=:]\s*[\"']?)(?:{_OPAQUE}|[^\s\"'&,}}]+)"
    r"|(?P<email>[\w.+-]+@[\w-]+\.[\w.-]+)"
    r"|(?P<phone>\+\d[\d ()-]{8,}\d)",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)


def redact(text: str) -> str:
    """``text`` with tokens, secrets, e-mail addresses and phone numbers replaced by ``[redacted]``."""
    return _SENSITIVE.sub(lambda m: (m.group("pair") or "") + "[redacted]", text)


def _redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    """``value`` fit for a log: a secret by the name of its key, or anything sensitive inside it, is cut out."""
    if _SECRET_NAME.search(key):
        return "[redacted]"
    if value is None or isinstance(value, bool | int | float | date):
        return value
    if isinstance(value, Mapping):
        return {k: _clean(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(key, v) for v in value]
    return redact(str(value))


def configure(level: str = "INFO") -> None:
    """Send events of ``level`` and above to stderr as ``key=value`` lines."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redact_event,
            structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # looked up at each line: stderr may be another one by then
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose events carry ``name``."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(source=name)
    return logger
