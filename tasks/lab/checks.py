"""What the API refuses before it runs a query, and how a condition is met."""

import re

from tasks.lab import catalog, gaql
from tasks.lab.api_errors import query_error
from tasks.lab.fields import (
    CONVERSION_METRICS,
    CONVERSION_SEGMENTS,
    DELIVERY_METRICS,
    SHARE_METRICS,
    TIME_SEGMENTS,
    VIDEO_METRICS,
)
from tasks.lab.sandbox import Sandbox


def check(sandbox: Sandbox, customer_id: str, query: gaql.Query) -> None:
    """Refuse unknown resources and fields and the combinations that the API prohibits.

    Raises:
        ApiError: a ``QueryError``.
    """
    if query.resource not in catalog.RESOURCES:
        known = ", ".join(catalog.RESOURCES)
        message = f"Error in query: '{query.resource}' is no resource that can stand after FROM; this sandbox serves {known}."
        raise query_error("BAD_RESOURCE_TYPE_IN_FROM_CLAUSE", message)
    ordered = [name for name, _ in query.order_by]
    for name in dict.fromkeys([*query.fields, *(c.field for c in query.conditions), *ordered]):
        _check_field(sandbox, query.resource, name)
    for condition in query.conditions:
        if (
            condition.field.startswith("segments.")
            and condition.field not in query.fields
            and condition.field not in TIME_SEGMENTS
        ):
            message = f"Error in query: '{condition.field}' must be in the SELECT clause to be in the WHERE clause."
            raise query_error("EXPECTED_REFERENCED_FIELD_IN_SELECT_CLAUSE", message)
        if condition.field == "segments.date" and condition.operator not in {"=", "<", "<=", ">", ">=", "BETWEEN", "DURING"}:
            raise query_error("BAD_OPERATOR", f"Error in query: segments.date cannot be filtered by {condition.operator}.")
    for name in ordered:
        if name not in query.fields:
            raise query_error("PROHIBITED_FIELD_IN_ORDER_BY_CLAUSE", f"Error in query: '{name}' must be selected to order by it.")
    _check_metrics(sandbox, customer_id, query)


def _check_field(sandbox: Sandbox, resource: str, name: str) -> None:
    prefixes, has_metrics = catalog.RESOURCES[resource]
    head = name.split(".", maxsplit=1)[0]
    if head in ("segments", "metrics"):
        served = (*TIME_SEGMENTS, *CONVERSION_SEGMENTS, *CONVERSION_METRICS, *DELIVERY_METRICS, *SHARE_METRICS, *VIDEO_METRICS)
        if name not in served:
            raise query_error("UNRECOGNIZED_FIELD", f"Unrecognized field in the query: '{name}'.")
        if not has_metrics:
            kind = "METRIC" if head == "metrics" else "SEGMENT"
            message = f"Error in query: '{name}' cannot be selected from '{resource}'."
            raise query_error(f"PROHIBITED_{kind}_IN_SELECT_OR_WHERE_CLAUSE", message)
        return
    if head in catalog.RESOURCES and head not in prefixes:
        message = f"Error in query: '{head}' cannot be selected from '{resource}'; it can with {', '.join(prefixes)}."
        raise query_error("PROHIBITED_RESOURCE_TYPE_IN_SELECT_CLAUSE", message)
    if name not in catalog.attribute_names(sandbox).get(head, frozenset()):
        raise query_error("UNRECOGNIZED_FIELD", f"Unrecognized field in the query: '{name}'.")


