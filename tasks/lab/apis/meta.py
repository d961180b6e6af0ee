"""Meta's Marketing API v26.0 as far as the product uses it: accounts, campaigns, ad sets, ads, creatives, insights by job,
activities, statuses, new paused entities, batches.

Each call carries the token and its appsecret_proof in the query, as the official SDK sends them. Lists go on by cursor and by a
``next`` address that holds the token, as on the platform. Reports are jobs: small ones are ready at the first look, larger ones
at the second; a lost job answers as one that was never there. Budgets are in cents. Not modelled: other time increments, other
breakdowns, archived and deleted entities. Pages of more than 5,000 rows are refused, which is the sandbox's own bound.
"""

import base64
import hashlib
import hmac
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tasks.lab.apis.meta_activities import activities
from tasks.lab.apis.meta_entities import EDGES, create, entities, set_status
from tasks.lab.apis.meta_errors import GraphError, not_found
from tasks.lab.apis.meta_insights import MAX_ROWS, Run, parse
from tasks.lab.apis.server import Context, Request, Response, page
from tasks.lab.apis.tokens import Standing, Tokens
from tasks.lab.apis.view import AccountView

VERSIONS = ("v25.0", "v26.0")
PAGE_ID = "104000000000001"
SCOPES: dict[Standing, list[str]] = {"good": ["ads_read", "ads_management"], "limited": ["ads_read"], "expired": []}
BATCH_CALLS, PAGE_LIMIT, KEPT_RUNS = 50, 5000, 64
_ACCOUNT_FIELDS = ("id", "account_id", "name", "account_status", "currency", "timezone_name")
_RUN_FIELDS = ("id", "async_status", "async_percent_completion", "error_code", "error_subcode", "error_message")
_AD_FIELDS = ("id", "name", "adset_id", "campaign_id", "configured_status", "effective_status")


@dataclass(frozen=True)
class Call:
    """A call, alone or in a batch: ``params`` are those of the query and of the form together."""

    method: str
    path: tuple[str, ...]
    params: Mapping[str, str]
    request: Request
    standing: Standing

    def fields(self, allowed: tuple[str, ...], node: str) -> list[str]:
        """The fields asked for; GraphError for one that ``node`` does not have."""
        asked = [name for name in self.params.get("fields", "id").split(",") if name]
        if unknown := sorted(set(asked) - set(allowed)):
            raise GraphError(100, f"(#100) Tried accessing nonexisting field ({unknown[0]}) on node type ({node})")
        return ["id", *(name for name in asked if name != "id")]

    def need_management(self) -> None:
        """GraphError unless the token may change something."""
        if self.standing != "good":
            raise GraphError(200, "(#200) Requires ads_management permission to manage the object", status=403)


