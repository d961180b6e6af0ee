"""Mutations: every operation is checked first, then all that passed are committed at once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.lab.api_errors import ApiError, Problem
from tasks.lab.creating import resource_name
from tasks.lab.faults import Call, take
from tasks.lab.sandbox import API_USER, EntityKind, Sandbox

MINIMUM_UNIT_MICROS = 10_000
LARGEST_BUDGET_MICROS = 10**15
MAX_OPERATIONS = 10_000

_COLLECTIONS: dict[EntityKind, str] = {"budget": "campaignBudgets", "campaign": "campaigns", "ad": "adGroupAds"}
_MUTABLE: dict[EntityKind, str] = {"budget": "amount_micros", "campaign": "status", "ad": "status"}


@dataclass(frozen=True)
class Operation:
    """One operation of a request, whichever service it came through.

    Attributes:
        message: the ``…Operation`` message.
        path: where it stands in the request, for error locations.
    """

    kind: EntityKind
    message: Any
    path: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True)
class Outcome:
    """Result of one operation: the resource that it set, or the problem that stopped it."""

    kind: EntityKind
    resource_name: str = ""
    entity: int = 0
    value: int = 0
    problem: Problem | None = None


def run(sandbox: Sandbox, customer_id: str, operations: Sequence[Operation], call: Call, *, is_partial: bool) -> list[Outcome]:
    """Check and, unless ``call.validate_only``, commit; one outcome for each operation in order.

    Raises:
        ApiError: without partial failure, all problems in one failure, and nothing is committed.
    """
    if not operations:
        raise ApiError("INVALID_ARGUMENT", [Problem("request_error", "OPERATION_REQUIRED", "An operation is required.")])
    if len(operations) > MAX_OPERATIONS:
        message = f"Too many mutate operations: {len(operations)}; at most {MAX_OPERATIONS} a request."
        raise ApiError("INVALID_ARGUMENT", [Problem("request_error", "TOO_MANY_MUTATE_OPERATIONS", message)])
    with sandbox.lock:
        seen: set[tuple[EntityKind, int]] = set()
        outcomes = [_check(sandbox, customer_id, operation, call, seen) for operation in operations]
        problems = [o.problem for o in outcomes if o.problem]
        if problems and not is_partial:
            raise ApiError("INVALID_ARGUMENT", problems)
        passed = [(o.kind, o.entity, o.value) for o in outcomes if o.problem is None]
        if passed and not call.validate_only:
            sandbox.commit(passed, client_type="GOOGLE_ADS_API", user=API_USER)
    return outcomes


def _check(sandbox: Sandbox, customer_id: str, operation: Operation, call: Call, seen: set[tuple[EntityKind, int]]) -> Outcome:
    kind, which = operation.kind, operation.message.WhichOneof("operation")

    def fail(family: str, code: str, message: str, *path: str) -> Outcome:
        where = operation.path + tuple((name, None) for name in path)
        return Outcome(kind, problem=Problem(family, code, message, where))

    if which is None:
        return fail("request_error", "REQUIRED_FIELD_MISSING", "The operation is empty.", "operation")
    if which == "create":
        message = "This sandbox takes creates and updates in requests of their own, and creates without partial failure."
        return fail("mutate_error", "MUTATE_NOT_ALLOWED", message, "create")
    if which == "remove":
        if kind == "budget":
            return fail(
                "campaign_budget_error",
                "CAMPAIGN_BUDGET_IN_USE",
                "The campaign budget is in use and cannot be removed.",
                "remove",
            )
        return fail("mutate_error", "MUTATE_NOT_ALLOWED", "This sandbox removes no resources.", "remove")
    update = operation.message.update
    name = update.resource_name
    match = re.fullmatch(rf"customers/(\d+)/{_COLLECTIONS[kind]}/(?:\d+~)?(\d+)", name)
    if match is None:
        code = "RESOURCE_NAME_MALFORMED" if name else "RESOURCE_NAME_MISSING"
        return fail("request_error", code, f"Resource name {name!r} is malformed.", "update", "resource_name")
    entity = int(match.group(2))
    if match.group(1) != customer_id or not _exists(sandbox, customer_id, kind, entity, name):
        return fail("mutate_error", "RESOURCE_NOT_FOUND", f"Resource was not found: {name}.", "update", "resource_name")
    if (kind, entity) in seen:
        message = f"{name} is changed twice in one request."
        return fail("mutate_error", "ID_EXISTS_IN_MULTIPLE_MUTATES", message, "update", "resource_name")
    seen.add((kind, entity))
    mask = list(operation.message.update_mask.paths)
    if not mask:
        return fail(
            "field_mask_error", "FIELD_MASK_MISSING", "The field mask must be provided for update operations.", "update_mask"
        )
    for path in mask:
        if path.split(".")[0] not in update.DESCRIPTOR.fields_by_name:
            return fail(
                "field_mask_error", "FIELD_NOT_FOUND", f"The field mask names {path!r}, which the resource lacks.", "update_mask"
            )
        if path not in (_MUTABLE[kind], "resource_name"):
            message = f"This sandbox lets only {_MUTABLE[kind]} be changed, not {path}."
            return fail("field_error", "IMMUTABLE_FIELD", message, "update", path)
    value = update.amount_micros if kind == "budget" else update.status
    if (problem := _value_problem(kind, value)) is not None:
        return fail(*problem, "update", _MUTABLE[kind])
    named = {"budget_id" if kind == "budget" else "ad_id": entity} if kind != "campaign" else {}
    if fault := take(sandbox.faults, "partial_failure", call, **named):
        family, code = fault.error.split(".")
        return fail(family, code, f"{code.replace('_', ' ').capitalize()}.", "update")
    return Outcome(kind, name, entity, value if kind == "budget" else int(value == _enum(update, "ENABLED")))


def _enum(update: Any, name: str) -> int:
    return int(update.DESCRIPTOR.fields_by_name["status"].enum_type.values_by_name[name].number)


def _exists(sandbox: Sandbox, customer_id: str, kind: EntityKind, entity: int, name: str) -> bool:
    if (made := sandbox.made_of(kind, entity)) is not None:
        return name == resource_name(customer_id, made)
    layout = sandbox.market.layout
    if kind == "budget":
        return layout.budget_account.get(entity) == customer_id
    if kind == "campaign":
        index = layout.campaign_index.get(entity)
        return index is not None and layout.campaign_account[index].id == customer_id
    unit = layout.unit_index.get(entity)
    if unit is None or layout.campaign_account[layout.unit_campaign[unit]].id != customer_id:
        return False
    return name.endswith(f"/{layout.units[unit].ad_group_id}~{entity}")


def _value_problem(kind: EntityKind, value: int) -> tuple[str, str, str] | None:
    if kind != "budget":
        if value in (2, 3):  # ENABLED, PAUSED in both status enums
            return None
        return "request_error", "INVALID_ENUM_VALUE", "Status must be ENABLED or PAUSED; use remove to remove."
    if value < 0:
        return "campaign_budget_error", "NEGATIVE_MONEY_AMOUNT", "The money amount must not be negative."
    if value < MINIMUM_UNIT_MICROS:
        return (
            "campaign_budget_error",
            "MONEY_AMOUNT_LESS_THAN_CURRENCY_MINIMUM_CPC",
            "The budget is below the currency's minimum.",
        )
    if value > LARGEST_BUDGET_MICROS:
        return "campaign_budget_error", "MONEY_AMOUNT_TOO_LARGE", "The money amount is greater than the maximum allowed."
    if value % MINIMUM_UNIT_MICROS:
        message = f"The money amount {value} is not a multiple of a minimum unit ({MINIMUM_UNIT_MICROS} micros)."
        return "campaign_budget_error", "NON_MULTIPLE_OF_MINIMUM_CURRENCY_UNIT", message
    return None
