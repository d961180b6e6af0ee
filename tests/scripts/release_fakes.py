"""What a release talks to, as real programs on PATH and a real HTTP server: each writes down what it was asked."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import release_source  # scripts/ is on the path

Release = Callable[..., int]  # `make release ENVIRONMENT=dev RELEASE_ARGS=…`

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ["ads", "identity", "learn", "mmm", "report"]
REGISTRY = "europe-west1-docker.pkg.dev/acme-prod/aelp2"
TOKEN = "ya29.token-that-nobody-may-see"
_PROGRAM = """#!{python} -IS
import hashlib, json, subprocess, sys
from pathlib import Path

folder = Path({folder!r})
name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
behave = json.loads((folder / "behave.json").read_text())
call = {{"argv": [name, *arguments]}}
if "--password-stdin" in arguments:
    call["stdin"] = sys.stdin.read()
with (folder / "calls.jsonl").open("a") as log:
    log.write(json.dumps(call) + "\\n")
line = " ".join([name, *arguments])
for part, said in behave["fail"].items():
    if part in line:
        print(said)
        sys.exit(1)
if name == "podman" and arguments[0] == "push":
    image = arguments[-1].rsplit("/", 1)[1].split(":")[0]
    digest = behave["digests"].get(image) or "sha256:" + hashlib.sha256(arguments[-1].encode()).hexdigest()
    Path(arguments[arguments.index("--digestfile") + 1]).write_text(digest)
elif name == "podman" and arguments[0] == "image":
    head = subprocess.run([str(folder / "bin" / "git"), "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    labels = {{"revision": head.strip(), "base.name": "docker.io/library/python:3.12@sha256:" + "b" * 64}} | behave["labels"]
    own = {{"org.opencontainers.image." + key: value for key, value in labels.items()}}
    print(json.dumps([{{"Id": "id-of-" + arguments[-1].removeprefix("localhost/aelp2-"), "Labels": own}}]))
elif "scripts/released_contracts.py" in arguments:
    Path("include/sql/released.json").write_text(behave["contracts"])
elif name == "docker" and arguments[0] == "image":
    where, image = arguments[-1].rsplit("/", 1)[0], arguments[-1].rsplit("/", 1)[1].split(":")[0]
    digest = "sha256:" + hashlib.sha256(arguments[-1].encode()).hexdigest()
    print(json.dumps(["elsewhere/" + image + "@sha256:" + "0" * 64, where + "/" + image + "@" + digest]))
elif name == "terraform" and "plan" in arguments:
    Path(next(a for a in arguments if a.startswith("-out=")).removeprefix("-out=")).write_text("a plan")
    print("Plan: as behaved")
elif name == "terraform" and "show" in arguments:
    print(json.dumps(behave["plan"]))
elif name == "gcloud" and "print-access-token" in arguments:
    print({token!r})
elif name == "gcloud" and "describe" in arguments:
    print(behave["airflow"])
"""


class Fakes:
    """A folder of programs, what they were asked, and how they shall behave."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ("podman", "terraform", "gcloud", "make", "python")) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for name in names:
            program = self.bin / name
            program.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder), token=TOKEN), encoding="utf-8")
            program.chmod(0o755)
        (self.bin / "git").symlink_to(shutil.which("git") or "git-is-missing")
        self._behaviour: dict[str, Any] = {
            "fail": {},
            "digests": {},
            "contracts": "{}",
            "labels": {},
            "plan": {"resource_changes": []},
            "airflow": "",
        }
        self.behave()

    def behave(self, **changes: Any) -> None:
        """``fail``: part of a command line → what it says and fails; the others: what they answer."""
        self._behaviour |= changes
        (self.folder / "behave.json").write_text(json.dumps(self._behaviour), encoding="utf-8")

    def calls(self) -> list[list[str]]:
        """Every command line so far."""
        log = self.folder / "calls.jsonl"
        return [json.loads(line)["argv"] for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []

    def forget(self) -> None:
        """As if nothing had been called."""
        (self.folder / "calls.jsonl").unlink(missing_ok=True)

    def stdins(self) -> list[str]:
        """What passwords were handed over on the standard input."""
        lines = (self.folder / "calls.jsonl").read_text(encoding="utf-8").splitlines()
        return [call["stdin"] for call in map(json.loads, lines) if "stdin" in call]


def git(root: Path, *arguments: str) -> str:
    """Git in ``root``, as nobody in particular."""
    who = {f"GIT_{role}_{what}": "release@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(["git", *arguments], cwd=root, env=os.environ | who, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def project(root: Path, fakes: Fakes, version: str = "1.2.3") -> Path:
    """A small project of the same shape: the real DAGs and plugins, a few sources, tfvars of its own; its Python is a fake."""
    for folder in ("dags", "plugins"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "images.lock.json"))
    files = {
        "pyproject.toml": f'[project]\nname = "aelp2"\nversion = "{version}"\n',
        "CHANGELOG.md": f"# Changelog\n\n## [Unreleased]\n\n## [{version}] - 2026-11-26\n",
        ".gitignore": "/.local/\n/.venv/\n__pycache__/\n",
        "images/Dockerfile": "FROM scratch\n",
        "include/sql/released.json": "{}",
        "tasks/cli.py": "print('hello')\n",
        "README.md": "# It\n",
        "uv.lock": "",
    }
    for stack in ("platform", "release"):
        for name in ("dev", "prod"):
            values = {"project": f"acme-{name}", "region": "europe-west1", "environment": name, "images_project": "acme-prod"}
            text = "".join(f'{key} = "{value}"\n' for key, value in values.items())
            files[f"terraform/{stack}/environments/{name}.tfvars"] = text
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text, encoding="utf-8")
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to(fakes.bin / "python")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "One")
    return root


