"""What is released: version, images, and whether the images of the lock file are those of this source."""

import ast
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from release_tools import Programs, ReleaseError

LOCK = "dags/images.lock.json"  # image name → reference by digest; plugins/aelp2_airflow/containers.py reads it
BUILT = "images/built.json"  # which source and version the lock is of
CONTRACTS = "include/sql/released.json"  # the tables as they are out; scripts/released_contracts.py writes it
RECORDS = (LOCK, BUILT, CONTRACTS)  # what a release itself commits
# What the Dockerfile can see. A change of anything else leaves the images as they are.
_IN_IMAGES = ("images/Dockerfile", ".dockerignore", "pyproject.toml", "uv.lock", "README.md", "tasks", "include")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ASSIGNMENT = re.compile(r'^\s*([a-z][a-z0-9_]*)\s*=\s*"([^"]*)"\s*(?:#.*)?$', re.MULTILINE)


@dataclass(frozen=True)
class Target:
    """Where a release goes: an environment's project and region, and the registry that all environments share."""

    environment: str
    project: str
    region: str
    registry: str


def version_of(root: Path) -> str:
    """The version in pyproject.toml."""
    return str(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def problems(root: Path, version: str, place: Target) -> list[str]:
    """What is not ready yet: the changelog has no section of ``version``; the environment's values are still the examples."""
    found = []
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[{re.escape(version)}\]", text, re.MULTILINE):
        found.append(
            f"CHANGELOG.md has no section `## [{version}]`, the version in pyproject.toml. Rename `## [Unreleased]` to "
            f"`## [{version}] - YYYY-MM-DD`, put an empty `## [Unreleased]` above it, commit, and run again"
        )
    if "my-company" in f"{place.project} {place.registry}":
        found.append(
            f"project {place.project!r}, registry {place.registry!r}: still the examples. Write your own project ids into "
            f"environments/{place.environment}.tfvars of terraform/platform and of terraform/release"
        )
    return found


def assignments(file: Path) -> dict[str, str]:
    """The `name = "text"` lines of a tfvars file."""
    if not file.is_file():
        raise ReleaseError(f"{file} does not exist; ENVIRONMENT is the name of a tfvars file beside it, such as dev or prod")
    return dict(_ASSIGNMENT.findall(file.read_text(encoding="utf-8")))


def target(root: Path, environment: str) -> Target:
    """What the tfvars of ``environment`` say."""
    values = assignments(root / "terraform" / "platform" / "environments" / f"{environment}.tfvars")
    values |= assignments(root / "terraform" / "release" / "environments" / f"{environment}.tfvars")
    if lacking := [name for name in ("project", "region", "images_project") if not values.get(name)]:
        raise ReleaseError(f"{environment}.tfvars of terraform/platform and terraform/release set no {', '.join(lacking)}")
    registry = f"{values['region']}-docker.pkg.dev/{values['images_project']}/aelp2"
    return Target(environment, values["project"], values["region"], registry)


def images_of_dags(root: Path) -> list[str]:
    """The names of all images that DAG files and plugins ask for: each `image="…"` of a call, and the default of `pod()`."""
    found = set()
    for file in [*sorted((root / "dags").glob("*.py")), *sorted((root / "plugins").rglob("*.py"))]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                given = [k.value for k in node.keywords if k.arg == "image"]
            elif isinstance(node, ast.FunctionDef):
                wanted = node.args.kwonlyargs
                given = [d for a, d in zip(wanted, node.args.kw_defaults, strict=True) if a.arg == "image" and d is not None]
            else:
                continue
            found |= {value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str)}
    if not found:
        raise ReleaseError("no DAG asks for an image; is this the root of the project?")
    return sorted(found)


def _tree(programs: Programs, *, paths: Iterable[str] = (), without: Iterable[str] = ()) -> str:
    """SHA-256 over mode, content and name of the committed files."""
    lines = programs.quietly("git", "ls-tree", "-r", "HEAD", "--", *paths).splitlines()
    kept = [line for line in lines if line.split("\t", 1)[1] not in set(without)]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()


def source_sha(programs: Programs, *, flags: bool) -> str:
    """What the images are made of; two commits with the same value need no other images."""
    files = _tree(programs, paths=_IN_IMAGES, without=RECORDS)
    return hashlib.sha256(f"{files} flags={flags}".encode()).hexdigest()


def tested_sha(programs: Programs) -> str:
    """What the tests test: everything but the records that the release itself commits."""
    return _tree(programs, without=RECORDS)


def check_image(image: str, labels: Mapping[str, str], commit: str) -> None:
    """ReleaseError unless the labels of a built image say: of this commit, on a base by digest."""
    revision, base = (labels.get(f"org.opencontainers.image.{key}", "") for key in ("revision", "base.name"))
    if revision != commit or not re.search(r"@sha256:[0-9a-f]{64}$", base):
        raise ReleaseError(
            f"localhost/aelp2-{image} is of revision {revision or 'unknown'} on base {base or 'unknown'}, not {commit} on a base "
            "by digest: another build on this machine took its name. Wait until that ends and run the same command again"
        )


def check_digest(image: str, text: str) -> str:
    """The digest that a push reported; ReleaseError if it is none."""
    digest = text.strip()
    if not _DIGEST.fullmatch(digest):
        raise ReleaseError(
            f"the push of image {image} reported the digest {digest!r}, not sha256: and 64 hex digits; {LOCK} stays as it was. "
            "Push it again; if it stays so, look at the version of the builder"
        )
    return digest


def lock_text(registry: str, digests: Mapping[str, str]) -> str:
    """The lock file: sorted, one line an image, so that a diff shows which image moved."""
    references = {image: f"{registry}/{image}@{check_digest(image, digest)}" for image, digest in digests.items()}
    return json.dumps(references, indent=2, sort_keys=True) + "\n"


def is_locked(root: Path, source: str, registry: str, images: Iterable[str]) -> bool:
    """Whether the lock file has ``images`` in ``registry``, made from ``source``: then nothing is to be built."""
    try:
        built = json.loads((root / BUILT).read_text(encoding="utf-8"))
        lock = json.loads((root / LOCK).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    right = all(str(lock.get(image, "")).startswith(f"{registry}/{image}@sha256:") for image in images)
    return right and built["source_sha256"] == source


def had_flags(root: Path) -> bool:
    """Whether the images of the lock were built with GrowthBook's SDK."""
    file = root / BUILT
    return bool(json.loads(file.read_text(encoding="utf-8"))["flags"]) if file.is_file() else False


def write_lock(root: Path, built: Mapping[str, object], registry: str, digests: Mapping[str, str]) -> None:
    """Write what the images are ``built`` of, then the lock, which is what DAGs read."""
    text = lock_text(registry, digests)
    (root / BUILT).write_text(json.dumps(built, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (root / LOCK).write_text(text, encoding="utf-8")