class MetaApi:
    """See the module."""

    platform = "meta"
    max_rows = MAX_ROWS

    def __init__(self) -> None:
        self.runs: OrderedDict[str, Run] = OrderedDict()

    def credentials(self, tokens: Tokens, standing: Standing) -> dict[str, str]:
        """Token, secret of its app, and a page to advertise for."""
        secret = tokens.secret(self.platform, "app-secret")
        return {"access_token": tokens.access_token(self.platform, standing), "app_secret": secret, "page_id": PAGE_ID}

    def throttled(self, seconds: float) -> Response:
        """Of the business use case where it ends on a whole minute, which is how that header counts, else of the ad account."""
        if seconds % 60:
            use: Any = {"acc_id_util_pct": 100.0, "reset_time_duration": seconds, "ads_api_access_tier": "standard_access"}
            headers, code, subcode = {"X-Ad-Account-Usage": json.dumps(use)}, 17, 2446079
        else:
            use = {"type": "ads_insights", "call_count": 100, "total_cputime": 40, "total_time": 40}
            use |= {"estimated_time_to_regain_access": int(seconds // 60), "ads_api_access_tier": "standard_access"}
            headers, code, subcode = {"X-Business-Use-Case-Usage": json.dumps({"1": [use]})}, 80000, 2446079
        message = f"(#{code}) There have been too many calls from this ad-account. Please wait a bit and try again."
        return GraphError(code, message, subcode=subcode, headers=headers).response("throttled")

    def expired(self) -> Response:
        """A token that has run out."""
        return _expired().response("expired")

    def answer(self, request: Request, context: Context) -> Response:
        """One call."""
        trace_id = context.sandbox.next_request_id()
        try:
            response = self._answer(request, context)
        except GraphError as error:
            return error.response(trace_id)
        return replace(response, headers={"X-FB-Trace-ID": trace_id, **response.headers})

    def _answer(self, request: Request, context: Context) -> Response:
        version, *path = request.path.strip("/").split("/")
        if version not in VERSIONS:
            told = "You are calling a deprecated version of the Ads API. Please update to the latest version:"
            raise GraphError(2635, f"(#2635) {told} {VERSIONS[-1]}.")
        standing = _standing(request, context.tokens)
        form = request.form() if request.method == "POST" else {}
        call = Call(request.method, tuple(part for part in path if part), {**request.query, **form}, request, standing)
        if call.method == "POST" and not call.path and "batch" in call.params:
            return self._batch(call, context)
        return self._route(call, context)

    def _batch(self, call: Call, context: Context) -> Response:
        """Each call of the batch by itself; one that fails leaves the others as they are."""
        asked = json.loads(call.params["batch"])
        if len(asked) > BATCH_CALLS:
            raise GraphError(100, f"(#100) Too many requests in batch message. Maximum batch size is {BATCH_CALLS}")
        answers = []
        for one in asked:
            address = urlsplit(one["relative_url"])
            params = dict(parse_qsl(address.query)) | dict(parse_qsl(one.get("body", "")))
            try:
                own = self._route(
                    replace(call, method=one["method"], path=tuple(address.path.split("/")), params=params), context
                )
            except GraphError as error:
                own = error.response(context.sandbox.next_request_id())
            headers = [{"name": name, "value": value} for name, value in own.headers.items()]
            answers.append((own, {"code": own.status, "headers": headers, "body": json.dumps(own.body)}))
        return Response(200, [told for _, told in answers], mutated=any(own.mutated for own, _ in answers))

    def _route(self, call: Call, context: Context) -> Response:
        head, rest = (call.path[0] if call.path else ""), call.path[1:]
        if call.method == "GET" and call.path == ("debug_token",):
            return _debug_token(call, context)
        if call.method == "GET" and call.path == ("me", "adaccounts"):
            names = call.fields(_ACCOUNT_FIELDS, "AdAccount")
            return _paged(call, [_chosen(_account(view), names) for view in context.views(self.platform)])
        if call.method == "GET" and not call.path and "ids" in call.params:
            found = [self._node(replace(call, path=(node,)), context) for node in call.params["ids"].split(",")]
            return Response(200, {body["id"]: body for body in found})
        if head.startswith("act_"):
            return self._account_call(call, context, head, rest)
        if head in self.runs:
            return self._run_call(call, context, head, rest)
        if call.method == "POST" and not rest:
            return set_status(call, context, head)
        if call.method == "GET" and not rest:
            return Response(200, self._node(call, context))
        raise not_found(call.method.lower(), "/".join(call.path))

    def _node(self, call: Call, context: Context) -> dict[str, Any]:
        found = [row for view in context.views(self.platform) for row in entities(view, "ads") if row["id"] == call.path[0]]
        if not found:
            raise not_found("get", call.path[0])
        return _chosen(found[0], call.fields(_AD_FIELDS, "Adgroup"))

    def _account_call(self, call: Call, context: Context, head: str, rest: tuple[str, ...]) -> Response:
        view = context.view(head.removeprefix("act_"), self.platform)
        if view is None:
            raise not_found(call.method.lower(), head)
        if call.method == "GET" and not rest:
            return Response(200, _chosen(_account(view), call.fields(_ACCOUNT_FIELDS, "AdAccount")))
        edge = rest[0] if len(rest) == 1 else ""
        if edge == "insights" and call.method == "POST":
            asked = parse(call.params, view, context.sandbox.today, self.max_rows)
            return Response(200, {"report_run_id": self._start(Run(view.account.id, asked), context)})
        if edge == "activities" and call.method == "GET":
            return _paged(call, activities(call, view))
        if edge in EDGES and call.method == "POST":
            return create(call, context, view, edge, PAGE_ID)
        if edge in EDGES and call.method == "GET":
            names = call.fields(EDGES[edge].fields, EDGES[edge].node)
            broken = _shadowed(EDGES[edge].status)
            return _paged(call, [_chosen(row, names) for row in entities(view, edge)], broken)
        raise not_found(call.method.lower(), "/".join(call.path))

    def _start(self, run: Run, context: Context) -> str:
        number = hashlib.sha256(context.sandbox.next_request_id().encode()).hexdigest()[:13]
        run_id = f"6{int(number, 16)}"
        self.runs[run_id] = run
        while len(self.runs) > KEPT_RUNS:
            self.runs.popitem(last=False)
        return run_id

    def _run_call(self, call: Call, context: Context, run_id: str, rest: tuple[str, ...]) -> Response:
        run = self.runs[run_id]
        view = context.view(run.account_id, self.platform)
        if view is None or call.method != "GET":
            raise not_found(call.method.lower(), run_id)
        if rest == ("insights",):
            if not run.reads:
                raise GraphError(100, "(#100) The report is not completed", subcode=1487990)
            return _paged(call, run.rows)
        names = call.fields(_RUN_FIELDS, "AdReportRun")
        return Response(200, _chosen(self.progress(run, view) | {"id": run_id}, names))

    def progress(self, run: Run, view: AccountView) -> dict[str, Any]:
        """How far the job is; looking at it moves it on."""
        status, percent = run.advance(view)
        return {"async_status": status, "async_percent_completion": percent}


def _expired() -> GraphError:
    message = "Error validating access token: Session has expired on Monday, 02-Mar-26 01:00:00 PST."
    return GraphError(190, message, subcode=463, status=401)


def _standing(request: Request, tokens: Tokens) -> Standing:
    """How good the call's token is; GraphError unless it is known, proven and not run out."""
    token = request.query.get("access_token", "")
    standing = tokens.standing(MetaApi.platform, token)
    if standing is None:
        raise GraphError(190, f"Malformed access token {token}" if token else "An active access token must be used", status=401)
    secret = tokens.secret(MetaApi.platform, "app-secret")
    wanted = hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()
    given = request.query.get("appsecret_proof")
    if given is None:
        raise GraphError(100, "API calls from the server require an appsecret_proof argument", type_="GraphMethodException")
    if not hmac.compare_digest(given, wanted):
        raise GraphError(100, "Invalid appsecret_proof provided in the API argument", type_="GraphMethodException")
    if standing == "expired":
        raise _expired()
    return standing


def _debug_token(call: Call, context: Context) -> Response:
    asked = context.tokens.standing(MetaApi.platform, call.params.get("input_token"))
    if asked is None:
        raise GraphError(100, "(#100) The access token could not be decrypted")
    data = {"app_id": "900000000000001", "type": "SYSTEM_USER", "is_valid": asked != "expired", "scopes": SCOPES[asked]}
    return Response(200, {"data": data | {"expires_at": 0, "data_access_expires_at": 0, "user_id": "1220000001"}})


def _account(view: AccountView) -> dict[str, Any]:
    account = view.account
    return {
        "id": f"act_{account.id}",
        "account_id": account.id,
        "name": account.name,
        "account_status": 1,
        "currency": account.currency,
        "timezone_name": account.time_zone,
    }


def _chosen(row: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """The fields asked for that the object has; Meta leaves out what is empty."""
    return {name: row[name] for name in names if row.get(name) is not None}


def _shadowed(status: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda row: row | {status: "SHADOWED"}


def _paged(
    call: Call, rows: list[dict[str, Any]], broken: Callable[[dict[str, Any]], dict[str, Any]] = lambda row: row
) -> Response:
    """A page with its cursors; ``next`` is there if more follows."""
    size = int(call.params.get("limit", 25))
    if not 1 <= size <= PAGE_LIMIT:
        raise GraphError(100, f"(#100) limit must be between 1 and {PAGE_LIMIT}")
    start = int(base64.b64decode(call.params["after"])) if call.params.get("after") else 0
    part, following = page(rows, start, size, call.request, broken)
    if not part:
        return Response(200, {"data": []})
    cursors = {"before": _cursor(start), "after": _cursor(following if following is not None else len(rows))}
    paging: dict[str, Any] = {"cursors": cursors}
    if following is not None:
        head = call.request.url.partition("?")[0]
        paging["next"] = f"{head}?{urlencode({**call.request.query, 'after': cursors['after']})}"
    return Response(200, {"data": part, "paging": paging})


def _cursor(place: int) -> str:
    return base64.b64encode(str(place).encode()).decode()
