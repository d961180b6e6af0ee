"""What is inside of each image, and what is known against it: `make sbom`, `make audit`.

`sbom` writes dist/sbom/aelp2-EXTRA.cdx.json (CycloneDX 1.5): the locked Python packages with their hashes, the interpreter and
Debian's packages as the built image reports them. `audit` asks a public service about every locked package and ends with 1 for a
finding that images/audit-ignores.yaml does not explain, with 2 where the service did not answer for all of them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml
from packaging.markers import Marker
from podman import ROOT, PodmanError, inspect, podman, require

from images import image_name, jobs_by_image

IGNORES = ROOT / "images" / "audit-ignores.yaml"
TARGET = ROOT / "dist" / "sbom"
PIP_AUDIT = "pip-audit==2.10.1"
_UV = ROOT / ".tools" / "bin" / "uv"
_INTERPRETER = "import platform; print(platform.python_version())"


def _export(form: str, *extras: str) -> str:
    """The lock's packages for ``extras`` on top of what every job needs."""
    flags = ["--quiet", "--frozen", "--no-default-groups", "--no-emit-project", f"--format={form}"]
    chosen = [word for extra in extras for word in ("--extra", extra)]
    return subprocess.run([_UV, "export", *flags, *chosen], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _is_for_linux(component: Mapping[str, Any]) -> bool:
    """Whether uv installs it in an image: the lock also holds what only Windows or another Python needs."""
    markers = [one["value"] for one in component.get("properties", ()) if one["name"] == "uv:package:marker"]
    return all(Marker(marker).evaluate() for marker in markers)


def complete(
    document: dict[str, Any], image: str, labels: Mapping[str, str], python: str, packages: Iterable[str]
) -> dict[str, Any]:
    """uv's list of Python packages with what it does not know: the image itself, its interpreter, its Debian packages."""
    own = {
        "type": "container",
        "bom-ref": image,
        "name": image,
        "version": labels.get("org.opencontainers.image.version", "unknown"),
        "properties": [{"name": key, "value": value} for key, value in sorted(labels.items())],
    }
    found = [
        {
            "type": "platform",
            "bom-ref": f"python@{python}",
            "name": "python",
            "version": python,
            "purl": f"pkg:generic/python@{python}",
        }
    ]
    for line in packages:
        name, version, architecture = line.split("\t")
        purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A')}?arch={architecture}"
        found.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl})
    left_out = {one["bom-ref"] for one in document.get("components", []) if not _is_for_linux(one)}
    document["components"] = [one for one in document.get("components", []) if one["bom-ref"] not in left_out]
    kept = [one for one in document.get("dependencies", []) if one["ref"] not in left_out]
    document["dependencies"] = [
        one | {"dependsOn": [ref for ref in one.get("dependsOn", []) if ref not in left_out]} for one in kept
    ]
    project = document["metadata"]["component"]
    document["metadata"]["component"] = own
    document["components"] = [project, *document["components"], *found]
    holds = [project["bom-ref"], *(one["bom-ref"] for one in found)]
    document["dependencies"] = [{"ref": image, "dependsOn": holds}, *document["dependencies"]]
    return document


def sbom(extra: str) -> Path:
    """Write the list of one built image."""
    name = image_name(extra)
    labels = inspect("image", name).get("Labels")
    if labels is None:
        sys.exit(f"{name} is not built: make image EXTRA={extra}")
    within = ("run", "--rm", "--network=none", "--read-only")
    python = podman(*within, "--entrypoint=python", name, "-c", _INTERPRETER).stdout.strip()
    form = "--showformat=${Package}\\t${Version}\\t${Architecture}\\n"
    debian = podman(*within, "--entrypoint=dpkg-query", name, "--show", form).stdout.splitlines()
    document = complete(json.loads(_export("cyclonedx1.5", extra)), name, labels, python, debian)
    TARGET.mkdir(parents=True, exist_ok=True)
    file = TARGET / f"aelp2-{extra}.cdx.json"
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{file}: {len(document['components'])} components")
    return file