def _check_metrics(sandbox: Sandbox, customer_id: str, query: gaql.Query) -> None:
    used = {*query.fields, *(c.field for c in query.conditions)}
    metrics = sorted(name for name in used if name.startswith("metrics."))
    if metrics and catalog.account_of(sandbox, customer_id) is None:
        message = (
            "Metrics cannot be requested for a manager account. To retrieve metrics, issue separate requests for its clients."
        )
        raise query_error("REQUESTED_METRICS_FOR_MANAGER", message)
    dated = used & set(TIME_SEGMENTS)
    if dated & set(query.fields) and not any(c.field in TIME_SEGMENTS for c in query.conditions):
        message = "The query selects a core date segment and needs a finite date range in the WHERE clause."
        raise query_error("EXPECTED_FILTERS_ON_DATE_RANGE", message)
    bad = [m for m in metrics if m not in CONVERSION_METRICS]
    if used & set(CONVERSION_SEGMENTS) and bad:
        message = f"Error in query: metric '{bad[0]}' cannot be combined with conversion segments."
        raise query_error("PROHIBITED_SEGMENT_WITH_METRIC_IN_SELECT_OR_WHERE_CLAUSE", message)
    if set(VIDEO_METRICS) & set(metrics) and query.resource in catalog.CRITERION_VIEWS:
        message = f"Error in query: video metrics cannot be selected from '{query.resource}' in this sandbox."
        raise query_error("PROHIBITED_METRIC_IN_SELECT_OR_WHERE_CLAUSE", message)
    if set(SHARE_METRICS) & set(metrics) and query.resource not in ("campaign", "customer"):
        message = f"Error in query: impression share cannot be selected from '{query.resource}' in this sandbox."
        raise query_error("PROHIBITED_METRIC_IN_SELECT_OR_WHERE_CLAUSE", message)


def _like(value: str, pattern: str) -> bool:
    """GAQL LIKE: ``%`` any text, ``_`` one character, ``[x]`` the character itself."""
    parts = re.findall(r"\[(.)\]|(%)|(_)|(.)", pattern, flags=re.DOTALL)
    regex = "".join(".*" if percent else "." if one else re.escape(literal or other) for literal, percent, one, other in parts)
    return re.fullmatch(regex, value, flags=re.IGNORECASE | re.DOTALL) is not None


def matches(value: object, condition: gaql.Condition) -> bool:
    """Whether an attribute's value meets the condition.

    Raises:
        ApiError: the condition's value cannot be compared with this field.
    """
    operator, wanted = condition.operator, condition.value
    if operator in ("IS NULL", "IS NOT NULL"):
        return (value in (None, "")) is (operator == "IS NULL")
    if value is None:
        return False
    if isinstance(wanted, tuple):
        texts = {text.upper() for text in wanted} if isinstance(value, bool) else set(wanted)
        if operator == "BETWEEN":
            low, high = (_comparable(value, text, condition.field) for text in wanted)
            return bool(low <= value <= high)  # type: ignore[operator]
        return (_text(value) in texts) is (operator == "IN")
    if operator in ("LIKE", "NOT LIKE"):
        if not isinstance(value, str):
            raise query_error("OPERATOR_FIELD_MISMATCH", f"Error in query: '{condition.field}' is no text; LIKE cannot be used.")
        return _like(value, str(wanted)) is (operator == "LIKE")
    other = _comparable(value, gaql.as_text(wanted), condition.field)
    if operator in ("=", "!="):
        return (value == other) is (operator == "=")
    return bool({"<": value < other, "<=": value <= other, ">": value > other, ">=": value >= other}[operator])  # type: ignore[operator]


def _text(value: object) -> str:
    return str(value).upper() if isinstance(value, bool) else gaql.as_text(value)


def _comparable(value: object, text: str, name: str) -> object:
    """``text`` as the type of ``value``."""
    if isinstance(value, bool):
        if text.upper() not in ("TRUE", "FALSE"):
            raise query_error("BAD_VALUE", f"Error in query: '{name}' is true or false, not {text}.")
        return text.upper() == "TRUE"
    if isinstance(value, int | float):
        try:
            return float(text)
        except ValueError:
            raise query_error("BAD_NUMBER", f"Error in query: '{name}' is a number, not {text}.") from None
    return text
