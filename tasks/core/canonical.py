"""Canonical JSON, and the checks with which the fields of hashed bytes are read back.

The form is RFC 8785 (keys sorted, no white space, UTF-8) without floats and nulls; strings are in NFC.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, ClassVar, get_args

from tasks.core.errors import JobError
from tasks.core.money import LARGEST_MICROS, check_micros
from tasks.core.settings import Mode

SCHEMA_VERSION = 1
# Kinds of change sets. Bytes without a kind are of budgets: they were stored before there was another one.
BUDGETS, AD_STATUS = "budgets", "ad_status"
KINDS = (BUDGETS, AD_STATUS)
_TOKEN = re.compile(r"^[0-9A-Za-z_.:-]+$")
CURRENCY = re.compile(r"^[A-Z]{3}$")
SHA256 = re.compile(r"^[0-9a-f]{64}$")


def canonical_json(value: Any) -> bytes:
    """``value`` (mappings, lists, strings, integers, booleans) as canonical JSON; JobError on a float, null or odd key."""
    _check_plain(value, "$")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        return unicodedata.normalize("NFC", text).encode("utf-8")
    except UnicodeEncodeError as error:
        raise JobError(f"canonical JSON: half a surrogate pair is no text ({error})") from None


def _check_plain(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            # ASCII keys sort the same by code point and by UTF-16 unit, which RFC 8785 asks for.
            if not isinstance(key, str) or not key.isascii():
                raise JobError(f"canonical JSON: key {key!r} at {where} is not an ASCII string")
            _check_plain(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    elif isinstance(value, float) or not isinstance(value, str | int | bool):
        raise JobError(f"canonical JSON: {value!r} at {where} is a {type(value).__name__}; only strings, integers and booleans")
    elif isinstance(value, int) and abs(value) > LARGEST_MICROS:
        raise JobError(f"canonical JSON: {value} at {where} is beyond 2^53, which other JSON readers would round")


class Sealed:
    """What a change set of any kind is: facts whose canonical bytes have a hash. Mixed into frozen dataclasses."""

    kind: ClassVar[str]
    platform: str
    account_id: str
    run_date: date

    def canonical(self) -> bytes:
        """The canonical JSON. Sets of budgets name no kind, so that sets stored before there were others keep their bytes."""
        raw = dataclasses.asdict(self) | {"schema_version": SCHEMA_VERSION}  # type: ignore[call-overload]
        if self.kind != BUDGETS:
            raw["kind"] = self.kind
        return canonical_json({k: v.isoformat() if isinstance(v, date) else v for k, v in raw.items()})

    @property
    def sha256(self) -> str:
        """Hash of the canonical bytes, 64 hex digits."""
        return hashlib.sha256(self.canonical()).hexdigest()

    @property
    def change_set_id(self) -> str:
        """``platform-account-run_date-`` and the first 12 digits of the hash."""
        return f"{self.platform}-{self.account_id}-{self.run_date.isoformat()}-{self.sha256[:12]}"


def read_object(data: bytes) -> Any:
    """The JSON in ``data``; JobError on a repeated key, a float, or what is no JSON."""
    try:
        return json.loads(data, object_pairs_hook=_no_duplicates, parse_float=_no_float, parse_constant=_no_float)
    except ValueError as error:
        raise JobError(f"change set is not valid JSON: {error}") from None


def exactly(raw: Any, cls: type, where: str, extra: tuple[str, ...] = ()) -> dict[str, Any]:
    """``raw`` if it is an object with the fields of the dataclass ``cls`` and ``extra``, no more and no fewer."""
    if not isinstance(raw, dict):
        raise JobError(f"{where} is a {type(raw).__name__}, not an object")
    wanted = {f.name for f in dataclasses.fields(cls)} | set(extra)
    if set(raw) != wanted:
        raise JobError(f"{where} has unknown keys {sorted(set(raw) - wanted)} and lacks {sorted(wanted - set(raw))}")
    return dict(raw)


def read_changes[C](fields: dict[str, Any], parse: Callable[[Any, int], C]) -> tuple[C, ...]:
    """The changes, taken out of ``fields``, each read by ``parse`` with its place; JobError if there are none."""
    changes = fields.pop("changes")
    if not isinstance(changes, list) or not changes:
        raise JobError("change set holds no changes")
    return tuple(parse(item, index) for index, item in enumerate(changes))


def read_common(fields: dict[str, Any]) -> None:
    """Check what sets of every kind hold, and turn its dates into dates."""
    for name in ("platform", "account_id"):
        token(name, fields[name])
    for name in ("run_date", "data_through_date"):
        fields[name] = _date(name, fields[name])
    if not isinstance(fields["author"], str) or not fields["author"].strip():
        raise JobError(f"change set author is {fields['author']!r}; it must name who proposed it")
    match("currency_code", fields["currency_code"], CURRENCY)
    match("policy_sha256", fields["policy_sha256"], SHA256)
    if fields["mode"] not in get_args(Mode):
        raise JobError(f"change set mode {fields['mode']!r} is not one of {get_args(Mode)}")


def sealed[S: Sealed](made: S, data: bytes) -> S:
    """``made`` if its canonical bytes are ``data``."""
    if made.canonical() != data:
        raise JobError("change set is not in canonical form: its bytes were changed after it was hashed")
    return made


def amount(name: str, value: Any) -> None:
    """Check micros."""
    try:
        check_micros(name, value)
    except (TypeError, ValueError) as error:
        raise JobError(str(error)) from None


def match(name: str, value: Any, pattern: re.Pattern[str]) -> None:
    """Check a string against ``pattern``."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise JobError(f"{name} {value!r} does not match {pattern.pattern}")


def token(name: str, value: Any) -> None:
    """Check an id."""
    match(name, value, _TOKEN)


def _date(name: str, value: Any) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise JobError(f"{name} {value!r} is not a date YYYY-MM-DD") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError(f"a key stands twice among {keys}")
    return dict(pairs)


def _no_float(text: str) -> Any:
    raise ValueError(f"{text} is not a whole number")
