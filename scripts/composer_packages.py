"""Hold Airflow's environment here against the packages of the pinned Composer image: scripts/composer_packages.txt.

    .venv-airflow/bin/python scripts/composer_packages.py                      compare what DAGs and plugins import
    … scripts/composer_packages.py page.html --image IMAGE --write             from a saved copy of Google's page of packages
    gcloud composer environments list-packages aelp2 --location REGION | … scripts/composer_packages.py - --image IMAGE --write

Google's page: docs.cloud.google.com/composer/docs/versions-packages. `pip freeze` and `pip list` are read as well.
"""

import argparse
import ast
import functools
import importlib.metadata
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "scripts" / "composer_packages.txt"
IMAGE = "composer-3-airflow-3.3.1-build.0"
_PINNED = re.compile(r"^\s*([A-Za-z0-9][\w.-]*)==(\S+)\s*$")
_TABLE = re.compile(r"^\s*([A-Za-z0-9][\w.-]*)\s+(\d\S*)\s*$")


@dataclass(frozen=True)
class Packages:
    """What is known of an image. ``assumed``: what the source does not reach to; taken as in uv.lock until somebody looks."""

    image: str
    source: str
    read: str
    versions: dict[str, str]
    assumed: dict[str, str]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(text: str) -> str:
    return text.removesuffix("+composer")  # Google's own build of the same release


class _Text(HTMLParser):
    """The text of a page, one line a block."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.lines += data.splitlines()


def parse(text: str, image: str) -> dict[str, str]:
    """Package → version of ``image``, out of Google's page (HTML or its text), gcloud's output, or pip's."""
    if text.lstrip().startswith("["):
        return {_normal(one["name"]): _version(one["version"]) for one in json.loads(text)}
    if "<html" in text[:2000].lower() or "</" in text[:2000]:
        page = _Text()
        page.feed(text)
        text = "\n".join(page.lines)
    lines = text.splitlines()
    if any(line.strip().startswith("Packages in composer-") for line in lines):
        lines = list(_section(lines, image))
    found = {}
    for line in lines:
        if match := _PINNED.match(line) or _TABLE.match(line):
            found[_normal(match[1])] = _version(match[2])
    if not found:
        raise SystemExit(f"no package of {image} was found in that text")
    return found


def _section(lines: list[str], image: str) -> Iterator[str]:
    """The lines of the page that list ``image``: from its heading to whatever comes that is no package."""
    start = next((n for n, line in enumerate(lines) if line.strip() == f"Packages in {image}"), None)
    if start is None:
        raise SystemExit(f"that page has no list «Packages in {image}»")
    for line in lines[start + 1 :]:
        if not line.strip():
            continue
        if not _PINNED.match(line):
            return
        yield line


def load(file: Path = LIST) -> Packages:
    """The list in the repository."""
    fields: dict[str, str] = {}
    known: dict[str, dict[str, str]] = {"": {}, "? ": {}}
    for line in file.read_text(encoding="utf-8").splitlines():
        if field := re.match(r"# (image|source|read): (.+)", line):
            fields[field[1]] = field[2]
        elif package := re.match(r"(\? )?([^#\s]+)==(\S+)$", line):
            known[package[1] or ""][package[2]] = package[3]
    return Packages(fields["image"], fields["source"], fields["read"], known[""], known["? "])


def text_of(packages: Packages) -> str:
    """The list as it stands in the repository."""
    head = f"# Packages of the Composer image. Written by scripts/composer_packages.py.\n# image: {packages.image}\n"
    head += f"# source: {packages.source}\n# read: {packages.read}\n"
    rows = "".join(f"{name}=={version}\n" for name, version in sorted(packages.versions.items()))
    if packages.assumed:
        rows += (
            "# Imported by DAGs or plugins, not in the source: as in uv.lock, confirmed by nobody. Refresh before a release.\n"
        )
        rows += "".join(f"? {name}=={version}\n" for name, version in sorted(packages.assumed.items()))
    return head + rows


@functools.cache
def imported() -> dict[str, str]:
    """Distribution → version installed, of every package that a DAG or a plugin imports."""
    modules = set()
    for folder in ("dags", "plugins"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    modules |= {name.name for name in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    modules.add(node.module)
    foreign = {module for module in modules if module.split(".")[0] not in {*sys.stdlib_module_names, "aelp2_airflow"}}
    owners = {str(file): dist for dist in importlib.metadata.distributions() for file in dist.files or []}
    found = {}
    for module in foreign:
        owner = owners[_file_of(module)]
        found[_normal(owner.metadata["Name"])] = owner.version
    return found


def _file_of(module: str) -> str:
    """The file of ``module`` as an installation's record names it."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{module} is imported by a DAG or a plugin and is not installed here")
    return spec.origin.rsplit("/site-packages/", 1)[-1]


def differences(packages: Packages, installed: dict[str, str]) -> list[str]:
    """What is not as in the image, or not known, of the packages ``installed``; and what is assumed without need."""
    wrong = []
    for name, version in sorted(installed.items()):
        expected = packages.versions.get(name) or packages.assumed.get(name)
        if expected is None:
            wrong.append(f"{name} {version} is imported, and {packages.image} is not known to have it")
        elif expected != version:
            wrong.append(f"{name} is {version} here and {expected} in {packages.image}")
    needless = sorted(name for name in packages.assumed if name not in installed or name in packages.versions)
    return wrong + [f"{name} is assumed without need" for name in needless]


def main() -> int:
    """Compare, or read a new list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "file", nargs="?", help="a saved page, gcloud's or pip's list; `-` for standard input; none: only compare"
    )
    parser.add_argument("--image", default=IMAGE, help=f"the image; {IMAGE} unless said")
    parser.add_argument("--source", default="", help="where the text comes from, for the head of the list")
    parser.add_argument(
        "--partial", action="store_true", help="the text ends early: what it lacks is taken as in uv.lock, and marked"
    )
    parser.add_argument("--write", action="store_true", help="write scripts/composer_packages.txt from it")
    asked = parser.parse_args()
    installed = imported()
    if not asked.file:
        packages = load()
    else:
        text = sys.stdin.read() if asked.file == "-" else Path(asked.file).read_text(encoding="utf-8")
        versions = parse(text, asked.image)
        assumed = {name: version for name, version in installed.items() if asked.partial and name not in versions}
        source = asked.source or ("standard input" if asked.file == "-" else Path(asked.file).name)
        packages = Packages(asked.image, source, datetime.now(UTC).date().isoformat(), versions, assumed)
        if asked.write:
            LIST.write_text(text_of(packages), encoding="utf-8")
    for name, version in sorted(packages.assumed.items()):
        sys.stdout.write(f"not confirmed: {name}=={version}\n")
    wrong = differences(packages, installed)
    sys.stderr.write("".join(f"{line}\n" for line in wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
