"""Calls to the Graph API through facebook-business: signed by its session, retried and explained as everywhere here.

The SDK's low-level ``FacebookAdsApi.call`` is used, not its objects: those would cost a Python object for each row of a report.
Endpoint and credentials live on instances of session and API that belong to one adapter; no class attribute and no default
API of the SDK is touched, nor is its crash reporter, which would send stack traces to Meta.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tasks.core.log import redact
from tasks.platforms import calls
from tasks.platforms.calls import CallError, Kind, RetryPolicy
from tasks.platforms.http import FailedCallError, HttpFailure
from tasks.platforms.meta.failures import TOO_MUCH_DATA, failure_of

if TYPE_CHECKING:
    import requests

API_VERSION = "v26.0"
BATCH_ROWS = 50  # what the batch API takes
SMALLEST_PAGE = 25
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class GraphApi:
    """The API as one token sees it.

    Args:
        endpoint: address in place of Meta's, no trailing slash; None: Meta.
        access_token: of a system user or a person.
        app_secret: of the token's app; each call proves that we know it.
        policy: patience of reads.
    """

    def __init__(self, endpoint: str | None, access_token: str, app_secret: str, policy: RetryPolicy) -> None:
        from facebook_business.api import FacebookAdsApi
        from facebook_business.session import FacebookSession

        _keep_tokens_out_of_logs()
        self._session = FacebookSession(app_secret=app_secret, access_token=access_token)
        self._session.requests.hooks["response"].append(_refuse_what_is_no_json)
        if endpoint:
            self._session.GRAPH = endpoint  # of this session alone
            self._session.requests.trust_env = urlsplit(endpoint).hostname not in _LOOPBACK  # a proxy has no business there
        self._secrets = (access_token, app_secret, self._session.appsecret_proof)
        self._api = FacebookAdsApi(self._session, api_version=API_VERSION)
        self._policy = policy
        self.access_token = access_token
        self.request_id = ""  # of the last answer

    def read(self, what: str, path: Sequence[str], params: Mapping[str, Any], *, method: str = "GET") -> Any:
        """Decoded JSON of a call that changes nothing, retried. Errors as :func:`tasks.platforms.calls.read`."""
        return calls.read(what, lambda: self._call(method, path, params, calls.READ_TIMEOUT_SECONDS), self._policy, self.explain)

    def mutate(self, what: str, path: Sequence[str], params: Mapping[str, Any]) -> Any:
        """Decoded JSON of a POST, made once. Errors as :func:`tasks.platforms.calls.mutate`."""
        return calls.mutate(what, lambda: self._call("POST", path, params, calls.MUTATE_TIMEOUT_SECONDS), self.explain)

    def pages(self, what: str, path: Sequence[str], params: Mapping[str, Any], limit: int) -> Iterator[list[dict[str, Any]]]:
        """Every page's rows by cursor; smaller pages from where Meta says that one holds too much.

        The address of a next page holds the token, so it is never used.
        """
        after: str | None = None
        while True:
            asked = {**params, "limit": limit, **({"after": after} if after else {})}
            try:
                answer = self.read(what, path, asked)
            except CallError as error:
                if TOO_MUCH_DATA not in error.failure.codes or limit <= SMALLEST_PAGE:
                    raise
                limit //= 2
                continue
            yield answer["data"]
            paging = answer.get("paging", {})
            if "next" not in paging:
                return
            after = paging["cursors"]["after"]

    def batch(self, what: str, rows: Sequence[tuple[str, Mapping[str, Any]]], *, changes: bool) -> list[HttpFailure | None]:
        """POST ``params`` to each object, at most 50, in one call: how each failed, None if it did not.

        ``changes`` False: all of it only validates, so the call is retried. AmbiguousMutationError, TryAgain or CallError as for
        a single call; the batch API may leave a row unanswered, and such a one is as good as a lost answer.
        """
        if len(rows) > BATCH_ROWS:
            raise ValueError(f"{len(rows)} calls in a batch; at most {BATCH_ROWS}")

        def send() -> list[HttpFailure | None]:
            found: dict[int, HttpFailure | None] = {}
            batch = self._api.new_batch()
            for place, (node, params) in enumerate(rows):
                batch.add(
                    "POST",
                    (node,),
                    params=dict(params),
                    success=partial(_note, found, place, None),
                    failure=partial(self._note_failure, found, place),
                )
            self._session.timeout = calls.MUTATE_TIMEOUT_SECONDS
            batch.execute()
            if len(found) < len(rows):
                message = f"{len(rows) - len(found)} of {len(rows)} calls of the batch were not answered"
                raise FailedCallError(HttpFailure("meta", Kind.PASSING, None, "UNANSWERED", message))
            return [found[place] for place in range(len(rows))]

        if changes:
            return calls.mutate(what, send, self.explain)
        return calls.read(what, send, self._policy, self.explain)

    def explain(self, error: Exception) -> HttpFailure:
        """The failure behind an exception of a call; anything else is raised again."""
        import requests
        from facebook_business.exceptions import FacebookRequestError

        if isinstance(error, FailedCallError):
            return error.failure
        if isinstance(error, requests.RequestException):
            # Its text holds the address, and addresses hold the token.
            return HttpFailure("meta", Kind.PASSING, None, type(error).__name__, "the connection broke or timed out")
        if isinstance(error, FacebookRequestError):
            body = error.body()
            told = body.get("error", {}) if isinstance(body, dict) else {}
            headers = error.http_headers()
            if isinstance(headers, list):  # so within a batch
                headers = {one["name"]: one["value"] for one in headers}
            # Meta's own words quote a malformed token.
            clean = {**told, "message": self._without_secrets(str(told.get("message") or ""))}
            return failure_of(clean, error.http_status(), headers or {})
        raise error

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text

    def _call(self, method: str, path: Sequence[str], params: Mapping[str, Any], timeout: float) -> Any:
        self._session.timeout = timeout
        response = self._api.call(method, tuple(path), params=dict(params))
        self.request_id = response.headers().get("x-fb-trace-id", "")
        return response.json()

    def _note_failure(self, found: dict[int, HttpFailure | None], place: int, response: Any) -> None:
        found[place] = self.explain(response.error())


def _note(found: dict[int, HttpFailure | None], place: int, failure: HttpFailure | None, _response: Any) -> None:
    found[place] = failure


def _refuse_what_is_no_json(response: requests.Response, **_: Any) -> None:
    """Raise for a page of HTML: the SDK would take most such pages for a good answer, and trip over the others."""
    kind = response.headers.get("Content-Type", "")
    if "html" in kind or (response.status_code >= 500 and not response.text.lstrip().startswith(("{", "["))):
        message = "the service is not available"
        raise FailedCallError(HttpFailure("meta", Kind.PASSING, response.status_code, "UNAVAILABLE", message))


class _NoTokens(logging.Filter):
    """At DEBUG urllib3 logs each address, and ours hold the token: whoever turns all logging up must not get it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Cut it out of the line; the line stays."""
        record.msg, record.args = redact(record.getMessage()), ()
        return True


_NO_TOKENS = _NoTokens()


def _keep_tokens_out_of_logs() -> None:
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_NO_TOKENS)  # once, however often
