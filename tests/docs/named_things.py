"""Everything that a page of the documentation names and that must exist: files, targets, commands, options, variables, names."""

import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import generate_docs  # scripts/ is on the path

from tasks.cli import JOBS, cli
from tasks.core.contracts import all_contracts
from tasks.core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ("dev", "prod")
# Commands of gcloud with the flags that our pages use, looked up in its own help (test_deploy.py does it again where there is a
# gcloud). A page cannot use another one unread.
GCLOUD = {
    "gcloud artifacts docker images describe": set(),
    "gcloud artifacts docker images list": set(),
    "gcloud auth application-default login": {"--impersonate-service-account"},
    "gcloud auth login": set(),
    "gcloud auth print-access-token": set(),  # scripts/release.py
    "gcloud beta monitoring channels list": set(),
    "gcloud billing projects link": {"--billing-account"},
    "gcloud components install": set(),
    "gcloud composer environments describe": {"--project", "--location", "--format"},
    "gcloud composer environments list-packages": {"--location"},
    "gcloud config set": set(),
    "gcloud config unset": set(),
    "gcloud projects create": set(),
    "gcloud projects delete": set(),
    "gcloud projects undelete": set(),
    "gcloud secrets versions access": {"--secret", "--project"},
    "gcloud secrets versions add": {"--data-file", "--project"},
    "gcloud services enable": {"--project"},
    "gcloud storage buckets add-iam-policy-binding": {"--member", "--role"},
    "gcloud storage buckets create": {"--project", "--location", "--uniform-bucket-level-access", "--public-access-prevention"},
    "gcloud storage buckets update": {"--versioning"},
    "gcloud storage rm": {"--recursive"},
}
TERRAFORM = {"init", "plan", "apply", "output", "force-unlock", "import", "show", "state", "test", "validate", "fmt", "providers"}
_FOLDERS = "dags|docs|images|include|plugins|scripts|tasks|terraform|tests"
_AT_THE_TOP = r"Makefile|README\.md|CHANGELOG\.md|CONTRIBUTING\.md|pyproject\.toml|uv\.lock"
_PATH = re.compile(rf"(?<![\w./$-])(?:(?:{_FOLDERS})/[\w./*-]*[\w*]/?|(?:{_AT_THE_TOP}))")
_MADE = {  # by the first release, or the first `terraform init`
    *("dags/images.lock.json", "images/built.json"),
    *(f"terraform/{stack}/.terraform.lock.hcl" for stack in ("platform", "release")),
}
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_TABLE_OF_VARIABLES = re.compile(r"^\| variable of (terraform/\w+) \|.*\n\|[ -|]+\n((?:\|.*\n)+)", re.MULTILINE)


def problems(page: Path, text: str) -> list[str]:
    """What ``text`` names and nothing is called; ``page`` is where it lies, for its links."""
    fenced = [body for language, body in _FENCE.findall(text) if language in ("sh", "bash", "")]
    prose = _FENCE.sub("", text)
    inline = _CODE.findall(prose)
    found = [*_links(page, prose), *_tables_of_variables(text)]
    for line in [line for body in fenced for line in _lines(body)]:
        found += _command(line)
    for code in inline:
        if re.match(r"(make|aelp2|gcloud|terraform|\.venv\S*) ", code):
            found += [problem for line in _lines(code) for problem in _command(line)]
    found += _columns(prose)
    for code in [*fenced, *inline]:
        found += [*_paths(page, code), *_variables(code)]
    for code in inline:
        found += [
            *_dags(code),
            *(() if page.parent.name == "decisions" else _names(code)),
        ]  # a decision names what it did away with
    return found


def _lines(body: str) -> Iterator[str]:
    """Commands of a block: one a line, or joined by `\\`, `&&`, `|`, `;`."""
    for line in re.sub(r"\\\n", " ", body).splitlines():
        plain = re.split(r"\s+#\s", line)[0].strip()
        if plain and not plain.startswith("#"):
            yield from (part.strip() for part in re.split(r" && | \|\| | \| |; ", plain))


def _links(page: Path, prose: str) -> Iterator[str]:
    for target in _LINK.findall(prose):
        if not re.match(r"[a-z]+:|#", target) and not (page.parent / target.split("#")[0]).exists():
            yield f"link {target}: no such file"


