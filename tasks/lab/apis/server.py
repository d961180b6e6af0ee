"""One HTTP server for all of them: ``http://127.0.0.1:PORT/<platform>/…``. Each platform answers in its own words.

Faults (``POST /faults`` of the admin side, with ``"platform"``): ``throttle``, ``expired_token``, ``unavailable``, ``half_page``,
``duplicate_page``, ``unknown_enum``, ``small_pages``, ``lost_response``, ``delay``.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import structlog
import yaml

from tasks.lab.apis.tokens import Standing, Tokens
from tasks.lab.apis.view import AccountView
from tasks.lab.cube import Cube, build_cube
from tasks.lab.faults import Call, Kind, hold, take
from tasks.lab.files import write_private
from tasks.lab.sandbox import Sandbox

SMALL_PAGE = 7

log = structlog.get_logger(source=__name__)


@dataclass(frozen=True)
class Request:
    """A call. ``path`` is what stands behind the platform's name, with a leading slash; ``url`` the whole address as asked."""

    method: str
    path: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    duplicate_rows: bool = False  # the page must hold a row twice
    unknown_enum: bool = False  # a status on the page must be one nobody knows
    small_pages: bool = False  # pages are cut to SMALL_PAGE rows, whatever is asked

    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body or b"{}")

    def form(self) -> dict[str, str]:
        """The body as a submitted form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True)
class Response:
    """An answer; ``body`` is sent as JSON unless it is bytes. ``mutated``: something was changed by it."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    mutated: bool = False


class Api(Protocol):
    """One platform."""

    platform: str

    def credentials(self, tokens: Tokens, standing: Standing) -> dict[str, str]:
        """What its adapter signs in with, as good as ``standing`` says."""

    def answer(self, request: Request, context: "Context") -> Response:
        """The platform's answer to a call whose faults have been dealt with."""

    def throttled(self, seconds: float) -> Response:
        """What the platform says when it is asked too much."""

    def expired(self) -> Response:
        """What it says to a token that has run out."""


@dataclass
class Context:
    """What an API answers from."""

    sandbox: Sandbox
    tokens: Tokens
    _cube: tuple[int, Cube] | None = None

    def view(self, account_id: str, platform: str) -> AccountView | None:
        """The account as it stands; None if ``platform`` has none of that id."""
        found = next((a for a in self.sandbox.world.accounts if (a.platform, a.id) == (platform, account_id)), None)
        return AccountView(self.sandbox, self.cube(), found) if found else None

    def views(self, platform: str) -> list[AccountView]:
        """Every account of ``platform``."""
        return [AccountView(self.sandbox, self.cube(), a) for a in self.sandbox.world.accounts if a.platform == platform]

    def cube(self) -> Cube:
        """The market's days as of now, made once for each state of the sandbox."""
        if self._cube is None or self._cube[0] != self.sandbox.version:
            self._cube = (self.sandbox.version, build_cube(self.sandbox))
        return self._cube[1]


class PlatformServer(ThreadingHTTPServer):
    """Serves ``apis`` over one sandbox on loopback; ``port`` 0 takes a free one."""

    daemon_threads = True

    def __init__(self, sandbox: Sandbox, tokens: Tokens, apis: list[Api], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.context = Context(sandbox, tokens)
        self.apis = {api.platform: api for api in apis}

    @property
    def url(self) -> str:
        """Base address without a trailing slash."""
        return f"http://127.0.0.1:{self.server_port}"

    def reply(self, api: Api, request: Request) -> tuple[Response, "Hit"]:
        """The answer with the faults that hit it."""
        sandbox = self.context.sandbox

        def hit(kind: Kind) -> Any:
            with sandbox.lock:
                return take(sandbox.faults, kind, Call(request.method, "", "", platform=api.platform, resource=request.path))

        if delay := hit("delay"):
            hold(sandbox.faults, delay)
        if fault := hit("throttle"):
            return api.throttled(fault.retry_delay_seconds), Hit()
        if hit("expired_token"):
            return api.expired(), Hit()
        if hit("unavailable"):
            return Response(503, b"<html><body>Service Unavailable</body></html>", {"Content-Type": "text/html"}), Hit()
        changed = replace(
            request,
            duplicate_rows=hit("duplicate_page") is not None,
            unknown_enum=hit("unknown_enum") is not None,
            small_pages=hit("small_pages") is not None,
        )
        with sandbox.lock:
            response = api.answer(changed, self.context)
        is_lost = response.mutated and hit("lost_response") is not None
        is_half = response.status == 200 and not response.mutated and hit("half_page") is not None
        return response, Hit(is_lost=is_lost, is_half=is_half)


@dataclass(frozen=True)
class Hit:
    """What happens to the answer on its way."""

    is_lost: bool = False
    is_half: bool = False


class _Handler(BaseHTTPRequestHandler):
    server: PlatformServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: without this each answer waits 40 ms for an acknowledgement

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Keep quiet: tokens ride in query strings."""

    def _handle(self) -> None:
        started = time.monotonic()
        address = urlsplit(self.path)
        head, _, rest = address.path.lstrip("/").partition("/")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        api = self.server.apis.get(head)
        if api is None:
            self._send(Response(404, {"error": f"no platform {head!r}; there are {', '.join(self.server.apis)}"}), Hit())
            return
        request = Request(
            method=self.command,
            path=f"/{rest}",
            url=f"http://{self.headers.get('Host', '')}{self.path}",
            query=dict(parse_qsl(address.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        try:
            response, hit = self.server.reply(api, request)
        except Exception:
            log.exception("the sandbox broke", platform=head, path=request.path)
            response, hit = Response(500, {"error": "the sandbox broke; see its log"}), Hit()
        self._send(response, hit)
        entry = {"platform": head, "method": self.command, "path": request.path, "status": response.status}
        self.server.context.sandbox.record_request(entry | {"seconds": round(time.monotonic() - started, 4)})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the base class names them so

    def _send(self, response: Response, hit: Hit) -> None:
        if hit.is_lost:
            self.close_connection = True
            return
        payload = response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
        self.send_response_only(response.status)  # an answer may be stamped with another Date than this machine's
        headers = {"Content-Type": "application/json", "Date": self.date_time_string(), **response.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload[: len(payload) // 2] if hit.is_half else payload)
        if hit.is_half:
            self.close_connection = True


def page[T](rows: list[T], start: int, size: int, request: Request, broken: Callable[[T], T]) -> tuple[list[T], int | None]:
    """Rows ``start`` to ``start + size`` and where the next page starts (None: there is none), with the request's faults.

    ``broken`` gives a row with a status that nobody knows.
    """
    size = min(size, SMALL_PAGE) if request.small_pages else size
    part = rows[start : start + size]
    if request.duplicate_rows and part:
        part = [part[0], *part]
    if request.unknown_enum and part:
        part = [broken(part[0]), *part[1:]]
    following = start + size
    return part, following if following < len(rows) else None


def write_platform_credentials(state_dir: Path, server: PlatformServer) -> None:
    """The files that the adapters read: good ones in ``credentials``, the others beside it in folders of their standing."""
    folders: dict[Standing, str] = {"good": "credentials", "expired": "credentials_expired", "limited": "credentials_limited"}
    for standing, name in folders.items():
        folder = state_dir / name
        folder.mkdir(mode=0o700, exist_ok=True)
        for platform, api in server.apis.items():
            write_private(folder / f"{platform}.yaml", yaml.safe_dump(api.credentials(server.context.tokens, standing)))
