"""Between the sandbox and the bytes: google-ads' own message classes, rows, failures, method paths."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

import grpc
from google.ads.googleads.v26.errors.types import errors as error_types
from google.ads.googleads.v26.services.types import (
    ad_group_ad_service,
    campaign_budget_service,
    campaign_service,
    google_ads_service,
)
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.status_pb2 import Status

from tasks.lab.api_errors import ApiError, Problem

API_VERSION = "v26"
PACKAGE = f"google.ads.googleads.{API_VERSION}"

# service -> method -> (request class, response class, streams its response)
SERVICES: dict[str, dict[str, tuple[Any, Any, bool]]] = {
    "GoogleAdsService": {
        "Search": (google_ads_service.SearchGoogleAdsRequest, google_ads_service.SearchGoogleAdsResponse, False),
        "SearchStream": (google_ads_service.SearchGoogleAdsStreamRequest, google_ads_service.SearchGoogleAdsStreamResponse, True),
        "Mutate": (google_ads_service.MutateGoogleAdsRequest, google_ads_service.MutateGoogleAdsResponse, False),
    },
    "CampaignBudgetService": {
        "MutateCampaignBudgets": (
            campaign_budget_service.MutateCampaignBudgetsRequest,
            campaign_budget_service.MutateCampaignBudgetsResponse,
            False,
        )
    },
    "CampaignService": {
        "MutateCampaigns": (campaign_service.MutateCampaignsRequest, campaign_service.MutateCampaignsResponse, False)
    },
    "AdGroupAdService": {
        "MutateAdGroupAds": (ad_group_ad_service.MutateAdGroupAdsRequest, ad_group_ad_service.MutateAdGroupAdsResponse, False)
    },
}

RowMessage = google_ads_service.GoogleAdsRow.pb()
Failure = error_types.GoogleAdsFailure.pb()
ErrorCode = error_types.ErrorCode.pb()


def field_of(descriptor: Any, name: str) -> Any:
    """The descriptor's field; GAQL says ``type`` where the message, whose name would shadow Python's, says ``type_``."""
    found = descriptor.fields_by_name.get(name) or descriptor.fields_by_name.get(f"{name}_")
    if found is None:
        raise KeyError(f"{descriptor.full_name} has no field {name}")
    return found


@cache
def _setter(path: str) -> Callable[[Any, Any], None]:
    """A function that sets the last part of ``path``, given the message that it is a field of."""
    leaf = _leaf(path)[1]
    name = leaf.name

    def assign(parent: Any, value: Any) -> None:
        set_field(parent, leaf, value)

    def assign_enum(parent: Any, value: Any) -> None:
        setattr(parent, name, numbers[value])

    def assign_scalar(parent: Any, value: Any) -> None:
        setattr(parent, name, value)

    # What kind of field it is gets decided once, not for each row.
    if leaf.enum_type is not None:
        numbers = {value.name: value.number for value in leaf.enum_type.values}
        return assign_enum
    return assign if leaf.message_type is not None else assign_scalar


@cache
def _leaf(path: str) -> tuple[str, Any]:
    """(path of the message that ``path`` ends in, as Python names it; descriptor of the field)."""
    descriptor, names = RowMessage.DESCRIPTOR, path.split(".")
    parents = []
    for name in names[:-1]:
        parent = field_of(descriptor, name)
        parents.append(parent.name)
        descriptor = parent.message_type
    return ".".join(parents), field_of(descriptor, names[-1])


def set_field(message: Any, field: Any, value: Any) -> None:
    """Set one field: enums by name, mappings as sub-messages, lists as the paths of a field mask."""
    if field.enum_type is not None:
        setattr(message, field.name, field.enum_type.values_by_name[value].number)
    elif isinstance(value, Mapping):
        child = getattr(message, field.name)
        for name, item in value.items():
            set_field(child, field_of(field.message_type, name), item)
    elif field.message_type is not None and field.message_type.full_name == "google.protobuf.FieldMask":
        getattr(message, field.name).CopyFrom(FieldMask(paths=value))
    else:
        setattr(message, field.name, value)


def to_messages(rows: Iterable[Mapping[str, object]], fields: Sequence[str]) -> list[Any]:
    """Row messages with the selected ``fields`` and, as the API does, the resource names of the selected resources."""
    heads = dict.fromkeys(f.split(".", maxsplit=1)[0] for f in fields)
    names = [f"{head}.resource_name" for head in heads if head not in ("segments", "metrics")]
    varying = [path for path in dict.fromkeys(fields) if path.startswith(("segments.", "metrics."))]
    set_fixed = _assigner([path for path in dict.fromkeys([*names, *fields]) if path not in varying])
    set_varying = _assigner(varying)
    # A year of rows is a million assignments. What the resource names say is the same on all days: it is assigned once.
    templates: dict[tuple[object, ...], Any] = {}
    messages = []
    for row in rows:
        key = tuple([row.get(name) for name in names])
        template = templates.get(key)
        if template is None:
            template = templates[key] = RowMessage()
            set_fixed(template, row)
        message = RowMessage()
        message.CopyFrom(template)
        set_varying(message, row)
        messages.append(message)
    return messages


def _assigner(paths: Sequence[str]) -> Callable[[Any, Mapping[str, object]], None]:
    """A function that sets those of ``paths`` that a row has, each message's fields together."""
    setters: dict[str, list[tuple[str, Callable[[Any, Any], None]]]] = {}
    for path in paths:
        setters.setdefault(_leaf(path)[0], []).append((path, _setter(path)))
    parts = [(attrgetter(parent), inner) for parent, inner in setters.items()]

    def assign_all(message: Any, row: Mapping[str, object]) -> None:
        for part_of, inner in parts:
            part = part_of(message)
            for path, assign in inner:
                value = row.get(path)
                if value is not None:
                    assign(part, value)

    return assign_all


