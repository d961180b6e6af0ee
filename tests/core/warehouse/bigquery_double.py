"""A local stand-in for BigQuery's REST API over DuckDB, for the real google-cloud-bigquery client, unpatched.

    .venv/bin/python tests/core/warehouse/bigquery_double.py --port 9050 --path /tmp/double.duckdb

It answers what the warehouse backend uses: datasets, tables (list, get, insert, patch, delete, expiry), load jobs (multipart and
resumable upload of Parquet), query jobs (SELECT, MERGE, UPDATE with typed parameters), paged results, and errors in Google's
format. Statements run one after another, so a statement is atomic and serialised, as one statement on BigQuery is.

It refuses what BigQuery refuses on that way: unknown tables and columns, a NULL in a REQUIRED column, missing parameters, a load
whose schema or Parquet types are not the table's, a list column without list inference, required columns added to a table, two
source rows for one target row in a MERGE, DML without WHERE, two result columns of one name, layouts and labels that BigQuery
does not take. Rows of a query without ORDER BY come back shuffled, so that nobody comes to rely on an order.

What it does not prove: that BigQuery's analyser takes the SQL (DuckDB casts more freely; ``--statements`` writes every
statement to a file, and tests/loop has ZetaSQL analyse them), permissions, quotas, billing, locations, and conflicts between
statements that run at once. Its SELECTs go through the product's own dialect layer, so a mistake of that layer shows on both
sides; test_dialect_against_zetasql.py holds the layer against Google's reference evaluator.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from bigquery_double_store import Store, WireError  # noqa: E402  # found beside this file, which is also run by its path

PROJECT = "aelp2-test"
_BASE = r"/(?:upload/|resumable/upload/)?bigquery/v2/projects/(?P<project>[^/]+)"
_TABLE = rf"{_BASE}/datasets/(?P<dataset>[^/]+)/tables"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Double

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, body: Mapping[str, Any] | None, headers: Mapping[str, str] | None = None) -> None:
        payload = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def _dispatch(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        body = self._body()
        try:
            for method, pattern, action in _ROUTES:
                match = re.fullmatch(pattern, unquote(parts.path))
                if method == self.command and match:
                    self._answer(*action(self, query, body, **match.groupdict()))
                    return
            raise WireError(404, "notFound", f"no route {self.command} {parts.path}")
        except WireError as error:
            self._answer(error.status, error.body())
        except Exception:  # a bug of the double is an answer too: a cut connection would be tried again for ten minutes
            bug = WireError(400, "invalid", f"the double broke:\n{traceback.format_exc()}")
            self._answer(bug.status, bug.body())

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _dispatch  # noqa: N815  # names that BaseHTTPRequestHandler looks up

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the base class
        """Say nothing: a test's output is its own."""

    def get_dataset(self, _query: Any, _body: bytes, *, project: str, dataset: str) -> tuple[int, Any]:
        return 200, self.server.store.dataset(project, dataset)

    def insert_dataset(self, _query: Any, body: bytes, *, project: str) -> tuple[int, Any]:
        return 200, self.server.store.create_dataset(project, json.loads(body)["datasetReference"]["datasetId"])

    def insert_table(self, _query: Any, body: bytes, *, project: str, dataset: str) -> tuple[int, Any]:
        return 200, self.server.store.create_table(project, dataset, json.loads(body))

    def get_table(self, _query: Any, _body: bytes, *, project: str, dataset: str, table: str) -> tuple[int, Any]:
        return 200, self.server.store.table(project, dataset, table)

    def list_tables(self, query: Mapping[str, str], _body: bytes, *, project: str, dataset: str) -> tuple[int, Any]:
        return 200, self.server.store.tables(project, dataset, query)

    def patch_table(self, _query: Any, body: bytes, *, project: str, dataset: str, table: str) -> tuple[int, Any]:
        return 200, self.server.store.patch_table(project, dataset, table, json.loads(body))

    def delete_table(self, _query: Any, _body: bytes, *, project: str, dataset: str, table: str) -> tuple[int, Any]:
        self.server.store.delete_table(project, dataset, table)
        return 204, None

    def insert_job(self, _query: Any, body: bytes, *, project: str) -> tuple[int, Any]:
        return 200, self.server.store.insert_job(project, json.loads(body), None)

    def upload(self, query: Mapping[str, str], body: bytes, *, project: str) -> Any:
        if query["uploadType"] == "multipart":
            boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])
            assert boundary is not None
            _, first, second, _ = body.split(b"--" + boundary[1].encode())
            resource = json.loads(first.split(b"\r\n\r\n", 1)[1])
            content = second.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
            return 200, self.server.store.insert_job(project, resource, content)
        number = str(len(self.server.uploads))
        self.server.uploads[number] = (json.loads(body), bytearray())
        host = f"http://{self.headers['Host']}"
        path = f"/upload/bigquery/v2/projects/{project}/jobs/{number}"
        return 200, {}, {"Location": f"{host}{path}?uploadType=resumable"}

    def upload_chunk(self, _query: Any, body: bytes, *, project: str, number: str) -> Any:
        resource, content = self.server.uploads[number]
        content += body
        total = self.headers["Content-Range"].rpartition("/")[2]
        if total == "*" or len(content) < int(total):
            return 308, None, {"Range": f"bytes=0-{len(content) - 1}"}
        return 200, self.server.store.insert_job(project, resource, bytes(content))

    def get_job(self, _query: Any, _body: bytes, *, project: str, job: str) -> tuple[int, Any]:
        return 200, self.server.store.job(project, job)

    def results(self, query: Mapping[str, str], _body: bytes, *, project: str, job: str) -> tuple[int, Any]:
        return 200, self.server.store.results(project, job, query)


