"""The official client (business_api_client 1.1.3), held to this package's rules: no log of its own, no retry of its own.

Used for every call but one. What had to be set right, found by reading and running it:

- ``GET oauth2/advertiser/get`` goes over plain HTTP: the app secret rides in its query, and the client leaves urllib3's retries
  on, which write the whole address to the log.
- Building its ``Configuration`` hangs handlers on the loggers of urllib3 and of itself. They are taken off again.
- Its exception holds the error code only inside a sentence, and an answer that is no JSON ends in a TypeError. So answers are
  decoded here, before it looks at them.
- It ignores proxies and certificate bundles of the environment, and a time-out that is not an ``int``.
- Its ``AdcreateCreatives`` and like models check little and know fewer fields than the API; bodies are plain dicts, which it
  takes too.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

from tasks.platforms import calls
from tasks.platforms.calls import Kind, RetryPolicy
from tasks.platforms.http import FailedCallError, HttpFailure
from tasks.platforms.tiktok.failures import decode

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_OWNERS = {  # call → the class of the client that has it
    "advertiser_info": "AccountManagementApi",
    "campaign_get": "CampaignCreationApi",
    "campaign_create": "CampaignCreationApi",
    "adgroup_get": "AdgroupApi",
    "adgroup_create": "AdgroupApi",
    "ad_get": "AdApi",
    "ad_create": "AdApi",
    "ad_status_update": "AdApi",
    "report_integrated_get": "ReportingApi",
}


class TikTokClient:
    """Calls of the official client by name, retried by error class.

    Args:
        base: address in front of ``/open_api``, no trailing slash.
        token: the access token, sent as a header.
        policy: patience of reads.
    """

    def __init__(self, base: str, token: str, policy: RetryPolicy) -> None:
        self._token, self._policy = token, policy
        self._client = _quiet_client(base)
        self._client.deserialize = self._decode
        self.request_id = ""  # of the last answer

    def read(self, what: str, call: str, **arguments: Any) -> Any:
        """``data`` of a call that changes nothing. Errors as :func:`tasks.platforms.calls.read`."""
        return calls.read(what, lambda: self._call(call, int(calls.READ_TIMEOUT_SECONDS), arguments), self._policy, self.explain)

    def mutate(self, what: str, call: str, body: dict[str, Any]) -> Any:
        """``data`` of a call that changes something, made once. Errors as :func:`tasks.platforms.calls.mutate`."""
        return calls.mutate(what, lambda: self._call(call, int(calls.MUTATE_TIMEOUT_SECONDS), {"body": body}), self.explain)

    def explain(self, error: Exception) -> HttpFailure:
        """The failure behind an exception of a call; anything else is raised again."""
        import urllib3
        from business_api_client.rest import ApiException

        if isinstance(error, FailedCallError):
            return error.failure
        if isinstance(error, ApiException) and error.status:
            try:
                decode(error.status, error.headers or {}, error.body or b"")
            except FailedCallError as told:
                return told.failure
        if isinstance(error, ApiException | urllib3.exceptions.HTTPError):
            return HttpFailure("tiktok", Kind.PASSING, None, type(error).__name__, "the connection broke or timed out")
        raise error

    def _call(self, call: str, timeout: int, arguments: dict[str, Any]) -> Any:
        import business_api_client as sdk

        method = getattr(getattr(sdk, _OWNERS[call])(self._client), call)
        return method(access_token=self._token, _request_timeout=timeout, **arguments)["data"]

    def _decode(self, response: Any, _kind: str) -> Any:
        """In place of the client's own decoding."""
        from business_api_client import InlineResponse200

        envelope = decode(response.status, response.urllib3_response.headers, response.data)
        self.request_id = str(envelope.get("request_id") or "")
        return InlineResponse200(code=0, data=envelope.get("data"), message="OK", request_id=self.request_id)


def _quiet_client(base: str) -> Any:
    import business_api_client as sdk
    import requests

    configuration = sdk.Configuration()
    configuration.host = base
    for logger in configuration.logger.values():
        logger.removeHandler(configuration.logger_stream_handler)
        # Below this urllib3 writes addresses down, and that of the account list holds the app secret.
        logger.setLevel(logging.WARNING)
    if urlsplit(base).hostname not in _LOOPBACK:
        environment = requests.Session().merge_environment_settings(base, {}, None, None, None)
        configuration.proxy = environment["proxies"].get(urlsplit(base).scheme)
        configuration.ssl_ca_cert = environment["verify"] if isinstance(environment["verify"], str) else None
    client = sdk.ApiClient(configuration)
    client.rest_client.pool_manager.connection_pool_kw["retries"] = False
    return client
