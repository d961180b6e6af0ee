"""One record of server events: texts in, a typed row without anything personal out, or why not.

No reason repeats a value: what stands in the wrong column may be an address or a number of a person.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation

from tasks.core.identifiers import AGGREGATE_KINDS, CLICK_KINDS
from tasks.core.personal import PersonalValueError, hash_email, hash_phone
from tasks.core.redaction import hash_name

CLICK_COLUMNS = ("gclid", *AGGREGATE_KINDS, *CLICK_KINDS[1:])
REQUIRED = ("event_id", "event_name", "event_time")
COLUMNS = (
    *REQUIRED,
    "user_pseudo_id",
    "user_id",
    "email",
    "phone",
    *CLICK_COLUMNS,
    "transaction_id",
    "value",
    "currency",
    "consent_ads",
    "consent_analytics",
)
MAX_CHARACTERS = 2048
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
MAX_VALUE = Decimal(10) ** 9  # ten digits and more are rather a phone number in the wrong column
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
# A letter, or the dot of GA4's client id, is what an id has and a phone number has not; @ is in none.
_CLICK = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9._~-]{8,1024}")
_COOKIE = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9._~-]{8,200}|\d{4,}\.\d{4,}")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_NOTHING = {"null", "none", "nan", "undefined", "n/a", "na", "unknown", "anonymous", "guest", "0", "-1", "-"}
_CONSENT = {"": False, **dict.fromkeys(("true", "1", "yes", "granted"), True)}
_CONSENT |= dict.fromkeys(("false", "0", "no", "denied", "unspecified"), False)


class RowError(Exception):
    """The row cannot be taken: the name of the check and a sentence that repeats no value."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.check = check


@dataclass(frozen=True)
class RowRules:
    """What rows are read by: their source, the salt, the country of numbers without a code, the day of the run."""

    source: str
    salt: bytes
    country: str | None
    run_date: date


def typed_row(texts: Mapping[str, str], rules: RowRules) -> dict[str, object]:
    """Fields of ``gaelp_users.server_events`` but for ``loaded_at``; RowError says why the row cannot be taken."""
    text = {column: _plain(column, texts.get(column, "")) for column in COLUMNS}
    for column in REQUIRED:
        if not text[column]:
            raise RowError("required", f"{column} is empty")
    event_at = _instant(text["event_time"], rules.run_date)
    if not _NAME.fullmatch(text["event_name"]):
        raise RowError("event_name", "event_name is not letters, digits and _ (40 at most, a letter first)")
    value_micros, currency = _money(text["value"], text["currency"])
    row: dict[str, object] = {
        "source": rules.source,
        "event_date": event_at.date(),
        "event_id": hash_name(f"{rules.source}\x1f{_own_id('event_id', text)}", rules.salt),
        "event_at": event_at,
        "event_name": text["event_name"],
        "user_pseudo_id": _platform_id("user_pseudo_id", text, _COOKIE),
        "user_id_hash": hash_name(_own_id("user_id", text), rules.salt),
        "email_sha256": _personal("email", text, rules),
        "phone_sha256": _personal("phone", text, rules),
        **{column: _platform_id(column, text, _CLICK) for column in CLICK_COLUMNS},
        "transaction_id_hash": hash_name(_own_id("transaction_id", text), rules.salt),
        "value_micros": value_micros,
        "currency_code": currency,
        "is_ads_consented": _consent("consent_ads", text),
        "is_analytics_consented": _consent("consent_analytics", text),
    }
    content = json.dumps({name: str(field) for name, field in row.items()}, sort_keys=True)
    return row | {"content_sha256": hashlib.sha256(content.encode()).hexdigest()}


def _plain(column: str, text: str) -> str:
    stripped = text.strip()
    if len(stripped) > MAX_CHARACTERS:
        raise RowError("length", f"{column} has {len(stripped):,} characters, over {MAX_CHARACTERS:,}")
    try:
        stripped.encode()
    except UnicodeEncodeError:
        raise RowError("utf8", f"{column} holds half a character (a lone surrogate)") from None
    if any(ord(character) < 32 or ord(character) == 127 for character in stripped):
        raise RowError("control_character", f"{column} holds a control character")
    return stripped


def _instant(text: str, run_date: date) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise RowError("offset", "event_time has no offset; write for example 2026-03-01T10:00:00+01:00")
        instant = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise RowError("event_time", "event_time is no ISO 8601 time such as 2026-03-01T10:00:00+01:00") from None
    if instant < EARLIEST:
        raise RowError("event_time_past", "event_time is before the year 2000")
    if instant.date() > run_date + timedelta(days=1):
        raise RowError("event_time_future", "event_time is after the run date")
    return instant


def _own_id(column: str, text: Mapping[str, str]) -> str:
    """An id of the business's own; a placeholder would make one person of everybody who has it."""
    if text[column].lower() in _NOTHING:
        raise RowError("placeholder", f"{column} is a placeholder; leave it empty if it is not known")
    return text[column]


def _platform_id(column: str, text: Mapping[str, str], form: re.Pattern[str]) -> str | None:
    if not text[column]:
        return None
    if not form.fullmatch(text[column]):
        raise RowError("platform_id", f"{column} has not the form of such an id")
    return text[column]


def _personal(column: str, text: Mapping[str, str], rules: RowRules) -> str | None:
    if not text[column]:
        return None
    try:
        return hash_email(text[column]) if column == "email" else hash_phone(text[column], rules.country)
    except PersonalValueError as error:
        raise RowError(column, f"{column} cannot be matched: {error}") from None


def _money(value: str, currency: str) -> tuple[int | None, str | None]:
    if not value:
        return None, None
    if not _NUMBER.fullmatch(value):
        raise RowError("value", "value is no number; write 1234.50")
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise RowError("value", "value is no number; write 1234.50") from None
    if amount < 0:
        raise RowError("value_min", "value is below 0; report a refund as an event of its own")
    if amount > MAX_VALUE:
        raise RowError("value_max", f"value is over {MAX_VALUE:,}")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise RowError("currency", "a value needs a currency as an ISO 4217 code such as USD")
    return int((amount * 1_000_000).to_integral_value()), currency


def _consent(column: str, text: Mapping[str, str]) -> bool:
    """True only if the file says so: who was not asked has not consented."""
    answer = _CONSENT.get(text[column].lower())
    if answer is None:
        raise RowError("consent", f"{column} is none of true, false, granted, denied")
    return answer
