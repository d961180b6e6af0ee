"""Query parameters: one rule for both backends from a Python value to a BigQuery type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from tasks.core.errors import JobError


@dataclass(frozen=True)
class ParameterType:
    """A BigQuery type name such as INT64, and whether the parameter is an array of it."""

    name: str
    is_array: bool = False


# bool before int and datetime before date: each is a subclass of the other.
_SCALARS: tuple[tuple[type, str], ...] = (
    (bool, "BOOL"),
    (int, "INT64"),
    (float, "FLOAT64"),
    (str, "STRING"),
    (datetime, "TIMESTAMP"),
    (date, "DATE"),
)


def _scalar(name: str, value: object) -> str:
    for kind, bigquery_type in _SCALARS:
        if isinstance(value, kind):
            if isinstance(value, datetime) and value.tzinfo is None:
                raise JobError(f"parameter @{name}: {value!r} has no time zone; pass an aware datetime, for example in UTC")
            return bigquery_type
    allowed = ", ".join(kind.__name__ for kind, _ in _SCALARS)
    raise JobError(f"parameter @{name}: {value!r} is a {type(value).__name__}; pass one of {allowed} or a list of one of them")


def parameter_type(name: str, value: object, empty: str | None = None) -> ParameterType:
    """BigQuery type of ``value``; ``empty`` is the element type to use for an empty list.

    JobError if the value is None, naive, of mixed or unknown type, or an empty list of unknown element type.
    """
    if not isinstance(value, list | tuple):
        return ParameterType(_scalar(name, value))
    kinds = {_scalar(name, element) for element in value}
    if len(kinds) > 1:
        raise JobError(f"parameter @{name} mixes {sorted(kinds)}; a list parameter holds one type")
    if not kinds and empty is None:
        raise JobError(
            f"parameter @{name} is an empty list whose element type is unknown; compare it with a column of a contract table "
            "(`column IN UNNEST(@name)`), or do not run the query"
        )
    return ParameterType(kinds.pop() if kinds else str(empty), is_array=True)


def check_names(used: frozenset[str], params: Mapping[str, object]) -> None:
    """JobError that names the parameters which are missing and those given but not used."""
    missing, unused = used - set(params), set(params) - used
    if missing or unused:
        raise JobError(f"SQL parameters missing: {sorted(missing)}, given but not used: {sorted(unused)}")
