"""A local stand-in for Secret Manager's REST API, for the real client: secrets, their versions, and who is denied."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PROJECT = "aelp2-test"


class Double(ThreadingHTTPServer):
    """``secrets`` maps ids to versions, oldest first; ``status`` answers every call with an error instead."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.secrets: dict[str, list[bytes]] = {}
        self.status: tuple[int, str] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, method: str, path: str, query: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of a call."""
        if self.status is not None:
            return self._error(*self.status)
        root = f"/v1/projects/{PROJECT}/secrets"
        if (method, path) == ("POST", root):
            name = re.search(r"secretId=([\w-]+)", query)
            if name is None or "automatic" not in body.get("replication", {}):
                return self._error(400, "INVALID_ARGUMENT")
            self.secrets[name[1]] = []
            return 200, {"name": f"projects/{PROJECT}/secrets/{name[1]}"}
        found = re.fullmatch(rf"{root}/([\w-]+)(:addVersion|/versions/latest:access)", path)
        if found is None or found[1] not in self.secrets:
            return self._error(404, "NOT_FOUND")
        versions = self.secrets[found[1]]
        if found[2] == ":addVersion":
            versions.append(base64.b64decode(body["payload"]["data"]))
        if not versions:
            return self._error(404, "NOT_FOUND")
        answer: dict[str, Any] = {"name": f"projects/{PROJECT}/secrets/{found[1]}/versions/{len(versions)}"}
        if found[2] != ":addVersion":
            answer["payload"] = {"data": base64.b64encode(versions[-1]).decode()}
        return 200, answer

    @staticmethod
    def _error(code: int, status: str) -> tuple[int, dict[str, Any]]:
        return code, {"error": {"code": code, "message": f"{status} by the double", "status": status}}


class _Handler(BaseHTTPRequestHandler):
    server: Double

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Quiet."""

    def _handle(self) -> None:
        address = urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        status, answer = self.server.answer(self.command, address.path, address.query, body)
        payload = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = _handle  # noqa: N815 - the base class names them so


@contextmanager
def secret_manager() -> Iterator[Double]:
    """A running double."""
    double = Double()
    thread = threading.Thread(target=double.serve_forever, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        double.shutdown()
        double.server_close()
        thread.join()
