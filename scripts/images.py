"""Build the job images with podman: `make image`, `make image EXTRA=mmm`. images/README.md says what they are.

The base is the one that images/Dockerfile pins by digest. Where no registry is reached, a base for tests takes its place and says
so; `--release` never does that. BASE_IMAGE (a reference by digest, or a local image) names another one.
"""

import argparse
import ast
import configparser
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import image_base
import yaml
from podman import ROOT, PodmanError, inspect, podman, require

DOCKERFILE = ROOT / "images" / "Dockerfile"
MANIFESTS = ROOT / "tests" / "pods" / "manifests" / "composer"
_DIGEST = re.compile(r"[a-z0-9][\w.:/-]*@sha256:[0-9a-f]{64}")
_SENT = ("pyproject.toml", "uv.lock", "README.md", "tasks", "include", "images/Dockerfile")  # what an image is made of
_RECORD = "include/sql/released.json"  # a release writes it after the images; no job reads it
README = ROOT / "images" / "README.md"
_TABLE_BEGINS, _TABLE_ENDS = "<!-- written by `make docs` -->\n", "<!-- end -->\n"
_PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy")


def jobs_by_image() -> dict[str, dict[str, set[str]]]:
    """Image → job → the DAGs that run it there, of the committed manifests of all pods."""
    found: dict[str, dict[str, set[str]]] = {}
    for file in sorted(MANIFESTS.glob("*.yaml")):
        for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            base = next(one for one in manifest["spec"]["containers"] if one["name"] == "base")
            image = base["image"].rsplit("/", 1)[1].split("@")[0]
            found.setdefault(image, {}).setdefault(base["args"][0], set()).add(file.stem)
    return dict(sorted(found.items()))


def jobs_table() -> str:
    """The part of images/README.md that says which job runs in which image."""
    lines = ["| image | jobs (DAGs that run them there) |", "| --- | --- |"]
    for image, jobs in jobs_by_image().items():
        said = [f"`{job}` ({', '.join(sorted(dags))})" for job, dags in sorted(jobs.items())]
        lines.append(f"| {image} | {', '.join(said)} |")
    return "\n".join(lines) + "\n"


def with_jobs_table(page: str) -> str:
    """The page with the table as the manifests have it."""
    before, _, rest = page.partition(_TABLE_BEGINS)
    return before + _TABLE_BEGINS + jobs_table() + _TABLE_ENDS + rest.partition(_TABLE_ENDS)[2]


def pinned_base() -> str:
    """The base that images/Dockerfile names; by digest, or the build ends here."""
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None or not _DIGEST.fullmatch(found[1]):
        sys.exit(f"{DOCKERFILE}: ARG BASE_IMAGE must name its base by digest (…@sha256:…), because a tag can move")
    return found[1]


def source_hash() -> str:
    """One hash of all that an image is made of besides its base: two images with the same one carry the same code and lock."""
    digest = hashlib.sha256()
    for name in _SENT:
        path = ROOT / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def choose_base(wanted: str, *, release: bool, fresh: bool = False) -> str:
    """The base to build on: ``wanted``, else the pinned one, else (never for a release) the one for tests."""
    if wanted == "local":
        if release:
            sys.exit("A release stands on a base by digest, never on the one for tests: leave BASE_IMAGE unset")
        return image_base.make(fresh=fresh)
    if wanted and not _DIGEST.fullmatch(wanted) and (release or not wanted.startswith("localhost/")):
        sys.exit(f"BASE_IMAGE={wanted} can move: name it by digest (…@sha256:…)")
    reference = wanted or pinned_base()
    if reference.startswith("localhost/") or podman("image", "exists", reference, check=False).returncode == 0:
        return reference
    pulled = podman("pull", "--quiet", reference, check=False)
    if pulled.returncode == 0:
        return reference
    words = (pulled.stderr.strip().splitlines() or ["podman says nothing"])[-1]
    if wanted or release:
        sys.exit(f"The base {reference} cannot be pulled: {words}")
    print(
        f"The pinned base cannot be pulled here ({words}).\nBuilding on a base for tests instead; such images are never released."
    )
    return image_base.make(fresh=fresh)


def _machine(scratch: Path) -> list[str]:
    """What only this machine has and no image keeps: certificates, pip's index, uv's cache."""
    certificates = os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt"
    flags = ["--network=host"]
    if Path(certificates).is_file():
        flags.append(f"--volume={certificates}:/etc/ssl/certs/ca-certificates.crt:ro")
    uv = ROOT / ".tools" / "bin" / "uv"
    cache = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    Path(cache).mkdir(parents=True, exist_ok=True)
    # Not where the Dockerfile mounts a cache of the builder: buildah prefers that one.
    flags += [f"--volume={cache}:/mnt/uv-cache", "--build-arg=UV_CACHE_DIR=/mnt/uv-cache"]
    (scratch / "pip.conf").write_text(_pip_conf(), encoding="utf-8")
    return [*flags, f"--secret=id=pip_conf,src={scratch / 'pip.conf'}"]


