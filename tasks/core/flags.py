"""Feature flags of GrowthBook. They may freeze an account or lower a cap of the policy, and nothing else (decision 0014).

Without AELP2_FLAGS nothing here is read, imported or written. With it, a job that plans or changes reads the flags once; if it
cannot, it ends before anything is planned or changed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.log import get_logger
from tasks.core.switches import account_scope

if TYPE_CHECKING:
    from tasks.core.policy import Policy
    from tasks.core.settings import Settings
    from tasks.core.warehouse import Warehouse

log = get_logger(__name__)
TABLE = "control.flag_exposures"
PREFIX = "aelp2_"
FREEZE = f"{PREFIX}freeze"
# Caps of an account of which less is more careful; the flag of each is named like the rule.
CAPS = {f"{PREFIX}{name}": name for name in ("step_cap_pct", "daily_cap_pct", "headroom_pct", "max_ad_changes_per_day")}
_LONGEST_VALUE = 200


@dataclass(frozen=True)
class Tightened:
    """The policy for one account; why flags freeze the account ("" if they do not); what came of each flag."""

    policy: Policy
    frozen_why: str = ""
    effects: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Viewed:
    """What the SDK's tracking callback says: an account was put into a variation of an experiment."""

    flag: str
    experiment_id: str
    variation: str
    value: Any


@dataclass(frozen=True)
class Evaluated:
    """Values of our flags for one account, and the experiments that decided any of them."""

    values: Mapping[str, Any]
    viewed: Sequence[Viewed]


def tighten(policy: Policy, values: Mapping[str, Any]) -> Tightened:
    """``policy`` with the caps that ``values`` lower. A value that cannot be one of its flag freezes the account."""
    lower: dict[str, Any] = {}
    why: list[str] = []
    effects: dict[str, str] = {}
    for flag, value in values.items():
        cap = None if flag == FREEZE else getattr(policy, CAPS[flag])
        number = None if cap is None else _number(value, is_whole=isinstance(cap, int))
        if flag == FREEZE and isinstance(value, bool):
            effects[flag] = "frozen" if value else "kept"
            why += [f"flag {flag} is on; it is taken off in GrowthBook"] if value else []
        elif number is None or cap is None:
            effects[flag] = "frozen"
            wanted = "true or false" if flag == FREEZE else "a number of 0 and more"
            why.append(f"flag {flag} is {_text(value)}, not {wanted}, which counts as a freeze; mend it in GrowthBook")
        elif number < cap:
            effects[flag] = "tightened"
            lower[CAPS[flag]] = number
        else:
            effects[flag] = "kept" if number == cap else "ignored"
    return Tightened(dataclasses.replace(policy, **lower), "; ".join(why), effects)


def _number(value: Any, *, is_whole: bool) -> Decimal | int | None:
    """The number of a flag, exact; None if it is none that a cap can be."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = Decimal(str(value))
    if not number.is_finite() or number < 0 or (is_whole and number != number.to_integral_value()):
        return None
    return int(number) if is_whole else abs(number)  # abs: no minus zero


def _text(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def evaluate(payload: Mapping[str, Any], platform: str, account_id: str) -> Evaluated:
    """What GrowthBook's SDK makes of ``payload`` for the account; JobError if it, or we, cannot make sense of it."""
    try:
        from growthbook import GrowthBook
    except ModuleNotFoundError:
        raise JobError("AELP2_FLAGS is set, but GrowthBook's SDK is not installed; it is the extra `flags`") from None

    mine = sorted(flag for flag in payload["features"] if flag.startswith(PREFIX))
    unknown = [flag for flag in mine if flag not in (FREEZE, *CAPS)]
    if unknown:
        raise JobError(f"unknown flags {unknown}; known: {', '.join((FREEZE, *CAPS))}")
    if FREEZE not in mine:
        # A key of another project or environment answers too, with other flags or none: nobody could freeze anything.
        raise JobError(f"the flags read do not hold {FREEZE}; switch it on for this key's environment, with false as its default")
    viewed: list[Viewed] = []

    def on_viewed(experiment: Any, result: Any, user_context: Any) -> None:  # noqa: ARG001 - the SDK calls by these names
        viewed.append(Viewed(str(result.featureId), str(experiment.key), str(result.key), result.value))

    name = account_scope(platform, account_id)
    attributes = {"id": name, "account": name, "platform": platform, "account_id": account_id}
    try:
        book = GrowthBook(attributes=attributes, on_experiment_viewed=on_viewed)
        book.set_payload(dict(payload))
        values = {flag: book.eval_feature(flag).value for flag in mine}
    except Exception as error:  # whatever the SDK makes of JSON that is not GrowthBook's, nothing is decided without it
        raise JobError(f"GrowthBook's SDK cannot evaluate the flags for {name} ({type(error).__name__}: {error})") from error
    return Evaluated(values, viewed)


class AccountFlags:
    """The flags of one run of a job: read at first use, evaluated and logged once an account."""

    def __init__(self, settings: Settings, warehouse: Warehouse) -> None:
        self.settings, self.warehouse = settings, warehouse
        self._payload: Mapping[str, Any] | None = None
        self._evaluated: dict[tuple[str, str], Evaluated] = {}

    def tightened(self, policy: Policy, platform: str, account_id: str, run_date: date) -> Tightened:
        """``policy`` as the flags tighten it for the account; as it is where AELP2_FLAGS is not set."""
        if self.settings.flags is None:
            return Tightened(policy)
        key = (platform, account_id)
        if key in self._evaluated:
            return tighten(policy, self._evaluated[key].values)
        if self._payload is None:
            from tasks.core.flags_source import read_payload

            self._payload = read_payload(self.settings)
        evaluated = evaluate(self._payload, platform, account_id)
        found = tighten(policy, evaluated.values)
        self._record(key, run_date, evaluated, found)
        self._evaluated[key] = evaluated
        return found

    def _record(self, key: tuple[str, str], run_date: date, evaluated: Evaluated, found: Tightened) -> None:
        """Log what the flags did, and store it together with the experiments behind it."""
        import polars as pl

        scope = account_scope(*key)
        for flag, effect in found.effects.items():
            if effect != "kept":
                tell = log.warning if effect == "ignored" else log.info
                tell(f"flag {effect}", account=scope, flag=flag, value=_text(evaluated.values[flag]))
        exposures = {view.flag: view for view in evaluated.viewed}
        for flag, effect in found.effects.items():
            if effect in ("tightened", "frozen"):
                exposures.setdefault(flag, Viewed(flag, "", "", evaluated.values[flag]))
        rows = [
            {
                "run_date": run_date,
                "platform": key[0],
                "account_id": key[1],
                "flag": view.flag,
                "experiment_id": view.experiment_id or None,
                "variation": view.variation or None,
                "value_json": _text(view.value),
                "effect": found.effects.get(view.flag, "kept"),
                "exposed_at": utc_now(),
            }
            for view in exposures.values()
        ]
        if rows:
            self.warehouse.insert_new(TABLE, pl.DataFrame(rows, schema=load_contract(TABLE).polars_schema()))