_ROUTES = [
    ("GET", rf"{_BASE}/datasets/(?P<dataset>[^/]+)", _Handler.get_dataset),
    ("POST", rf"{_BASE}/datasets", _Handler.insert_dataset),
    ("GET", _TABLE, _Handler.list_tables),
    ("POST", _TABLE, _Handler.insert_table),
    ("GET", rf"{_TABLE}/(?P<table>[^/]+)", _Handler.get_table),
    ("PATCH", rf"{_TABLE}/(?P<table>[^/]+)", _Handler.patch_table),
    ("DELETE", rf"{_TABLE}/(?P<table>[^/]+)", _Handler.delete_table),
    ("POST", r"/bigquery/v2/projects/(?P<project>[^/]+)/jobs", _Handler.insert_job),
    ("POST", r"(?:/resumable)?/upload/bigquery/v2/projects/(?P<project>[^/]+)/jobs", _Handler.upload),
    ("PUT", r"/upload/bigquery/v2/projects/(?P<project>[^/]+)/jobs/(?P<number>\d+)", _Handler.upload_chunk),
    ("GET", rf"{_BASE}/jobs/(?P<job>[^/]+)", _Handler.get_job),
    ("GET", rf"{_BASE}/queries/(?P<job>[^/]+)", _Handler.results),
]


class Double(ThreadingHTTPServer):
    """The server; ``store`` holds the tables, ``uploads`` the resumable uploads under way."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, path: str, statements: Path | None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.store = Store(path, statements)
        self.uploads: dict[str, tuple[Any, bytearray]] = {}


@contextmanager
def bigquery_double(path: Path, statements: Path | None = None) -> Iterator[dict[str, str]]:
    """Run the double as its own process on the file ``path``; gives the environment that points the warehouse at it.

    With ``statements`` every statement it is sent is written to that file.
    """
    process = subprocess.Popen(
        [sys.executable, __file__, "--path", str(path), *(["--statements", str(statements)] if statements else [])],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"the BigQuery double did not start; exit code {process.wait(300)}")
        yield {"AELP2_BACKEND": "bigquery", "AELP2_GCP_PROJECT": PROJECT, "AELP2_BIGQUERY_ENDPOINT": address}
    finally:
        process.terminate()
        process.wait(300)
        process.stdout.close()


def main() -> None:
    """Serve until terminated; the first line on stdout is the address."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--path", default=":memory:", help="DuckDB file that keeps the tables (default: memory)")
    parser.add_argument("--statements", type=Path, help="write every statement and its parameters' types to this file")
    options = parser.parse_args()
    server = Double(options.port, options.path, options.statements)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)  # noqa: T201  # the address is this program's result
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            time.sleep(0.5)
    except KeyboardInterrupt:
        server.shutdown()


if __name__ == "__main__":
    main()
