"""The rules of one advertiser about its budgets. YAML may tighten the caps of this file, never loosen them."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.errors import JobError
from tasks.core.money import PLATFORM_UNIT_MICROS, check_micros

if TYPE_CHECKING:
    from tasks.core.settings import Settings

STEP_CEILING_PCT = Decimal(5)  # M2
DAILY_CEILING_PCT = Decimal(10)  # M3
AD_CHANGES_CEILING = 100  # switched ads an account and 24 h, the same for ads as M3 is for money
REWARDS = ("conversions", "value")
PROBABILITY_FLOOR = Decimal("0.5")  # below it an increase would be more likely wrong than right
_ACCOUNT = re.compile(r"^[a-z][a-z0-9_]*:[0-9A-Za-z_-]+$")


@dataclass(frozen=True)
class Policy:
    """What may be done with budgets. Percentages are exact decimals (5 = 5 %), money is micros of the account's currency.

    | field | meaning |
    | --- | --- |
    | step_cap_pct | largest change of one budget in one step, at most 5 (M2) |
    | daily_cap_pct | largest sum of absolute changes of an account over 24 h, of its daily budget, at most 10 (M3) |
    | min_probability | P(marginal CAC ≤ target) that an increase needs (M4) |
    | headroom_pct | how far a budget may go above the highest daily spend seen (M5) |
    | target_cac_micros | target cost per new customer; None = trailing blended CAC, so that CAC stays flat |
    | learning_days | days a budget rests after a change |
    | min_step_micros | smaller changes are not worth a learning phase and are not proposed |
    | unit_micros | amounts are multiples of this |
    | budget_floor_micros, budget_ceiling_micros | bounds by budget id |
    | fixed_campaign_ids | campaigns whose budgets are never changed |
    | remarketing_campaign_ids | campaigns that show ads to earlier visitors: the MMM splits their channels in two |
    | allow_total_growth | True: increases need not be paid for by decreases |
    | risk_aversion | weight of the bad tail in the plan's objective, 0 = expected value only |
    | approval_hours | life of a change set, from proposal |
    | watch_days | full days of data a canary is watched for |
    | watch_baseline_days | days before the change that the watch compares with |
    | watch_confidence | one-sided confidence with which a guardrail must see a breach |
    | max_cac_breach_pct | rise of blended CAC over the baseline that is tolerated |
    | max_data_age_days | oldest data a change may rest on |
    | max_ad_changes_per_day | ads that may be enabled or paused in an account over 24 h, at most 100, counting what others did |
    | exploration_pct | share of spend that bandits reserve for exploration |
    | bandit_reward | what a bandit's arms are judged by: `conversions` or `value`; never clicks |
    | bandit_cac_cap_micros | arms surely dearer than this a conversion are dropped; None = target_cac_micros |
    | bandit_drop_probability | P(cost per conversion > cap) from which on an arm is dropped |
    | bandit_min_sample | an arm may spend this many times the cap before it can be dropped |
    | allowed_accounts | ``platform:account`` that may be mutated live; empty = none |
    """

    step_cap_pct: Decimal = STEP_CEILING_PCT
    daily_cap_pct: Decimal = DAILY_CEILING_PCT
    min_probability: Decimal = Decimal("0.8")
    headroom_pct: Decimal = Decimal(20)
    target_cac_micros: int | None = None
    learning_days: int = 7
    min_step_micros: int = 1_000_000
    unit_micros: int = PLATFORM_UNIT_MICROS
    budget_floor_micros: Mapping[str, int] = field(default_factory=dict)
    budget_ceiling_micros: Mapping[str, int] = field(default_factory=dict)
    fixed_campaign_ids: tuple[str, ...] = ()
    remarketing_campaign_ids: tuple[str, ...] = ()
    allow_total_growth: bool = False
    risk_aversion: Decimal = Decimal("0.5")
    approval_hours: int = 24
    watch_days: int = 3
    watch_baseline_days: int = 28
    watch_confidence: Decimal = Decimal("0.95")
    max_cac_breach_pct: Decimal = Decimal(15)
    max_data_age_days: int = 2
    max_ad_changes_per_day: int = 20
    exploration_pct: Decimal = Decimal(10)
    bandit_reward: str = "conversions"
    bandit_cac_cap_micros: int | None = None
    bandit_drop_probability: Decimal = Decimal("0.9")
    bandit_min_sample: int = 10
    allowed_accounts: tuple[str, ...] = ()

    @property
    def forbid_self_approval(self) -> bool:
        """Always True: nobody approves a change set of their own, and no setting changes that."""
        return True

    @property
    def min_probability_ppm(self) -> int:
        """``min_probability`` in parts per million, rounded up: the safe side."""
        return int((self.min_probability * 1_000_000).to_integral_value(ROUND_CEILING))

    def allows(self, platform: str, account_id: str) -> bool:
        """True if the account is on the allow-list for live mutations."""
        return f"{platform}:{account_id}" in self.allowed_accounts

    def sha256(self) -> str:
        """Hash over every rule, so that a change set says under which rules it was made."""
        from tasks.core.canonical import canonical_json

        return hashlib.sha256(canonical_json(_plain(dataclasses.asdict(self)))).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value.normalize())
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return "" if value is None else value


def _decimal(low: Decimal, high: Decimal) -> Callable[[str, Any], Decimal]:
    def read(name: str, value: Any) -> Decimal:
        try:
            if isinstance(value, bool):
                raise InvalidOperation
            number = Decimal(str(value))
        except InvalidOperation:
            raise JobError(f"policy {name}: {value!r} is not a number") from None
        if not number.is_finite() or not low <= number <= high:
            raise JobError(f"policy {name}: {value} is not between {low} and {high}; the bounds are in tasks/core/policy.py")
        return number

    return read


def _integer(low: int, high: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise JobError(f"policy {name}: {value!r} is not a whole number")
        if not low <= value <= high:
            raise JobError(f"policy {name}: {value} is not between {low} and {high}")
        return value

    return read


def _micros(name: str, value: Any) -> int:
    try:
        return check_micros(f"policy {name}", value)
    except (TypeError, ValueError) as error:
        raise JobError(str(error)) from None


def _optional_micros(name: str, value: Any) -> int | None:
    return None if value is None else _micros(name, value)


def _amounts(name: str, value: Any) -> dict[str, int]:
    if not isinstance(value, dict):
        raise JobError(f"policy {name}: {value!r} is not a mapping of budget id to micros")
    return {str(key): _micros(f"{name}.{key}", amount) for key, amount in value.items()}


def _strings(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str | int) and not isinstance(v, bool) for v in value):
        raise JobError(f"policy {name}: {value!r} is not a list of ids")
    return tuple(sorted({str(v) for v in value}))


def _accounts(name: str, value: Any) -> tuple[str, ...]:
    accounts = _strings(name, value)
    for account in accounts:
        if not _ACCOUNT.fullmatch(account):
            raise JobError(f"policy {name}: {account!r} is not of the form platform:account, for example google_ads:1234567890")
    return accounts


def _reward(name: str, value: Any) -> str:
    if value not in REWARDS:
        raise JobError(f"policy {name}: {value!r} is not one of {', '.join(REWARDS)}; clicks are never a reward")
    return str(value)


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise JobError(f"policy {name}: {value!r} is not true or false")
    return value


_ZERO, _ONE = Decimal(0), Decimal(1)
_READERS: dict[str, Callable[[str, Any], Any]] = {
    "step_cap_pct": _decimal(_ZERO, STEP_CEILING_PCT),
    "daily_cap_pct": _decimal(_ZERO, DAILY_CEILING_PCT),
    "min_probability": _decimal(PROBABILITY_FLOOR, _ONE),
    "headroom_pct": _decimal(_ZERO, Decimal(100)),
    "target_cac_micros": _optional_micros,
    "learning_days": _integer(0, 90),
    "min_step_micros": _micros,
    "unit_micros": _integer(PLATFORM_UNIT_MICROS, 1_000_000_000),
    "budget_floor_micros": _amounts,
    "budget_ceiling_micros": _amounts,
    "fixed_campaign_ids": _strings,
    "remarketing_campaign_ids": _strings,
    "allow_total_growth": _boolean,
    "risk_aversion": _decimal(_ZERO, Decimal(10)),
    "approval_hours": _integer(1, 72),
    "watch_days": _integer(1, 28),
    "watch_baseline_days": _integer(7, 90),
    "watch_confidence": _decimal(Decimal("0.8"), Decimal("0.999")),
    "max_cac_breach_pct": _decimal(_ZERO, Decimal(50)),
    "max_data_age_days": _integer(1, 14),
    "max_ad_changes_per_day": _integer(0, AD_CHANGES_CEILING),
    "exploration_pct": _decimal(_ZERO, Decimal(50)),
    "bandit_reward": _reward,
    "bandit_cac_cap_micros": _optional_micros,
    "bandit_drop_probability": _decimal(Decimal("0.5"), Decimal("0.999")),
    "bandit_min_sample": _integer(1, 100),
    "allowed_accounts": _accounts,
}


def parse_policy(raw: Mapping[str, Any], source: str) -> Policy:
    """The policy in the parsed YAML ``raw``; JobError names ``source``, the key, its value and what is allowed."""
    unknown = sorted(map(str, set(raw) - set(_READERS)))
    if unknown:
        raise JobError(f"{source}: unknown keys {unknown}; known: {', '.join(_READERS)}")
    try:
        policy = Policy(**{name: _READERS[name](name, value) for name, value in raw.items()})
    except JobError as error:
        raise JobError(f"{source}: {error}") from None
    if policy.unit_micros % PLATFORM_UNIT_MICROS:
        raise JobError(f"{source}: policy unit_micros: {policy.unit_micros} is not a multiple of {PLATFORM_UNIT_MICROS}")
    for budget_id, floor in policy.budget_floor_micros.items():
        ceiling = policy.budget_ceiling_micros.get(budget_id, floor)
        if floor > ceiling:
            raise JobError(f"{source}: budget {budget_id} has floor {floor} above its ceiling {ceiling} micros")
    return policy


def load_policy_file(path: Path) -> Policy:
    """The policy in the YAML file ``path``."""
    import yaml

    if not path.is_file():
        raise JobError(f"AELP2_POLICY names {path}, which does not exist; unset it for the built-in rules")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise JobError(f"{path} is not valid YAML: {error}") from None
    if raw is not None and not isinstance(raw, dict):
        raise JobError(f"{path}: a policy is a mapping of rule to value, not {type(raw).__name__}")
    return parse_policy(raw or {}, str(path))


def load_policy(settings: Settings) -> Policy:
    """The policy that the settings name, or the built-in one, under which no account may be mutated."""
    return Policy() if settings.policy_path is None else load_policy_file(settings.policy_path)
