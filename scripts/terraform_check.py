#!/usr/bin/env python
"""Checks everything under ``terraform/`` without a cloud, a registry or an installed Terraform; exit 1 on a finding.

1. format: as ``terraform fmt`` writes it;
2. schema: ``terraform validate`` against the providers' own schema (``terraform/schema``, decision 0018);
3. variables: every one is used, the environments' tfvars have the same keys, none is undeclared, none without default is missing;
4. plan: with the values of every environment the stack plans, and the assertions of its ``tests/*.tftest.hcl`` hold.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from terraform_offline import ENVIRONMENTS, ROOT, Finding, Terraform, TerraformFailed, offline, stacks

_VARIABLE = re.compile(r'^variable "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
_LOCALS = re.compile(r"^locals \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_LOCAL = re.compile(r"^  (\w+)\s+=", re.MULTILINE)
_VALUE = re.compile(r"^(\w+)\s*=", re.MULTILINE)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def unused(stack: Path) -> list[Finding]:
    """Variables and locals that nothing reads."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(stack.glob("*.tf"))}
    read = {kind: set(re.findall(rf"\b{kind}\.(\w+)", "\n".join(texts.values()))) for kind in ("var", "local")}
    declared = [
        (path, _line(text, match.start()), "var", f'variable "{match[1]}"', match[1])
        for path, text in texts.items()
        for match in _VARIABLE.finditer(text)
    ] + [
        (path, _line(text, block.start(1) + match.start()), "local", f"local.{match[1]}", match[1])
        for path, text in texts.items()
        for block in _LOCALS.finditer(text)
        for match in _LOCAL.finditer(block[1])
    ]
    return [Finding(path, line, f"{what} is never used") for path, line, kind, what, name in declared if name not in read[kind]]


def values_of_environments(stack: Path, environments: tuple[str, ...] = ENVIRONMENTS) -> list[Finding]:
    """What the environments' tfvars lack, have too much of or have differently from each other."""
    declared = {
        name: bool(re.search(r"^  default\s+=", body, re.MULTILINE))
        for path in stack.glob("*.tf")
        for name, body in _VARIABLE.findall(path.read_text(encoding="utf-8"))
    }
    given: dict[Path, dict[str, int]] = {}
    for environment in environments:
        path = stack / "environments" / f"{environment}.tfvars"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        given[path] = {match[1]: _line(text, match.start()) for match in _VALUE.finditer(text)}
    everywhere = set().union(*given.values())
    found = []
    for path, keys in given.items():
        found += [
            Finding(path, line, f'"{key}" is no variable of the stack') for key, line in keys.items() if key not in declared
        ]
        for key in sorted(everywhere - set(keys)):
            found.append(Finding(path, 1, f'"{key}" is set for another environment and not here'))
        for key in sorted(name for name, default in declared.items() if not default and name not in everywhere):
            found.append(Finding(path, 1, f'"{key}" has no default and no value'))
    return found


def plans(terraform: Terraform, stack: Path, environments: tuple[str, ...] = ENVIRONMENTS) -> list[Finding]:
    """What Terraform finds wrong when it plans the stack with the values of every environment."""
    found: list[Finding] = []
    for environment in environments:
        try:
            terraform.plan(stack, environment)
        except TerraformFailed as failed:
            found += failed.findings
    return list(dict.fromkeys(found))


def findings(terraform: Terraform, stack: Path) -> list[Finding]:
    """Everything that is wrong with a stack; it is planned only when it is valid."""
    found = [*terraform.unformatted(stack), *terraform.validate(stack), *unused(stack), *values_of_environments(stack)]
    return found or plans(terraform, stack)


def main() -> None:
    """Check the stacks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stacks", nargs="*", type=Path, help="folders with .tf files; without any all under terraform/")
    asked = parser.parse_args().stacks or stacks()
    with offline() as terraform:
        found = [finding for stack in asked for finding in findings(terraform, stack.resolve())]
    for finding in found:
        file = finding.file.relative_to(ROOT) if finding.file.is_relative_to(ROOT) else finding.file
        print(f"{file}:{finding.line}: {finding.message}")
    if found:
        sys.exit(1)
    print(f"terraform: {', '.join(stack.name for stack in asked)} are formatted, fit the schema and plan")


if __name__ == "__main__":
    main()
