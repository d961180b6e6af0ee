"""A platform's sandbox API in this process, over forty days of the conformance world, and adapters on it."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from tasks.core.settings import load_settings
from tasks.lab.apis.server import Api, PlatformServer, Request, Response, write_platform_credentials
from tasks.lab.apis.tokens import Tokens
from tasks.lab.credentials import Credentials
from tasks.lab.sandbox import Sandbox
from tasks.lab.world import load_world
from tasks.platforms.calls import RetryPolicy

WORLD = Path(__file__).parent / "platforms" / "conformance" / "world.yaml"
START, HISTORY_DAYS, SEED = date(2026, 1, 10), 40, 7
DAY = timedelta(days=1)


class Recorded:
    """An API that answers as ``api`` does, keeps every request, and gives ``instead`` first where a test put answers there."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.platform = api.platform
        self.seen: list[Request] = []
        self.instead: dict[str, list[Response]] = {}  # by the end of a path

    def answer(self, request: Request, context: Any) -> Response:
        """See :class:`Api`."""
        self.seen.append(request)
        for end, answers in self.instead.items():
            if request.path.endswith(end) and answers:
                return answers.pop(0)
        return self._api.answer(request, context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)


@dataclass
class ApiLab:
    """A server with one platform; ``waits`` are the seconds its adapters would have slept."""

    folder: Path
    sandbox: Sandbox
    api: Recorded
    server: PlatformServer
    waits: list[float] = field(default_factory=list)

    @property
    def today(self) -> date:
        """The simulated day."""
        return self.sandbox.today

    @property
    def url(self) -> str:
        """Base address of the platform."""
        return f"{self.server.url}/{self.api.platform}"

    def platform(self, adapter: type[Any], standing: str = "good", *, home: Path | None = None, **policy: Any) -> Any:
        """A fresh adapter that signs in as ``standing``, or with what lies in ``home``."""
        folder = home or self.folder / {"good": "credentials"}.get(standing, f"credentials_{standing}")
        endpoint = {f"AELP2_{self.api.platform.upper()}_ENDPOINT": self.url}
        settings = replace(load_settings(endpoint), credentials_dir=folder, name_salt_file=self.folder / "salt")
        return adapter(settings, retries=RetryPolicy(sleep=self.waits.append, jitter=lambda: 1.0, **policy))

    def ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **request: Any) -> requests.Response:
        """A raw call, as no adapter makes it."""
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.url + path, headers=dict(headers or {}), timeout=300, **request)

    def paths(self) -> list[tuple[str, str]]:
        """Method and path of every call so far."""
        return [(request.method, request.path) for request in self.api.seen]


@contextmanager
def api_lab(api: Api, folder: Path, world: Path = WORLD) -> Iterator[ApiLab]:
    """``api`` served from ``folder``."""
    sandbox = Sandbox(folder, load_world(str(world)), SEED, START, HISTORY_DAYS)
    recorded = Recorded(api)
    server = PlatformServer(sandbox, Tokens(Credentials(folder)), [recorded])
    write_platform_credentials(folder, server)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield ApiLab(folder, sandbox, recorded, server)
    server.shutdown()
    server.server_close()


def processor_seconds(work: Callable[[], object]) -> float:
    """What ``work`` takes of the processor, the least of three: whoever else is at work counts for little. A bar is a ratio of
    two of these, since seconds alone are a machine's own.
    """

    def once() -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    return min(once() for _ in range(3))


def morning(day: date) -> str:
    """Six o'clock UTC, as AELP2_NOW takes it."""
    return datetime.combine(day, datetime.min.time()).replace(hour=6).isoformat() + "+00:00"
