"""Fetching the business's table: secrets in the address stay secret, and half an answer is none."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tasks.core.errors import JobError, TryAgain
from tasks.ingest.outcomes_source import fetch

DAY = date(2026, 3, 1)
Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """host:port of a server on this machine that answers each GET with ``answer``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def text(handler: BaseHTTPRequestHandler, body: bytes, promised: int | None = None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) if promised is None else promised))
    handler.end_headers()
    handler.wfile.write(body)


def test_user_and_password_of_an_address_are_basic_authentication() -> None:
    """They are decoded and sent as a header."""
    with serving(lambda h: text(h, (h.headers["Authorization"] or "none").encode())) as host:
        said = fetch(f"http://me:p%40ss@{host}/x.csv", "AELP2_OUTCOMES_URL", DAY, DAY)
    assert said == "Basic " + base64.b64encode(b"me:p@ss").decode()


def test_a_redirect_takes_no_password_elsewhere() -> None:
    """Whoever the server points to does not get what was meant for it."""
    with serving(lambda h: text(h, (h.headers["Authorization"] or "none").encode())) as other:

        def elsewhere(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", f"http://{other}/y.csv")
            handler.end_headers()

        with serving(elsewhere) as host:
            assert fetch(f"http://me:secret@{host}/x.csv", "AELP2_OUTCOMES_URL", DAY, DAY) == "none"


def test_an_answer_that_was_cut_off_is_no_table() -> None:
    """A connection that breaks in the middle of a number must not make a smaller number."""
    with serving(lambda h: text(h, b"date,new_customers\n2026-03-01,16", 40)) as host, pytest.raises(TryAgain, match="32 of 40"):
        fetch(f"http://{host}/x.csv", "AELP2_OUTCOMES_URL", DAY, DAY)


@pytest.mark.parametrize(
    "address", ["https://me:s3cret@localhost:port/x.csv", "http://127.0.0.1:9/x.csv?key=s3cret y", "https://me:s3cret@[::1/x"]
)
def test_no_message_holds_a_secret_of_a_wrong_address(address: str) -> None:
    """The address is wrong; what it hides stays hidden."""
    with pytest.raises(JobError) as error:
        fetch(address, "AELP2_OUTCOMES_URL", DAY, DAY)
    assert "s3cret" not in str(error.value)
    assert error.value.__suppress_context__
