"""The sandbox's HTTP side: OAuth tokens, the advertiser's own exports, and the levers of the simulation.

| route | what |
| --- | --- |
| POST /token | OAuth 2 token endpoint of the service-account flow |
| GET /health | ready or not |
| GET /outcomes.csv?start=&end= | the CRM export: date,new_customers,revenue,currency |
| GET /controls.csv?start=&end= | the calendar: date,is_holiday,is_promo |
| GET /eurofxref.csv | the central bank's reference rates: Date,USD,…, units for one euro |
| GET /state, /requests, /faults | what is set, which calls came in, which faults are on (admin token) |
| GET /truth?start=&end= | true effects (admin token) |
| GET /experiment_truth?end= | true effect of the experiment by segment, of units assigned so far (admin token) |
| POST /advance {"days": n} | let days pass (admin token) |
| POST /faults {…}, DELETE /faults | switch faults on or off (admin token) |
| POST /edit {"budget_id": …, "amount_micros": …} | somebody edits in the web page (admin token) |
| POST /edit {"ad_id" or "campaign_id": …, "status": "PAUSED"} | the same for the status of an ad or a campaign (admin token) |
"""

import csv
import hmac
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from tasks.core.errors import JobError
from tasks.lab.credentials import Credentials
from tasks.lab.faults import Fault
from tasks.lab.fx import reference_rates
from tasks.lab.people import People
from tasks.lab.sandbox import WEB_USER, Sandbox
from tasks.lab.truth import experiment_truth, truth
from tasks.lab.wire import is_error

_OPEN = {("GET", "/health"), ("GET", "/outcomes.csv"), ("GET", "/controls.csv"), ("GET", "/eurofxref.csv"), ("POST", "/token")}


