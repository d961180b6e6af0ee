"""Change sets: the exact bytes a person approves.

The canonical form is JSON after RFC 8785 (keys sorted, no white space, UTF-8) without floats and nulls; strings are in NFC.
Its SHA-256 is what an approval binds to. Nothing that changes between two runs over the same inputs (a time stamp, a
random id) is inside, so planning twice gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, get_args

from tasks.core.errors import JobError
from tasks.core.money import LARGEST_MICROS, check_micros
from tasks.core.settings import Mode

SCHEMA_VERSION = 1
PPM = 1_000_000
_TOKEN = re.compile(r"^[0-9A-Za-z_.:-]+$")
_CURRENCY = re.compile(r"^[A-Z]{3}$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True)
class Change:
    """One budget change with all facts that the caps M2 to M6 are checked against before it is applied.

    ``p_cac_le_target_ppm`` is P(marginal CAC ≤ target) at the new amount in parts per million, rounded down.
    ``highest_daily_spend_micros`` is the highest total of the member campaigns on one day.
    """

    change_id: str
    budget_id: str
    channel: str
    campaign_ids: tuple[str, ...]
    is_shared: bool
    amount_before_micros: int
    amount_after_micros: int
    highest_daily_spend_micros: int
    is_extrapolated: bool
    p_cac_le_target_ppm: int

    @property
    def delta_micros(self) -> int:
        """Signed change of the daily amount."""
        return self.amount_after_micros - self.amount_before_micros


@dataclass(frozen=True)
class ChangeSet:
    """The changes of one account and run date. Make it with :func:`make_change_set`, read it back with :func:`parse`."""

    platform: str
    account_id: str
    currency_code: str
    run_date: date
    author: str
    mode: Mode
    mmm_run_id: str
    policy_sha256: str
    target_cac_micros: int
    account_daily_budget_micros: int
    data_through_date: date
    changes: tuple[Change, ...]

    def canonical(self) -> bytes:
        """The canonical JSON."""
        raw = dataclasses.asdict(self) | {"schema_version": SCHEMA_VERSION}
        raw["run_date"], raw["data_through_date"] = self.run_date.isoformat(), self.data_through_date.isoformat()
        return canonical_json(raw)

    @property
    def sha256(self) -> str:
        """Hash of the canonical bytes, 64 hex digits."""
        return hashlib.sha256(self.canonical()).hexdigest()

    @property
    def change_set_id(self) -> str:
        """``platform-account-run_date-`` and the first 12 digits of the hash."""
        return f"{self.platform}-{self.account_id}-{self.run_date.isoformat()}-{self.sha256[:12]}"


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


def change_id(platform: str, account_id: str, run_date: date, budget_id: str) -> str:
    """Id of a change: derived from what it changes on which day, so that it can stand inside the hashed bytes."""
    return f"{platform}-{account_id}-{run_date.isoformat()}-{budget_id}"


def probability_ppm(probability: float) -> int:
    """A probability in whole parts per million, rounded down: the safe side of M4."""
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"{probability} is not a probability")
    return int(probability * PPM)


def make_change_set(change_set: ChangeSet) -> ChangeSet:
    """``change_set`` with changes in the order of budget ids and sorted campaigns; JobError names what is wrong with it."""
    tidy = [dataclasses.replace(c, campaign_ids=tuple(sorted(c.campaign_ids))) for c in change_set.changes]
    result = dataclasses.replace(change_set, changes=tuple(sorted(tidy, key=lambda c: c.budget_id)))
    return parse(result.canonical())


def parse(canonical: bytes | str) -> ChangeSet:
    """The change set in canonical bytes. JobError on unknown or missing keys, wrong types, or bytes that are not canonical."""
    data = canonical.encode("utf-8") if isinstance(canonical, str) else canonical
    try:
        raw = json.loads(data, object_pairs_hook=_no_duplicates, parse_float=_no_float, parse_constant=_no_float)
    except ValueError as error:
        raise JobError(f"change set is not valid JSON: {error}") from None
    fields = _exactly(raw, ChangeSet, "change set", extra=("schema_version",))
    if fields.pop("schema_version") != SCHEMA_VERSION:
        raise JobError(f"change set has schema_version {raw['schema_version']!r}; this program reads {SCHEMA_VERSION}")
    if not isinstance(fields["changes"], list) or not fields["changes"]:
        raise JobError("change set holds no changes")
    changes = tuple(_parse_change(item, index) for index, item in enumerate(fields.pop("changes")))
    for name in ("platform", "account_id", "mmm_run_id"):
        _token(name, fields[name])
    for name in ("run_date", "data_through_date"):
        fields[name] = _date(name, fields[name])
    for name in ("target_cac_micros", "account_daily_budget_micros"):
        _amount(name, fields[name])
    if not isinstance(fields["author"], str) or not fields["author"].strip():
        raise JobError(f"change set author is {fields['author']!r}; it must name who proposed it")
    _match("currency_code", fields["currency_code"], _CURRENCY)
    _match("policy_sha256", fields["policy_sha256"], _SHA256)
    if fields["mode"] not in get_args(Mode):
        raise JobError(f"change set mode {fields['mode']!r} is not one of {get_args(Mode)}")
    result = ChangeSet(changes=changes, **fields)
    _check_consistent(result)
    if result.canonical() != data:
        raise JobError("change set is not in canonical form: its bytes were changed after it was hashed")
    return result


def _check_consistent(change_set: ChangeSet) -> None:
    budgets = [c.budget_id for c in change_set.changes]
    if budgets != sorted(set(budgets)):
        raise JobError(f"change set names budgets twice or out of order: {budgets}")
    for change in change_set.changes:
        expected = change_id(change_set.platform, change_set.account_id, change_set.run_date, change.budget_id)
        if change.change_id != expected:
            raise JobError(f"change id {change.change_id!r} of budget {change.budget_id} should be {expected!r}")
        if change.delta_micros == 0:
            raise JobError(f"change {change.change_id} changes nothing ({change.amount_before_micros} micros before and after)")


def _parse_change(raw: Any, index: int) -> Change:
    where = f"change {index}"
    fields = _exactly(raw, Change, where)
    for name in ("change_id", "budget_id", "channel"):
        _token(f"{where} {name}", fields[name])
    campaigns = fields["campaign_ids"]
    if not isinstance(campaigns, list) or not campaigns:
        raise JobError(f"{where} ({fields['budget_id']}): campaign_ids is {campaigns!r}; all member campaigns must be listed")
    for campaign in campaigns:
        _token(f"{where} campaign id", campaign)
    if campaigns != sorted(set(campaigns)):
        raise JobError(f"{where} ({fields['budget_id']}): campaign_ids are repeated or not sorted: {campaigns}")
    fields["campaign_ids"] = tuple(campaigns)
    for name in ("is_shared", "is_extrapolated"):
        if not isinstance(fields[name], bool):
            raise JobError(f"{where} {name}: {fields[name]!r} is not true or false")
    for name in ("amount_before_micros", "amount_after_micros", "highest_daily_spend_micros", "p_cac_le_target_ppm"):
        _amount(f"{where} {name}", fields[name])
    if fields["p_cac_le_target_ppm"] > PPM:
        raise JobError(f"{where} p_cac_le_target_ppm: {fields['p_cac_le_target_ppm']} is more than {PPM}")
    return Change(**fields)


def _exactly(raw: Any, cls: type, where: str, extra: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise JobError(f"{where} is a {type(raw).__name__}, not an object")
    wanted = {f.name for f in dataclasses.fields(cls)} | set(extra)
    if set(raw) != wanted:
        raise JobError(f"{where} has unknown keys {sorted(set(raw) - wanted)} and lacks {sorted(wanted - set(raw))}")
    return dict(raw)


def _amount(name: str, value: Any) -> None:
    try:
        check_micros(name, value)
    except (TypeError, ValueError) as error:
        raise JobError(str(error)) from None


def _match(name: str, value: Any, pattern: re.Pattern[str]) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise JobError(f"{name} {value!r} does not match {pattern.pattern}")


def _token(name: str, value: Any) -> None:
    _match(name, value, _TOKEN)


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