def _pip_conf() -> str:
    """pip's network settings of this machine, without those that name files of it."""
    pip = ROOT / ".tools" / "bin" / "pip"
    said = subprocess.run([pip, "config", "list"], capture_output=True, text=True, check=True).stdout
    values = {}
    for line in said.splitlines():
        name, _, value = line.partition("=")
        key = name.rsplit(".", 1)[-1]
        if key not in _PIP_KEYS:
            continue
        words = [word for word in str(ast.literal_eval(value)).split() if not word.startswith(("file:", "/"))]
        if words:
            values[key] = " ".join(words)
    parser = configparser.RawConfigParser()  # as pip reads it: a password's %40 stays as it is
    parser["global"] = {**values, "disable-pip-version-check": "true"}
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def _git(*arguments: str) -> str:
    """What git says; nothing where there is none, as in a tree without its history."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout  # noqa: S607


def _labels(base: str) -> Iterator[str]:
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", *_SENT, f":(exclude){_RECORD}")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    yield f"REVISION={head.strip() or 'unknown'}{'-changed' if changed else ''}"
    yield f"VERSION={project['version']}"
    yield f"SOURCE={source_hash()}"
    yield f"BASE_IMAGE={base}"


class Builder:
    """Builds of one base, with the stages that all images share made once."""

    def __init__(self, base: str, scratch: Path, *, fresh: bool, flags: bool = False) -> None:
        # buildah 1.28 cannot mount from a stage that it found in its cache, so the installer's stage is handed over as an image.
        self._flags = [*_machine(scratch), "--quiet", f"--file={DOCKERFILE}", *(["--no-cache"] if fresh else [])]
        self._arguments = [f"--build-arg={pair}" for pair in _labels(base)]
        if flags:
            self._arguments.append("--build-arg=FLAGS=1")
        self._base = base

    def stage(self, name: str) -> None:
        """Make a stage of the Dockerfile and keep it as an image."""
        given = [f"--build-context=uv=container-image://{_stage('uv')}"] if name != "uv" else []
        base = f"--build-arg=BASE_IMAGE={self._base}"
        podman("build", *self._flags, *given, base, f"--target={name}", f"--tag={_stage(name)}", str(ROOT), timeout=1800)

    def image(self, extra: str) -> float:
        """Make the image of ``extra``; seconds."""
        started = time.monotonic()
        given = [f"--build-context={name}=container-image://{_stage(name)}" for name in ("uv", "base")]
        arguments = [*self._arguments, f"--build-arg=EXTRA={extra}"]
        podman("build", *self._flags, *given, *arguments, f"--tag={image_name(extra)}", str(ROOT), timeout=1800)
        return time.monotonic() - started


def _stage(name: str) -> str:
    return f"localhost/aelp2-stage-{name}"


def image_name(extra: str) -> str:
    """The local name of an image."""
    return f"localhost/aelp2-{extra}"


def megabytes(name: str) -> int:
    """Size of an image, unpacked, with the layers that it shares."""
    return round(inspect("image", name)["Size"] / 1e6)


def build(extras: list[str], *, wanted: str = "", release: bool = False, fresh: bool = False, flags: bool = False) -> None:
    """Build ``extras`` two at a time, one line each."""
    require()
    known = sorted(jobs_by_image())
    if unknown := sorted(set(extras) - set(known)):
        sys.exit(f"No image {', '.join(unknown)}: DAGs run jobs in {', '.join(known)}")
    began = time.monotonic()
    base = choose_base(wanted, release=release, fresh=fresh)
    print(f"base       {time.monotonic() - began:5.0f} s {megabytes(base):5d} MB  {base}", flush=True)
    with tempfile.TemporaryDirectory(prefix="aelp2-images-") as scratch:
        builder = Builder(base, Path(scratch), fresh=fresh, flags=flags)
        for stage, means in (("uv", "installer"), ("base", "shared")):
            started = time.monotonic()
            builder.stage(stage)
            print(f"{means:10} {time.monotonic() - started:5.0f} s {megabytes(_stage(stage)):5d} MB", flush=True)
        with ThreadPoolExecutor(max_workers=2) as pool:  # one installs while another one's layer is written
            runs = {extra: pool.submit(builder.image, extra) for extra in extras or known}
            for extra, run in runs.items():
                seconds = run.result()
                print(f"{extra:10} {seconds:5.0f} s {megabytes(image_name(extra)):5d} MB  {image_name(extra)}", flush=True)
    print(f"all        {time.monotonic() - began:5.0f} s", flush=True)


def main() -> int:
    """Build what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="dependency sets; all that DAGs use if none is named")
    parser.add_argument(
        "--base", default=os.environ.get("BASE_IMAGE", ""), help="local, or a reference; else BASE_IMAGE, else pinned"
    )
    parser.add_argument("--release", action="store_true", help="refuse every base that is not named by digest")
    parser.add_argument("--flags", action="store_true", help="GrowthBook's SDK too, for AELP2_FLAGS")
    parser.add_argument("--fresh", action="store_true", help="use no layer of an earlier build")
    parser.add_argument("--readme", action="store_true", help="only write the table of images/README.md anew")
    asked = parser.parse_args()
    if asked.readme:
        README.write_text(with_jobs_table(README.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    try:
        build(asked.extras, wanted=asked.base, release=asked.release, fresh=asked.fresh, flags=asked.flags)
    except PodmanError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