def _paths(page: Path, code: str) -> Iterator[str]:
    for path in _PATH.findall(code):
        if re.search(r"[A-Z]{3,}", re.sub("README|CHANGELOG|CONTRIBUTING", "", path)):
            continue  # PLATFORM.yaml: a word to put something in for
        # From the root, or from the folder of the page and those in it, as a README says it of each.
        places = (ROOT, page.parent, *(page.parent.glob("*/") if page.name == "README.md" else ()))
        if path not in _MADE and not any(any(place.glob(path.rstrip("/"))) for place in places):
            yield f"path {path}: no such file"


@cache
def known_variables() -> set[str]:
    """Every AELP2_ variable that something reads, and those of the credentials' fields."""
    rows = generate_docs.docstring_rows(Settings)
    credentials = {row[0] for row in generate_docs.credential_rows()}
    return {row[0] for row in rows} | credentials | set(generate_docs.OTHER_VARIABLES)


def _variables(code: str) -> Iterator[str]:
    for name in re.findall(r"AELP2_[A-Z0-9_]*[A-Z0-9]\b(?![_*…])", code):
        is_a_form = {"NAME", "PLATFORM"} & set(name.split("_"))  # AELP2_NAME_ENDPOINT: of each platform
        if name not in known_variables() and not is_a_form:
            yield f"variable {name}: nothing reads it"


def _command(line: str) -> list[str]:
    try:
        words = shlex.split(line)
    except ValueError:
        return []  # an unfinished quotation is prose
    while words and re.match(r"[A-Z][A-Z0-9_]*=", words[0]):
        words = words[1:]
    if not words:
        return []
    program = words[0]
    if program == "make":
        return _make(words[1:])
    if program in ("aelp2", ".venv/bin/aelp2"):
        return _aelp2(words[1:])
    if program == "terraform":
        return _terraform(words[1:])
    if program == "gcloud":
        return _gcloud(words)
    if program in (".venv/bin/python", ".venv-airflow/bin/python"):
        return _script(words[1:])
    return []