class AdminServer(ThreadingHTTPServer):
    """Serves one sandbox on loopback; ``port`` 0 takes a free one."""

    daemon_threads = True

    def __init__(self, sandbox: Sandbox, credentials: Credentials, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.sandbox = sandbox
        self.credentials = credentials

    @property
    def url(self) -> str:
        """Base address without a trailing slash."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: AdminServer

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Keep quiet: a token request's line must not reach a log."""

    def _answer(self, method: str) -> None:
        address = urlsplit(self.path)
        try:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            if (method, address.path) not in _OPEN and not self._is_admin():
                self._send(HTTPStatus.UNAUTHORIZED, {"error": "send 'Authorization: Bearer <text of the admin token file>'"})
                return
            route = getattr(self, f"_{method.lower()}_{address.path.strip('/').replace('.', '_')}", None)
            if route is None:
                self._send(HTTPStatus.NOT_FOUND, {"error": f"no route {method} {address.path}"})
                return
            query = {key: values[-1] for key, values in parse_qs(address.query).items()}
            status, answer = route(query, body)
            self._send(status, answer)
        except (JobError, ValueError, KeyError, TypeError) as error:
            text = f"missing field {error}" if isinstance(error, KeyError) else str(error)
            self._send(HTTPStatus.BAD_REQUEST, {"error": text})

    def _is_admin(self) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given, self.server.credentials.admin_token)

    def _send(self, status: HTTPStatus, answer: object) -> None:
        is_text = isinstance(answer, str)
        payload = (answer if isinstance(answer, str) else json.dumps(answer, indent=1)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/csv; charset=utf-8" if is_text else "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _get_health(self, _query: dict[str, str], _body: str) -> tuple[HTTPStatus, object]:
        return HTTPStatus.OK, {"status": "ok", "today": self.server.sandbox.today.isoformat()}

    def _post_token(self, _query: dict[str, str], body: str) -> tuple[HTTPStatus, object]:
        form = {key: values[-1] for key, values in parse_qs(body).items()}
        try:
            return HTTPStatus.OK, self.server.credentials.exchange(form)
        except PermissionError as error:
            code, _, text = str(error).partition(": ")
            return HTTPStatus.BAD_REQUEST, {"error": code, "error_description": text}

    def _window(self, query: dict[str, str]) -> tuple[date, date]:
        """Asked window cut to completed days."""
        sandbox = self.server.sandbox
        first = date.fromisoformat(query["start"]) if "start" in query else sandbox.market.start
        last = date.fromisoformat(query["end"]) if "end" in query else sandbox.today
        return max(first, sandbox.market.start), min(last, sandbox.today - timedelta(days=1))

    def _days(self, query: dict[str, str]) -> Iterator[tuple[int, date]]:
        first, last = self._window(query)
        for ordinal in range((last - first).days + 1):
            day = first + timedelta(days=ordinal)
            yield (day - self.server.sandbox.market.start).days, day

    def _get_outcomes_csv(self, query: dict[str, str], _body: str) -> tuple[HTTPStatus, object]:
        market, currency = self.server.sandbox.market, self.server.sandbox.world.currency
        rows: list[list[object]] = [["date", "new_customers", "revenue", "currency"]]
        with self.server.sandbox.lock:
            for index, day in self._days(query):
                result = market.days[index]
                rows.append([day.isoformat(), result.new_customers, f"{result.revenue_micros / 1e6:.2f}", currency])
        return HTTPStatus.OK, _csv(rows)

    def _get_controls_csv(self, query: dict[str, str], _body: str) -> tuple[HTTPStatus, object]:
        season = self.server.sandbox.market.season
        rows: list[list[object]] = [["date", "is_holiday", "is_promo"]]
        rows += [[day.isoformat(), *(str(flag).lower() for flag in season.calendar_flags(day))] for _, day in self._days(query)]
        return HTTPStatus.OK, _csv(rows)

    def _get_eurofxref_csv(self, _query: dict[str, str], _body: str) -> tuple[HTTPStatus, object]:
        sandbox = self.server.sandbox
        return HTTPStatus.OK, _csv(reference_rates(sandbox.world, sandbox.market.seed, sandbox.market.start, sandbox.today))

    def _get_state(self, _query: dict[str, str], _body: str) -> tuple[HTTPStatus, object]:
        sandbox = self.server.sandbox
        layout = sandbox.market.layout
        with sandbox.lock:
            state = {
                "world": sandbox.world.id,
                "seed": sandbox.market.seed,
                "first_day": sandbox.market.start.isoformat(),
                "last_day_of_history": sandbox.market.date_of(sandbox.market.history_days - 1).isoformat(),
                "today": sandbox.today.isoformat(),
                "now": sandbox.now.isoformat(),
                "advanced_days": sandbox.advanced_days,
                "manager_customer_id": sandbox.world.manager.id,
                "budgets": [
                    {
                        "customer_id": layout.budget_account[b.id],
                        "budget_id": b.id,
                        "amount_micros": sandbox.current("budget", b.id),
                        "explicitly_shared": b.shared,
                        "campaign_ids": [c.id for c in layout.campaigns if c.budget == b.id],
                    }
                    for b in layout.budgets
                ],
                "campaigns": [
                    {"campaign_id": c.id, "is_enabled": bool(sandbox.current("campaign", c.id))} for c in layout.campaigns
                ],
                "ads": [
                    {"ad_group_id": u.ad_group_id, "ad_id": u.ad_id, "is_enabled": bool(sandbox.current("ad", u.ad_id))}
                    for u in layout.units
                    if u.ad_id
                ],
                "changes": [vars(event) for event in sandbox.events],
                "restatements": [vars(restatement) for restatement in sandbox.restatements],
                "created": [vars(made) for made in sandbox.made],
            }
        return HTTPStatus.OK, state

    def _get_truth(self, query: dict[str, str], _body: str) -> tuple[HTTPStatus, object]:
        with self.server.sandbox.lock:
            return HTTPStatus.OK, truth(self.server.sandbox.market, *self._window(query))

    def _get_experiment_truth(self, query: dict[str, str], _body: str) -> tuple[HTTPStatus, object]:
        with self.server.sandbox.lock:
            return HTTPStatus.OK, experiment_truth(People(self.server.sandbox.market), self._window(query)[1])

    def _get_requests(self, _query: dict[str, str], _body: str) -> tuple[HTTPStatus, object]:
        with self.server.sandbox.lock:
            return HTTPStatus.OK, {"requests": list(self.server.sandbox.requests)}

    def _get_faults(self, _query: dict[str, str], _body: str) -> tuple[HTTPStatus, object]:
        with self.server.sandbox.lock:
            return HTTPStatus.OK, {"faults": [fault.to_json() for fault in self.server.sandbox.faults]}

    def _post_faults(self, _query: dict[str, str], body: str) -> tuple[HTTPStatus, object]:
        fault = json.loads(body)
        if "error" in fault and not is_error(fault["error"]):
            raise JobError(f"no error {fault['error']!r}; write <field of ErrorCode>.<value>, e.g. {Fault.error}")
        self.server.sandbox.add_fault(fault)
        return self._get_faults({}, "")

    def _delete_faults(self, query: dict[str, str], _body: str) -> tuple[HTTPStatus, object]:
        if unknown := sorted(set(query) - {"kind", "method"}):
            raise JobError(f"faults are not cleared by {unknown[0]}, only by kind and method")
        self.server.sandbox.clear_faults(**query)
        return self._get_faults({}, "")

    def _post_advance(self, _query: dict[str, str], body: str) -> tuple[HTTPStatus, object]:
        today = self.server.sandbox.advance(int(json.loads(body or "{}").get("days", 1)))
        return HTTPStatus.OK, {"today": today.isoformat(), "now": self.server.sandbox.now.isoformat()}

    def _post_edit(self, _query: dict[str, str], body: str) -> tuple[HTTPStatus, object]:
        asked = json.loads(body)
        if "status" in asked:
            return HTTPStatus.OK, self._edit_status(asked)
        budget, amount = int(asked["budget_id"]), int(asked["amount_micros"])
        if budget not in self.server.sandbox.market.layout.budget_index:
            raise JobError(f"no budget {budget}; GET /state lists them")
        if amount <= 0:
            raise JobError(f"amount_micros={amount}; a budget is above zero")
        self.server.sandbox.commit([("budget", budget, amount)], client_type="GOOGLE_ADS_WEB_CLIENT", user=WEB_USER)
        return HTTPStatus.OK, {"budget_id": budget, "amount_micros": self.server.sandbox.current("budget", budget)}

    def _edit_status(self, asked: dict[str, Any]) -> object:
        sandbox, layout = self.server.sandbox, self.server.sandbox.market.layout
        kind: Literal["ad", "campaign"] = "ad" if "ad_id" in asked else "campaign"
        entity = int(asked[f"{kind}_id"])
        is_there = entity in (layout.unit_index if kind == "ad" else layout.campaign_index)
        if not is_there and sandbox.made_of(kind, entity) is None:
            raise JobError(f"no {kind} {entity}; GET /state lists them")
        if asked["status"] not in ("ENABLED", "PAUSED"):
            raise JobError(f"status={asked['status']!r}; write ENABLED or PAUSED")
        value = int(asked["status"] == "ENABLED")
        sandbox.commit([(kind, entity, value)], client_type="GOOGLE_ADS_WEB_CLIENT", user=WEB_USER)
        return {f"{kind}_id": entity, "status": asked["status"]}


def _csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