@dataclass(frozen=True)
class Verdict:
    """What the audit found."""

    findings: tuple[str, ...]
    unanswered: tuple[str, ...]
    bad_ignores: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """1 for something to mend, 2 for something nobody looked at, 0 for all packages looked at and nothing found."""
        return 1 if self.findings or self.bad_ignores else 2 if self.unanswered else 0


def judge(report: Mapping[str, Any], ignores: list[dict[str, Any]], today: date) -> Verdict:
    """pip-audit's report against the ignores. A package that it skipped is unanswered: pip-audit itself ends with 0 there."""
    bad = []
    for one in ignores:
        lacking = [key for key in ("id", "package", "reason", "until") if not one.get(key)]
        if lacking:
            bad.append(f"{one.get('id', one)}: lacks {', '.join(lacking)}")
        elif one["until"] < today:
            bad.append(f"{one['id']} ({one['package']}): was to be looked at again by {one['until']}")
    explained = {(one["package"], one["id"]) for one in ignores if one.get("package") and one.get("id")}
    used, findings, unanswered = set(), [], []
    for package in report["dependencies"]:
        if "skip_reason" in package:
            unanswered.append(f"{package['name']}: {package['skip_reason']}")
        for advisory in package.get("vulns", []):
            names = {(package["name"], name) for name in (advisory["id"], *advisory.get("aliases", ()))}
            used |= names & explained
            if not names & explained:
                repaired = ", ".join(advisory.get("fix_versions", ())) or "none yet"
                findings.append(f"{package['name']} {package['version']}: {advisory['id']}, mended in {repaired}")
    if not unanswered:
        bad += [
            f"{identifier} ({package}): matches nothing any more, remove it" for package, identifier in sorted(explained - used)
        ]
    return Verdict(tuple(findings), tuple(unanswered), tuple(bad))


def audit(extras: list[str], service: str) -> int:
    """Ask about every package of the images; the exit code."""
    today = datetime.now(UTC).date()
    ignores = yaml.safe_load(IGNORES.read_text(encoding="utf-8")) or []
    with tempfile.TemporaryDirectory(prefix="aelp2-audit-") as scratch:
        locked, answer = Path(scratch) / "locked.txt", Path(scratch) / "answer.json"
        locked.write_text(_export("requirements.txt", *extras), encoding="utf-8")
        ask = [
            _UV,
            "tool",
            "run",
            "--quiet",
            "--from",
            PIP_AUDIT,
            "pip-audit",
            "--progress-spinner=off",
            "--require-hashes",
            "--disable-pip",
        ]
        ask += ["--vulnerability-service", service, "--format=json", f"--output={answer}", "--requirement", locked]
        python = {"UV_PYTHON": str(Path(sys.executable).resolve()), "UV_PYTHON_DOWNLOADS": "never"}
        done = subprocess.run(ask, capture_output=True, text=True, check=False, env={**os.environ, **python})
        if not answer.exists() or not answer.stat().st_size:
            words = done.stderr.strip().splitlines() or ["no words"]
            print(
                f"{service} did not answer, so nothing was audited: {words[-1]}\nRun it where {service} can be reached.",
                file=sys.stderr,
            )
            return 2
        verdict = judge(json.loads(answer.read_text(encoding="utf-8")), ignores, today)
    for title, lines in (
        ("to mend", verdict.findings),
        ("ignores", verdict.bad_ignores),
        ("nobody looked at", verdict.unanswered),
    ):
        for line in lines:
            print(f"{title}: {line}", file=sys.stderr)
    if verdict.exit_code == 0:
        print(f"{service}: nothing is known against any package of {', '.join(extras)}")
    return verdict.exit_code


def main() -> int:
    """List, or ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sbom", "audit"))
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="images; all that DAGs use if none is named")
    parser.add_argument("--service", choices=("osv", "pypi"), default="osv", help="who is asked")
    asked = parser.parse_args()
    extras = asked.extras or list(jobs_by_image())
    if asked.what == "audit":
        return audit(extras, asked.service)
    require()
    try:
        for extra in extras:
            sbom(extra)
    except PodmanError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