def _make(words: list[str]) -> list[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    reads = text + "".join(file.read_text(encoding="utf-8") for file in (ROOT / "scripts").glob("*.py"))
    found = [f"make {word}: no such target" for word in words if re.fullmatch(r"[a-z][a-z-]*", word) and word not in targets]
    names = [word.split("=")[0] for word in words if "=" in word]
    found += [f"make … {name}=: nothing reads it" for name in names if not re.search(rf"\b{name}\b", reads)]
    given = next((word.split("=", 1)[1] for word in words if word.startswith("RELEASE_ARGS=")), "")
    return found + _options("scripts/release.py", shlex.split(given))


def _options(script: str, words: list[str]) -> list[str]:
    text = (ROOT / script).read_text(encoding="utf-8")
    given = [word.split("=")[0] for word in words if word.startswith("--")]
    return [f"{script} {option}: no such option" for option in given if f'"{option}"' not in text]


def _script(words: list[str]) -> list[str]:
    is_file = bool(words) and words[0].endswith(".py") and (ROOT / words[0]).exists()  # a missing one is found as a path
    return _options(words[0], words[1:]) if is_file else []


def _aelp2(words: list[str]) -> list[str]:
    while words and words[0].startswith("-"):
        words = words[1:]
    if not words or not re.fullmatch(r"[a-z][a-z0-9-]*", words[0]):
        return []  # COMMAND, JOB, …
    if words[0] in cli.commands:
        command: click.Command = cli.commands[words[0]]
    elif words[0] in JOBS:
        command = importlib.import_module(JOBS[words[0]].module).command
    else:
        return [f"aelp2 {words[0]}: no such command"]
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
    given = [word.split("=")[0].rstrip(",.;:)") for word in words[1:] if word.startswith("--")]
    return [f"aelp2 {words[0]} {option}: no such option" for option in given if option not in known]


def _terraform(words: list[str]) -> list[str]:
    stack = next((word.removeprefix("-chdir=") for word in words if word.startswith("-chdir=")), "terraform/platform")
    rest = [word for word in words if not word.startswith("-")]
    if not rest or rest[0] not in TERRAFORM:
        return [f"terraform {rest[0] if rest else ''}: no such command"]
    found = []
    for word in words:
        if match := re.match(r"-(?:var-file|backend-config)=(.+)", word):
            files = {f"{stack}/{re.sub(r'[$]ENVIRONMENT|ENV(?=[.])', name, match[1])}" for name in ENVIRONMENTS}
            if missing := sorted(file for file in files if not (ROOT / file).exists()):
                found.append(f"{word}: {missing[0]} does not exist")
    if rest[0] == "output" and len(rest) > 1 and rest[1] not in declared(stack, "output"):
        found.append(f"terraform output {rest[1]}: {stack} has no such output")
    return found


def declared(stack: str, kind: str) -> set[str]:
    """Names of the blocks `variable "…"` or `output "…"` of a stack."""
    text = "".join(file.read_text(encoding="utf-8") for file in (ROOT / stack).glob("*.tf"))
    return set(re.findall(rf'^{kind} "(\w+)"', text, re.MULTILINE))


def _tables_of_variables(text: str) -> Iterator[str]:
    for stack, rows in _TABLE_OF_VARIABLES.findall(text):
        for row in rows.splitlines():
            for name in _CODE.findall(row.split("|")[1]):
                if name not in declared(stack, "variable"):
                    yield f"variable {name}: {stack} declares none of that name"


def _gcloud(words: list[str]) -> list[str]:
    plain = [word for word in words if not word.startswith("-")]
    command = next((c for n in range(len(plain), 1, -1) if (c := " ".join(plain[:n])) in GCLOUD), None)
    if command is None:
        return [f"{' '.join(plain[:4])}: not among the commands of gcloud that were looked up"]
    given = {word.split("=")[0] for word in words if word.startswith("--")}
    return [f"{command} {flag}: not among the flags that were looked up" for flag in sorted(given - GCLOUD[command])]


@cache
def dag_ids() -> set[str]:
    """The ids of all DAGs: their files' names."""
    return {file.stem for file in (ROOT / "dags").glob("*.py")}


@cache
def _tables() -> set[str]:
    return {contract.table for contract in all_contracts(views=True)}


def _dags(code: str) -> Iterator[str]:
    others = _tables() | {file.stem for file in (ROOT / "tasks/ingest/maps").iterdir()}
    if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*_(daily|weekly)", code) and code not in dag_ids() | others:
        yield f"DAG {code}: there is none"


@cache
def _columns_of() -> dict[str, set[str]]:
    return {contract.name: {field.name for field in contract.fields} for contract in all_contracts(views=True)}


def _columns(prose: str) -> Iterator[str]:
    """`dataset.table`, `dataset.table.column`, and `column` in `dataset.table`."""
    datasets = {name.split(".")[0] for name in _columns_of()}
    named = [match for code in _CODE.findall(prose) if (match := re.fullmatch(r"(([a-z_0-9]+)\.[a-z_0-9]+)(?:\.(\w+))?", code))]
    for table, dataset, column in (match.groups() for match in named):
        if dataset in datasets and table not in _columns_of() and not table.endswith((".csv", ".py", ".tf", ".yaml")):
            yield f"table {table}: no contract"
        elif column and column not in _columns_of().get(table, {column}):
            yield f"column {column}: not in {table}"
    for column, table in re.findall(r"`([a-z_]+)` (?:of [^`.|]{0,30})?in `(\w+\.\w+)`", prose):
        if column not in _columns_of().get(table, {column}):
            yield f"column {column}: not in {table}"


@cache
def _resources() -> str:
    """All text in which an account, secret, config map or image may be named."""
    files = [*(ROOT / "terraform").rglob("*.tf"), ROOT / "terraform/platform/needs.yaml", *(ROOT / "plugins").rglob("*.py")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def _names(code: str) -> Iterator[str]:
    """`aelp2-reader`, also before @PROJECT…: an account, a namespace, a secret or a config map."""
    match = re.fullmatch(r"(aelp2-[a-z][a-z_-]*[a-z])(@\S+)?", code)
    if match and not re.search(rf"{match[1]}(?![\w-])", _resources()):
        yield f"name {match[1]}: neither Terraform nor the plugin has it"
