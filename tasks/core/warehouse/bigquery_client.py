"""How this project talks to BigQuery: client, one query job with typed parameters, errors that say what to do."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tasks.core.errors import JobError, TryAgain
from tasks.core.log import get_logger

if TYPE_CHECKING:
    from tasks.core.settings import Settings
    from tasks.core.warehouse.parameters import ParameterType

# A query of this project reads aggregates; one that would scan more than this is a mistake and must not be billed.
MAX_BYTES_BILLED = 200 * 2**30
JOB_TIMEOUT_MS = 600_000
# BigQuery cancels a statement that touches rows another one is changing; the loser may simply run again.
_CONFLICT = "Could not serialize access"
_CONFLICT_TRIES = 8
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def make_client(settings: Settings) -> Any:
    """A client for ``settings.gcp_project``.

    With AELP2_BIGQUERY_ENDPOINT it talks to that address without credentials, which is allowed on this machine only.
    """
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    endpoint = settings.bigquery_endpoint
    if endpoint is None:
        return bigquery.Client(settings.gcp_project, location=settings.bigquery_location)
    if urlsplit(endpoint).hostname not in _LOOPBACK:
        raise JobError(
            f"AELP2_BIGQUERY_ENDPOINT={endpoint!r} is not on this machine; another endpoint is for the local test server only. "
            "Unset the variable to use Google's, or give http://127.0.0.1:PORT"
        )
    return bigquery.Client(
        settings.gcp_project,
        credentials=AnonymousCredentials(),
        location=settings.bigquery_location,
        client_options={"api_endpoint": endpoint},
    )


def call[T](doing: str, action: Callable[[], T]) -> T:
    """``action()``; Google's errors become ours, except NotFound, which callers may expect."""
    from google.api_core import exceptions

    try:
        return action()
    except exceptions.NotFound:
        raise
    except (exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError, ConnectionError) as error:
        raise TryAgain(f"BigQuery failed while {doing}: {error}; the same command may succeed later") from error
    except (exceptions.Unauthorized, exceptions.Forbidden) as error:
        if any(detail.get("reason") in ("rateLimitExceeded", "quotaExceeded") for detail in error.errors):
            raise TryAgain(f"BigQuery quota is used up while {doing}: {error}") from error
        raise JobError(f"BigQuery denied {doing}: {error}; check the job's service account and its roles") from error
    except exceptions.GoogleAPICallError as error:
        raise JobError(f"BigQuery refused {doing}: {error}") from error


def run(client: Any, sql: str, params: Mapping[str, tuple[ParameterType, object]], *, timeout_ms: int = JOB_TIMEOUT_MS) -> Any:
    """Run one statement to its end and return its job; a statement that lost against a concurrent one runs again.

    JobError for an error in the statement, TryAgain for a passing one.
    """
    from google.api_core.exceptions import BadRequest, NotFound
    from google.cloud import bigquery

    config = bigquery.QueryJobConfig(
        query_parameters=[_parameter(name, kind, value) for name, (kind, value) in params.items()],
        maximum_bytes_billed=MAX_BYTES_BILLED,
        job_timeout_ms=timeout_ms,
        labels={"app": "aelp2"},
        use_legacy_sql=False,
    )

    def attempt() -> Any:
        job_id = f"aelp2_query_{uuid.uuid4().hex}"
        # Own id: a request that is repeated after a lost answer finds its job instead of running the statement twice.
        job = client.query(sql, job_config=config, job_id=job_id, job_retry=None)
        job.result()
        return job

    for number in range(1, _CONFLICT_TRIES + 1):
        try:
            return call("running a query", attempt)
        except NotFound as error:
            raise JobError(f"BigQuery found no such table or job: {error}") from error
        except JobError as error:
            conflict = isinstance(error.__cause__, BadRequest) and _CONFLICT in str(error)
            if not conflict:
                raise
            if number == _CONFLICT_TRIES:
                raise TryAgain(f"{_CONFLICT_TRIES} attempts lost against concurrent statements: {error}") from error
            get_logger(__name__).info("statement lost against a concurrent one; it runs again", attempt=number)
            time.sleep(0.1 * 2**number)
    raise AssertionError("the loop returns or raises")


def _parameter(name: str, kind: ParameterType, value: object) -> Any:
    from google.cloud import bigquery

    if kind.is_array:
        return bigquery.ArrayQueryParameter(name, kind.name, list(value))  # type: ignore[call-overload]  # checked by parameter_type
    return bigquery.ScalarQueryParameter(name, kind.name, value)