def failure_of(problems: Sequence[Problem], request_id: str) -> Any:
    """The ``GoogleAdsFailure`` message for these problems."""
    failure = Failure(request_id=request_id)
    for problem in problems:
        error = failure.errors.add(message=problem.message)
        code = field_of(error.error_code.DESCRIPTOR, problem.family)
        set_field(error.error_code, code, problem.code)
        for name, index in problem.path:
            element = error.location.field_path_elements.add(field_name=name)
            if index is not None:
                element.index = index
        if problem.retry_seconds is not None:
            quota = error.details.quota_error_details
            quota.rate_scope = type(quota).QuotaRateScope.Value("DEVELOPER")
            quota.rate_name = "Number of operations for basic access"
            quota.retry_delay.seconds = int(problem.retry_seconds)
            quota.retry_delay.nanos = round(problem.retry_seconds % 1 * 1e9)
    return failure


def is_error(name: str) -> bool:
    """Whether ``<ErrorCode field>.<enum value>`` is an error of the API."""
    family, _, code = name.partition(".")
    field = ErrorCode.DESCRIPTOR.fields_by_name.get(family)
    return field is not None and code in field.enum_type.values_by_name


def partial_failure_status(problems: Sequence[Problem], request_id: str) -> Status:
    """What ``partial_failure_error`` carries: one status holding one failure with every row's error."""
    message = problems[0].message if len(problems) == 1 else "Multiple errors in 'details'."
    status = Status(code=grpc.StatusCode.INVALID_ARGUMENT.value[0], message=message)
    status.details.add().Pack(failure_of(problems, request_id))
    return status


def trailing_metadata(error: ApiError, request_id: str, version: str) -> tuple[tuple[str, str | bytes], ...]:
    """Trailing metadata of a failed call; a bare transport error has none."""
    if not error.problems:
        return ()
    failure = failure_of(error.problems, request_id).SerializeToString()
    return (
        ("request-id", request_id),
        (f"google.ads.googleads.{version}.errors.googleadsfailure-bin", failure),
    )