def table_change(table: str, actions: list[str], kind: str = "google_bigquery_table") -> dict[str, Any]:
    """A change of ``table`` as `terraform show -json` tells it."""
    dataset, name = table.split(".")
    before = {"dataset_id": dataset, "table_id": name}
    return {"address": f'{kind}.all["{table}"]', "type": kind, "change": {"actions": actions, "before": before}}


class Airflow:
    """What Composer's Airflow answers: pools, the smoke DAG, runs that end as told."""

    def __init__(self, lock: Path) -> None:
        self.lock = lock
        self.pools: dict[str, int] = {"default_pool": 128}
        self.paused = True
        self.runs: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self.failing: set[str] = set()
        self.old_runs = 0  # so many runs still have the images of before
        self.knows_smoke = True
        self.old_files: dict[str, int] = {}  # DAG → how often its file of before is told still
        self.ends = True

    def answer(self, method: str, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of one request to /api/v2."""
        if path == "/pools" and method == "GET":
            return 200, {"pools": [{"name": name, "slots": slots} for name, slots in self.pools.items()]}
        if path.startswith("/pools"):
            self.pools[str(body.get("name") or body["pool"])] = body["slots"]
            return 200, {}
        if path == "/dags":
            known = [file.stem for file in self.lock.parent.glob("*.py") if self.knows_smoke or file.stem != "smoke"]
            return 200, {"dags": [{"dag_id": dag_id} for dag_id in known]}
        if path.startswith("/dagSources/"):
            dag_id = path.removeprefix("/dagSources/")
            self.old_files[dag_id] = self.old_files.get(dag_id, 0) - 1
            text = (self.lock.parent / f"{dag_id}.py").read_text(encoding="utf-8")
            return 200, {"content": "of before" if self.old_files[dag_id] >= 0 else text}
        if path == "/importErrors":
            return 200, {"import_errors": [{"filename": "smoke.py", "stack_trace": "images.lock.json is missing"}]}
        if path == "/dags/smoke":
            self.paused = body["is_paused"]
            return 200, {}
        if path == "/dags/smoke/dagRuns":
            self.runs.append(dict(body))
            return 200, {"dag_run_id": f"run{len(self.runs)}"}
        number = int(re.fullmatch(r"/dags/smoke/dagRuns/run(\d+)(/taskInstances)?", path)[1])  # type: ignore[index]
        if path.endswith("/taskInstances"):
            return 200, {"task_instances": self._tasks(number)}
        state = "failed" if self.failing else "success"
        return 200, {"state": state if self.ends else "running"}

    def _tasks(self, number: int) -> list[dict[str, Any]]:
        lock = json.loads(self.lock.read_text(encoding="utf-8"))
        old = number <= self.old_runs
        return [
            {
                "task_id": f"{image}_none",
                "state": "failed" if f"{image}_none" in self.failing else "success",
                "rendered_fields": {"image": "registry/of@sha256:before" if old else reference},
            }
            for image, reference in lock.items()
        ]


@contextmanager
def serving(airflow: Airflow) -> Iterator[str]:
    """Its address."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            airflow.tokens.add(self.headers.get("Authorization", ""))
            path = self.path.split("?")[0].removeprefix("/api/v2")
            status, answer = airflow.answer(self.command, path, body)
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = _do  # noqa: N815 - the names that the server looks for
        do_POST = _do  # noqa: N815
        do_PATCH = _do  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def words(calls: list[list[str]]) -> list[str]:
    """Which program did what, shortly."""
    return [f"{c[0]} {next((a for a in c[1:] if not a.startswith('-')), '')}".strip() for c in calls]


def lock_of(root: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((root / release_source.LOCK).read_text(encoding="utf-8"))
    return found
