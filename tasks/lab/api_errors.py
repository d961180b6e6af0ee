"""Google Ads errors as this sandbox raises them, before they become trailing metadata."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One ``GoogleAdsError``.

    Attributes:
        family: field of ``ErrorCode``, e.g. ``query_error``.
        code: name of the enum value, e.g. ``UNRECOGNIZED_FIELD``.
        message: what a person reads.
        path: location, outermost first, as (field name, index or None).
        retry_seconds: sets ``QuotaErrorDetails.retry_delay``.
    """

    family: str
    code: str
    message: str
    path: tuple[tuple[str, int | None], ...] = ()
    retry_seconds: float | None = None


class ApiError(Exception):
    """A call that ends with a gRPC status and, where the API sends one, a ``GoogleAdsFailure``.

    Args:
        status: name of the gRPC status code, e.g. ``INVALID_ARGUMENT``.
        problems: the failure's errors; empty = a bare transport error without a failure.
        detail: the status message.
    """

    def __init__(self, status: str, problems: Sequence[Problem] = (), detail: str = "") -> None:
        self.status = status
        self.problems = tuple(problems)
        self.detail = detail or (self.problems[0].message if self.problems else status)
        super().__init__(self.detail)


def query_error(code: str, message: str) -> ApiError:
    """A ``QueryError``."""
    return ApiError("INVALID_ARGUMENT", [Problem("query_error", code, message)])
