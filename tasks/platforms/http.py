"""Calls to a platform's JSON API over HTTP: signed, retried by error class, with errors that hold no address and no token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tasks.core.log import redact
from tasks.platforms import calls
from tasks.platforms.calls import Kind, RetryPolicy

if TYPE_CHECKING:
    import requests

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_REQUEST_IDS = ("X-Request-Id", "X-LI-UUID", "X-Transaction-Id")  # what platforms call the id by which their support finds a call
_REMEDIES = {
    Kind.SIGN_IN: "the credentials are wrong: run `aelp2 onboard {platform}` with those of the platform's app page",
    Kind.EXPIRED: "the token has run out: make a new one and run `aelp2 onboard {platform}`",
    Kind.PERMISSION: "the credentials may not do this: give the token the missing permission and run `aelp2 onboard {platform}`",
    Kind.VERSION: "this API version is gone: install a newer release of this package",
    Kind.REQUEST: "look the code up in the platform's documentation; quote the request id to its support",
    Kind.QUOTA: "",
    Kind.PASSING: "",
}


@dataclass(frozen=True)
class HttpFailure:
    """A failed call in the platform's own words; a :class:`tasks.platforms.calls.Failure`."""

    platform: str
    kind: Kind
    status: int | None  # None: there was no answer
    code: str
    message: str
    request_id: str = ""
    retry_seconds: float | None = None

    @property
    def codes(self) -> set[str]:
        """The platform's error code."""
        return {self.code}

    @property
    def remedy(self) -> str:
        """What a person does about it."""
        return _REMEDIES[self.kind].format(platform=self.platform)

    def __str__(self) -> str:
        head = f"HTTP {self.status}" if self.status else "no answer"
        return f"{head}, {self.code}: {redact(self.message)[:300]} (request id {self.request_id or 'none'})"


class FailedCallError(Exception):
    """What a call raises inside; ``failure`` says how it failed."""

    def __init__(self, failure: HttpFailure) -> None:
        super().__init__(str(failure))
        self.failure = failure


type Auth = Callable[[requests.PreparedRequest], requests.PreparedRequest]
type Judge = Callable[[requests.Response], HttpFailure | None]  # None: the answer is good


class Bearer:
    """Signs with ``token``, which a refresh replaces."""

    def __init__(self, token: str = "") -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Called by requests."""
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def basic(user: str, password: str) -> Auth:
    """HTTP basic authentication."""
    from requests.auth import HTTPBasicAuth

    return HTTPBasicAuth(user, password)


class JsonApi:
    """One platform's API.

    Args:
        platform: its name.
        base: address that paths are put behind, no trailing slash.
        judge: what an answer's failure is, None for a good one. A body that is no JSON never reaches it.
        auth: signs each request.
        policy: patience of reads.
        refresh: gets a new token when one has run out; then the call is made once more. None: the platform has no such thing.
        headers: sent with every request.
    """

    def __init__(
        self,
        platform: str,
        base: str,
        judge: Judge,
        *,
        auth: Auth | None = None,
        policy: RetryPolicy | None = None,
        refresh: Callable[[], None] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        import requests

        self._platform, self._base, self._judge, self._refresh = platform, base, judge, refresh
        self._policy = policy or RetryPolicy()
        self._session = requests.Session()
        self._session.auth = auth
        self._session.headers.update(headers or {})
        self._session.trust_env = urlsplit(base).hostname not in _LOOPBACK  # a proxy has no business on this machine
        self.request_id = ""  # of the last answer
        self.answer_headers: Mapping[str, str] = {}  # of the last answer; some platforms tell the id of what was made there alone

    def read(self, what: str, method: str, path: str, **request: Any) -> Any:
        """Decoded JSON of a call that changes nothing, retried; ``path`` may be a whole address below the base (a next page).

        ``request`` goes to ``requests`` (params, json, data, headers). Errors as :func:`tasks.platforms.calls.read`.
        """
        return calls.read(
            what, lambda: self._signed(method, path, calls.READ_TIMEOUT_SECONDS, request), self._policy, self.explain
        )

    def mutate(self, what: str, method: str, path: str, **request: Any) -> Any:
        """Decoded JSON of a call that changes something, made once. Errors as :func:`tasks.platforms.calls.mutate`."""
        return calls.mutate(what, lambda: self._signed(method, path, calls.MUTATE_TIMEOUT_SECONDS, request), self.explain)

    def download(self, what: str, url: str) -> bytes:
        """The bytes at an address that the platform gave out, retried, sent without credentials: such links are signed."""

        def get() -> bytes:
            import requests

            with requests.Session() as session:
                session.trust_env = urlsplit(url).hostname not in _LOOPBACK
                response = session.get(url, timeout=calls.READ_TIMEOUT_SECONDS)
            if response.status_code != 200:
                passes = response.status_code >= 500 or response.status_code == 429
                kind = Kind.PASSING if passes else Kind.REQUEST
                raise FailedCallError(
                    HttpFailure(self._platform, kind, response.status_code, "download", "the link is not served")
                )
            return response.content

        return calls.read(what, get, self._policy, self.explain)

    def explain(self, error: Exception) -> HttpFailure:
        """The failure behind an exception of a call; anything else is raised again."""
        import requests

        if isinstance(error, FailedCallError):
            return error.failure
        if isinstance(error, requests.RequestException):
            # Its text holds the address, and addresses hold tokens.
            return HttpFailure(self._platform, Kind.PASSING, None, type(error).__name__, "the connection broke or timed out")
        raise error

    def _signed(self, method: str, path: str, timeout: float, request: Mapping[str, Any]) -> Any:
        try:
            return self._call(method, path, timeout, request)
        except FailedCallError as error:
            if error.failure.kind is not Kind.EXPIRED or self._refresh is None:
                raise
        self._refresh()
        return self._call(method, path, timeout, request)

    def _call(self, method: str, path: str, timeout: float, request: Mapping[str, Any]) -> Any:
        url = path if path.startswith(("http://", "https://")) else self._base + path
        if not url.startswith(self._base):
            message = "the platform sent a next page at another host"
            raise FailedCallError(HttpFailure(self._platform, Kind.REQUEST, None, "FOREIGN_PAGE", message))
        response = self._session.request(method, url, timeout=timeout, **request)
        self.answer_headers = response.headers
        self.request_id = next((response.headers[name] for name in _REQUEST_IDS if name in response.headers), "")
        if response.status_code == 503 or (response.status_code >= 500 and not _is_json(response)):
            message = "the service is not available"
            raise FailedCallError(HttpFailure(self._platform, Kind.PASSING, response.status_code, "UNAVAILABLE", message))
        failure = self._judge(response)
        if failure is not None:
            raise FailedCallError(failure)
        return response.json() if response.content else {}


def _is_json(response: requests.Response) -> bool:
    return "json" in response.headers.get("Content-Type", "")
