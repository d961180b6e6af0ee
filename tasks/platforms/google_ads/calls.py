"""Google Ads' calls: the shared retries bound to Google's failures, and the request id of an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tasks.platforms import calls
from tasks.platforms.calls import MUTATE_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, CallError, RetryPolicy
from tasks.platforms.google_ads.failures import explain

__all__ = ["MUTATE_TIMEOUT_SECONDS", "READ_TIMEOUT_SECONDS", "CallError", "RequestIds", "RetryPolicy", "mutate", "read"]


def read[T](what: str, call: Callable[[], T], policy: RetryPolicy) -> T:
    """See :func:`tasks.platforms.calls.read`."""
    return calls.read(what, call, policy, explain)


def mutate[T](what: str, call: Callable[[], T]) -> T:
    """See :func:`tasks.platforms.calls.mutate`."""
    return calls.mutate(what, call, explain)


def _metadata(response: Any) -> Iterator[tuple[str, Any]]:
    """Initial and trailing metadata of an answer.

    Each interceptor of google-ads 34 adds a layer around the call, and the library's own layer returns the initial metadata
    for the trailing ones; so every layer is asked, down to grpc's call.
    """
    while hasattr(response, "trailing_metadata"):
        yield from response.initial_metadata() or ()
        yield from response.trailing_metadata() or ()
        response = getattr(response, "_underlay_call", None) or getattr(response, "_call", None)


class RequestIds:
    """A client interceptor that keeps the request id of the last answer: the client hands out only the message."""

    def __init__(self) -> None:
        self.last = ""

    def intercept(self) -> Any:
        """The interceptor as grpc wants it."""
        import grpc

        outer = self

        class _Interceptor(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc ships no types
            def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
                response = continuation(details, request)
                outer.last = ""
                if response.exception() is None:
                    outer.last = next((value for key, value in _metadata(response) if key == "request-id"), "")
                return response

        return _Interceptor()
