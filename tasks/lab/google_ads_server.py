"""Google Ads over gRPC and TLS: the official client talks to it unpatched.

Messages are google-ads' own classes; only the services that the product uses are registered, so that start-up stays short. Any
other version of the API is answered as a sunset one.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import structlog

from tasks.lab import catalog, gaql, mutate, report, wire
from tasks.lab.api_errors import ApiError, Problem
from tasks.lab.creating import Creation, create
from tasks.lab.credentials import Credentials
from tasks.lab.cube import Cube, build_cube
from tasks.lab.faults import Call, raise_before, take
from tasks.lab.sandbox import EntityKind, Sandbox

PAGE_ROWS = 10_000
_PATH = re.compile(r"/google\.ads\.googleads\.(v\d+)\.services\.(\w+)/(\w+)")
_METHOD_NAMES = {"Search": "search", "SearchStream": "search_stream"}
_MUTATION_FIELDS: dict[str, EntityKind] = {
    "campaign_budget_operation": "budget",
    "campaign_operation": "campaign",
    "ad_group_ad_operation": "ad",
}
_SERVICE_KINDS: dict[str, EntityKind] = {
    "MutateCampaignBudgets": "budget",
    "MutateCampaigns": "campaign",
    "MutateAdGroupAds": "ad",
}
_CREATION_FIELDS = {"budget": "campaign_budget", "campaign": "campaign", "adgroup": "ad_group", "ad": "ad_group_ad"}
_RESULT_FIELDS: dict[EntityKind, str] = {"budget": "campaign_budget", "campaign": "campaign", "ad": "ad_group_ad"}

log = structlog.get_logger(source=__name__)


class GoogleAdsServer(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types
    """Answers calls on one sandbox.

    Args:
        sandbox: the state.
        credentials: which bearer and developer tokens are good.
    """

    def __init__(self, sandbox: Sandbox, credentials: Credentials) -> None:
        self._sandbox = sandbox
        self._credentials = credentials
        self._cube: tuple[int, Cube] | None = None

    def start(self, port: int, key_pem: bytes, cert_pem: bytes) -> tuple[grpc.Server, int]:
        """Serve on ``localhost:port`` (0 = a free one) until the returned server is stopped; returns it and the port."""
        options = [
            ("grpc.max_receive_message_length", 64 << 20),
            ("grpc.max_send_message_length", 64 << 20),
            ("grpc.so_reuseport", 0),
        ]
        server = grpc.server(ThreadPoolExecutor(8, thread_name_prefix="google-ads"), options=options)
        server.add_generic_rpc_handlers((self,))
        bound = server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([(key_pem, cert_pem)]))
        server.start()
        return server, bound

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler of one method path; None is gRPC's UNIMPLEMENTED."""
        match = _PATH.fullmatch(handler_call_details.method)
        if match is None or match[3] not in wire.SERVICES.get(match[2], {}):
            return None
        version, method = match[1], match[3]
        request_class, response_class, streams = wire.SERVICES[match[2]][method]
        request_pb, response_pb = request_class.pb(), response_class.pb()
        make = grpc.unary_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
        return make(
            self._answering(version, method, streams=streams),
            request_deserializer=request_pb.FromString,
            response_serializer=response_pb.SerializeToString,
        )

    def _answering(self, version: str, method: str, *, streams: bool) -> Callable[[Any, grpc.ServicerContext], Any]:
        def answer(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            request_id = self._sandbox.next_request_id()
            call = _describe(version, method, request)
            entry: dict[str, object] = {
                "request_id": request_id,
                "method": method,
                "customer_id": request.customer_id,
                "validate_only": call.validate_only,
                "resource": call.resource,
            }
            try:
                self._admit(context, call)
                context.set_trailing_metadata((("request-id", request_id),))
                if call.method == "mutate":
                    yield self._mutate(request, method, call, request_id)
                elif streams:
                    yield from self._stream(request, call, request_id)
                else:
                    yield self._page(request, call)
                self._sandbox.record_request(entry | {"status": "OK"})
            except ApiError as error:
                self._sandbox.record_request(entry | {"status": error.status, "codes": [p.code for p in error.problems]})
                context.set_trailing_metadata(wire.trailing_metadata(error, request_id, version))
                context.abort(getattr(grpc.StatusCode, error.status), error.detail)
            except Exception:
                log.exception("google_ads_call_failed", method=method, request_id=request_id)
                raise

        if streams:
            return answer
        return lambda request, context: next(_drained(answer(request, context)))

    def _admit(self, context: grpc.ServicerContext, call: Call) -> None:
        """Version, tokens, headers and account, in that order, then the faults that end a call early."""
        sandbox = self._sandbox
        with sandbox.lock:
            is_sunset = take(sandbox.faults, "sunset_version", call) is not None
        if call.version != wire.API_VERSION or is_sunset:
            message = f"Version {call.version} is deprecated. Requests to this version will be blocked."
            raise ApiError("INVALID_ARGUMENT", [Problem("request_error", "UNSUPPORTED_VERSION", message)])
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        self._credentials.check_call(metadata)
        login, manager = metadata.get("login-customer-id", ""), sandbox.world.manager.id
        if login and not re.fullmatch(r"\d{10}", login):
            message = f"The login customer ID {login!r} is invalid; write ten digits without dashes."
            raise ApiError("INVALID_ARGUMENT", [Problem("header_error", "INVALID_LOGIN_CUSTOMER_ID", message)])
        if not re.fullmatch(r"\d{10}", call.customer_id):
            message = f"Invalid customer ID {call.customer_id!r}."
            raise ApiError("INVALID_ARGUMENT", [Problem("request_error", "INVALID_CUSTOMER_ID", message)])
        is_known = call.customer_id == manager or catalog.account_of(sandbox, call.customer_id) is not None
        if not is_known or (login != manager and (login or call.customer_id != manager)):
            message = (
                "User doesn't have permission to access customer. Note: If you're accessing a client customer, the manager's "
                "customer id must be set in the 'login-customer-id' header."
            )
            raise ApiError("PERMISSION_DENIED", [Problem("authorization_error", "USER_PERMISSION_DENIED", message)])
        raise_before(sandbox.faults, sandbox.lock, call)

    def _rows(self, request: Any) -> tuple[gaql.Query, list[Any]]:
        query = gaql.parse(request.query)
        with self._sandbox.lock:
            if self._cube is None or self._cube[0] != self._sandbox.version:
                self._cube = (self._sandbox.version, build_cube(self._sandbox))
            rows = report.execute(self._sandbox, self._cube[1], request.customer_id, query)
        return query, wire.to_messages(rows, query.fields)

    def _stream(self, request: Any, call: Call, request_id: str) -> Iterator[Any]:
        response_pb = wire.SERVICES["GoogleAdsService"]["SearchStream"][1].pb()
        query, rows = self._rows(request)
        batches = [rows[i : i + PAGE_ROWS] for i in range(0, len(rows), PAGE_ROWS)]
        with self._sandbox.lock:
            if rows and take(self._sandbox.faults, "unknown_enum", call):
                _give_unknown_status(rows[0])
            if batches and take(self._sandbox.faults, "duplicate_page", call):
                batches.insert(1, batches[0])
            is_broken = take(self._sandbox.faults, "broken_stream", call) is not None
        for batch in batches:
            response = response_pb(results=batch, request_id=request_id)
            response.field_mask.paths.extend(query.fields)
            yield response
            if is_broken:
                raise ApiError("UNAVAILABLE", detail="Stream removed")

    def _page(self, request: Any, call: Call) -> Any:
        response_pb = wire.SERVICES["GoogleAdsService"]["Search"][1].pb()
        if request.page_size:
            message = "Setting the page size is not supported. Search Responses will have fixed page size of '10000' rows."
            raise ApiError("INVALID_ARGUMENT", [Problem("request_error", "PAGE_SIZE_NOT_SUPPORTED", message)])
        query, rows = self._rows(request)
        if request.validate_only:
            return response_pb()
        fingerprint = hashlib.sha256(f"{request.customer_id} {request.query}".encode()).hexdigest()[:16]
        start = _offset(request.page_token, fingerprint) if request.page_token else 0
        page = rows[start : start + PAGE_ROWS]
        with self._sandbox.lock:
            if page and take(self._sandbox.faults, "duplicate_page", call):
                page = page + page
        response = response_pb(results=page)
        response.field_mask.paths.extend(query.fields)
        if request.search_settings.return_total_results_count:
            response.total_results_count = len(rows)
        if start + PAGE_ROWS < len(rows):
            token = json.dumps([fingerprint, start + PAGE_ROWS]).encode()
            response.next_page_token = base64.urlsafe_b64encode(token).decode()
        return response

    def _mutate(self, request: Any, method: str, call: Call, request_id: str) -> Any:
        if catalog.account_of(self._sandbox, request.customer_id) is None:
            message = "The operation cannot be executed by a manager account."
            raise ApiError("INVALID_ARGUMENT", [Problem("request_error", "CANNOT_BE_EXECUTED_BY_MANAGER_ACCOUNT", message)])
        if (creations := _creations(request, method)) is not None:
            return self._create(request, creations, call)
        operations = _operations(request, method)
        outcomes = mutate.run(self._sandbox, request.customer_id, operations, call, is_partial=request.partial_failure)
        with self._sandbox.lock:
            is_lost = take(self._sandbox.faults, "lost_response", call) is not None
        if is_lost:
            raise ApiError("UNAVAILABLE", detail="Socket closed")
        return _mutate_response(self._sandbox, request, method, outcomes, request_id)

    def _create(self, request: Any, creations: list[Creation], call: Call) -> Any:
        sandbox = self._sandbox
        made = create(sandbox, request.customer_id, creations, validate_only=call.validate_only)
        with sandbox.lock:
            is_lost = take(sandbox.faults, "lost_response", call) is not None
        if is_lost:
            raise ApiError("UNAVAILABLE", detail="Socket closed")
        response = wire.SERVICES["GoogleAdsService"]["Mutate"][1].pb()()
        for one, (_, name) in zip(creations, made, strict=False):  # nothing is made by validating
            item = response.mutate_operation_responses.add()
            getattr(item, f"{_CREATION_FIELDS[one.kind]}_result").resource_name = name
        return response


def _creations(request: Any, method: str) -> list[Creation] | None:
    """The creates of a request that holds nothing else and is all or nothing; None for any other request."""
    if method != "Mutate" or request.partial_failure:
        return None
    kinds = {f"{field}_operation": kind for kind, field in _CREATION_FIELDS.items()}
    found = []
    for index, item in enumerate(request.mutate_operations):
        which = item.WhichOneof("operation")
        if which not in kinds or getattr(item, which).WhichOneof("operation") != "create":
            return None
        path = (("mutate_operations", index), (which, None))
        found.append(Creation(kinds[which], getattr(item, which).create, path))
    return found or None


def _give_unknown_status(row: Any) -> None:
    """A status newer than the client's API version: a number that its enum does not name."""
    for name in ("campaign", "ad_group", "ad_group_ad", "asset_group"):
        if row.HasField(name) and getattr(row, name).status:
            getattr(row, name).status = 999


def _drained(items: Iterator[Any]) -> Iterator[Any]:
    """The items after the generator has run to its end: a unary call is recorded only once it has been answered."""
    return iter(list(items))


def _describe(version: str, method: str, request: Any) -> Call:
    query = getattr(request, "query", "")
    resource = re.search(r"\bFROM\s+(\w+)", query, flags=re.IGNORECASE)
    is_dry = bool(getattr(request, "validate_only", False))
    return Call(_METHOD_NAMES.get(method, "mutate"), request.customer_id, version, is_dry, resource[1] if resource else None)


def _offset(token: str, fingerprint: str) -> int:
    try:
        owner, start = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        owner, start = "", 0
    if owner != fingerprint:
        raise ApiError(
            "INVALID_ARGUMENT", [Problem("request_error", "INVALID_PAGE_TOKEN", "The page token is not of this query.")]
        )
    return int(start)


def _operations(request: Any, method: str) -> list[mutate.Operation]:
    if method != "Mutate":
        kind = _SERVICE_KINDS[method]
        return [mutate.Operation(kind, m, (("operations", i),)) for i, m in enumerate(request.operations)]
    operations = []
    for index, item in enumerate(request.mutate_operations):
        which = item.WhichOneof("operation")
        if which not in _MUTATION_FIELDS:
            message = f"This sandbox does not serve {which or 'empty operations'}; it serves {', '.join(_MUTATION_FIELDS)}."
            problem = Problem("mutate_error", "MUTATE_NOT_ALLOWED", message, (("mutate_operations", index),))
            raise ApiError("INVALID_ARGUMENT", [problem])
        path = (("mutate_operations", index), (which, None))
        operations.append(mutate.Operation(_MUTATION_FIELDS[which], getattr(item, which), path))
    return operations


def _mutate_response(sandbox: Sandbox, request: Any, method: str, outcomes: list[mutate.Outcome], request_id: str) -> Any:
    """Results in the operations' order, an empty one where an operation failed; nothing for a validate-only request."""
    service = next(s for s, methods in wire.SERVICES.items() if method in methods)
    response = wire.SERVICES[service][method][1].pb()()
    problems = [o.problem for o in outcomes if o.problem]
    if problems:
        response.partial_failure_error.CopyFrom(wire.partial_failure_status(problems, request_id))
    if request.validate_only:
        return response
    wants_resource = request.response_content_type == 2  # MUTABLE_RESOURCE
    for outcome in outcomes:
        field = _RESULT_FIELDS[outcome.kind]
        if method == "Mutate":
            item = response.mutate_operation_responses.add()
            if outcome.problem is None:
                _fill(sandbox, getattr(item, f"{field}_result"), field, outcome, wants_resource=wants_resource)
        else:
            item = response.results.add()
            if outcome.problem is None:
                _fill(sandbox, item, field, outcome, wants_resource=wants_resource)
    return response


def _fill(sandbox: Sandbox, result: Any, field: str, outcome: mutate.Outcome, *, wants_resource: bool) -> None:
    result.resource_name = outcome.resource_name
    if wants_resource:
        resource = getattr(result, field)
        resource.resource_name = outcome.resource_name
        current = sandbox.current(outcome.kind, outcome.entity)
        if outcome.kind == "budget":
            resource.amount_micros = current
        else:
            wire.set_field(resource, wire.field_of(resource.DESCRIPTOR, "status"), "ENABLED" if current else "PAUSED")
