"""Terraform on this machine alone: real Terraform, providers that know their schema only, nothing that reaches out.

``Terraform.validate`` finds what Terraform finds; ``Terraform.plan`` is a full plan of an empty project for one environment, made
by ``terraform test`` with the mocked providers of the stack's ``tests/plan.tftest.hcl``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terraform_provider import serving

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ("dev", "prod")
PLAN_TEST = "tests/plan.tftest.hcl"


def stacks() -> list[Path]:
    """Every folder under terraform/ with .tf files."""
    return sorted({path.parent for path in (ROOT / "terraform").glob("*/*.tf")})


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, where it stands."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        """``file:line: message``, the form editors understand."""
        return f"{self.file}:{self.line}: {self.message}"


class TerraformFailed(Exception):
    """Terraform ended with findings where a result was needed."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = findings


class Terraform:
    """Runs Terraform's commands in a folder; made by :func:`offline`."""

    def __init__(self, environment: dict[str, str], schemas: Path) -> None:
        self._environment = environment
        self._hints = _known_types(schemas)

    def run(self, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Any Terraform command in ``folder``."""
        return subprocess.run(
            [sys.executable, ROOT / "scripts" / "terraform_cli.py", *arguments],
            cwd=folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def unformatted(self, folder: Path) -> list[Finding]:
        """Files under ``folder`` that ``terraform fmt`` would write differently, at the first line that differs."""
        ran = self.run("fmt", "-check", "-diff", "-recursive", "-no-color", folder=folder)
        found = []
        name = ""
        for line in ran.stdout.splitlines():
            if line.startswith("+++ new/"):
                name = line.removeprefix("+++ new/").split("\t")[0]
            elif line.startswith("@@"):
                start = int(line.split()[1].lstrip("-").split(",")[0])
                found.append(Finding(folder / name, start, "is not as `terraform fmt` writes it"))
        if ran.returncode not in (0, 3) or (ran.returncode and not found):
            raise TerraformFailed([Finding(folder, 0, ran.stderr.strip() or "terraform fmt failed")])
        return found

    def validate(self, stack: Path) -> list[Finding]:
        """What ``terraform validate`` says of the stack: types, arguments, blocks, references; warnings count as findings."""
        if any('module "' in path.read_text(encoding="utf-8") for path in stack.glob("*.tf")):
            self.run("get", folder=stack)
        ran = self.run("validate", "-json", folder=stack)
        try:
            answer = json.loads(ran.stdout)
        except json.JSONDecodeError:
            return [Finding(stack, 0, (ran.stdout + ran.stderr).strip())]
        return [self._finding(stack, diagnostic) for diagnostic in answer["diagnostics"]]

    def plan(self, stack: Path, environment: str, values: Path | None = None) -> list[dict[str, Any]]:
        """Every resource that a plan for ``environment`` would create: ``address``, ``type``, ``name``, ``index``, ``values``.

        ``values``: another tfvars file than the environment's.

        What only the cloud knows is left out of ``values``. Raises :class:`TerraformFailed` with what is wrong.
        """
        arguments = ["-json", "-verbose", f"-var-file={values or f'environments/{environment}.tfvars'}"]
        ran = self.run("test", *arguments, folder=stack)
        events = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
        findings = [self._finding(stack, event["diagnostic"]) for event in events if event["type"] == "diagnostic"]
        planned = (event for event in events if event["type"] == "test_plan" and event["@testfile"] == PLAN_TEST)
        plans = [event["test_plan"] for event in planned]
        if findings or ran.returncode or not plans:
            raise TerraformFailed(findings or [Finding(stack, 0, (ran.stderr or ran.stdout).strip() or "no plan was made")])
        return [
            {**{key: change.get(key) for key in ("address", "type", "name", "index")}, "values": change["change"]["after"]}
            for change in plans[0].get("resource_changes", [])
            if change["mode"] == "managed"
        ]

    def _finding(self, stack: Path, diagnostic: dict[str, Any]) -> Finding:
        where = diagnostic.get("range") or {"filename": "", "start": {"line": 0}}
        detail = " ".join(diagnostic.get("detail", "").split())
        hint = next((hint for name, hint in self._hints.items() if f'"{name}"' in detail and "does not support" in detail), "")
        message = f"{diagnostic['summary']}: {detail}" if detail else diagnostic["summary"]
        return Finding(stack / where["filename"], where["start"]["line"], f"{message} {hint}".strip())


def _known_types(schemas: Path) -> dict[str, str]:
    """Types that the provider has and our extract of its schema has not yet, with what to do."""
    hints = {}
    for path in schemas.glob("*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        (schema,) = document["provider_schemas"].values()
        missing = {*document["all_resources"], *document["all_data_sources"]}
        missing -= {*schema["resource_schemas"], *schema["data_source_schemas"]}
        hints.update(dict.fromkeys(missing, f"It exists; `make terraform-schema` adds it to {path.name}."))
    return hints


@contextmanager
def offline(schemas: Path = ROOT / "terraform" / "schema") -> Iterator[Terraform]:
    """Terraform with the providers of folder ``schemas``, a home of its own and nothing of the caller's environment."""
    with tempfile.TemporaryDirectory(prefix="tf") as temporary:
        home = Path(temporary)
        with serving(schemas, home) as attached:
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": temporary,
                "TF_DATA_DIR": str(home / "data"),
                "TF_IN_AUTOMATION": "1",
                "TF_REATTACH_PROVIDERS": attached,
                "CHECKPOINT_DISABLE": "1",
            }
            yield Terraform(environment, schemas)
