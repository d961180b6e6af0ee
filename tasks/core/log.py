"""Structured logs on stderr, one event a line; secrets and personal data are cut out before a line is written."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# Bearer tokens, OAuth refresh tokens, key=value secrets, e-mail addresses, international phone numbers.
_SENSITIVE = re.compile(
    r"(?P<token>ya29\.[\w.-]+|1//[\w-]{20,}|Bearer\s+[\w.~+/=-]+)"
    r"|(?P<pair>(?:access_token|refresh_token|client_secret|developer[-_]token|password|appsecret_proof)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,}]+"
    r"|(?P<email>[\w.+-]+@[\w-]+\.[\w.-]+)"
    r"|(?P<phone>\+\d[\d ()-]{8,}\d)"
)


def redact(text: str) -> str:
    """``text`` with tokens, secrets, e-mail addresses and phone numbers replaced by ``[redacted]``."""
    return _SENSITIVE.sub(lambda m: (m.group("pair") or "") + "[redacted]", text)


def _redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}


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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose events carry ``name``."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(logger=name)
    return logger
