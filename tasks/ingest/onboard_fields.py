"""Credentials as a person gives them: from the environment, a private file or the terminal; never from an argument.

Arguments stand in the process list and in the shell's history, where everybody on the machine reads them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
import yaml

from tasks.core.errors import JobError
from tasks.core.redaction import refuse_shared_file
from tasks.platforms.base import CredentialField

SHORTEST_SECRET = 6  # shorter texts would be cut out of words that merely contain them


def gather(
    platform: str,
    fields: Sequence[CredentialField],
    *,
    file: Path | None = None,
    env: Mapping[str, str] | None = None,
    ask: Callable[[CredentialField], str] | None = None,
) -> dict[str, str]:
    """Field → value: of ``file``, else of ``env``, else asked for with ``ask`` (default: at the terminal, if this is one).

    JobError if a required one is nowhere, and for a file that others can read or that holds something else.
    """
    given = _of_file(platform, fields, file) if file else {}
    env = os.environ if env is None else env
    given = {f.name: env[f.env].strip() for f in fields if env.get(f.env, "").strip()} | given
    ask = ask or (_prompt if sys.stdin is not None and sys.stdin.isatty() else None)
    for field in fields:
        if ask is not None and field.name not in given and (answer := ask(field).strip()):
            given[field.name] = answer
    missing = [f for f in fields if f.required and f.name not in given]
    if missing:
        ways = "set them, give --from-file, or run this at a terminal, which asks for them"
        variables = ", ".join(f"{f.env} ({f.help})" for f in missing)
        head = f"there are no credentials of {platform}" if not given else f"the credentials of {platform} are not complete"
        raise JobError(f"{head}: missing {variables}; {ways}")
    return given


def _of_file(platform: str, fields: Sequence[CredentialField], file: Path) -> dict[str, str]:
    if not file.is_file():
        raise JobError(f"there are no credentials of {platform}: --from-file {file} does not exist")
    refuse_shared_file(file, f"the file with the credentials of {platform},")
    return parse(platform, fields, file.read_text(encoding="utf-8"), str(file))


def parse(platform: str, fields: Sequence[CredentialField], text: str, where: str) -> dict[str, str]:
    """The fields that a YAML text holds; JobError, which quotes none of it, if it is anything else."""
    known = {field.name for field in fields}
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        raise JobError(f"{where} is not valid YAML; {platform} takes {', '.join(sorted(known))}") from None
    if not isinstance(content, dict) or not set(content) <= known:
        raise JobError(f"{where} holds something else than the fields of {platform}: {', '.join(sorted(known))}")
    return {str(name): str(value).strip() for name, value in content.items() if value is not None and str(value).strip()}


def _prompt(field: CredentialField) -> str:
    note = "" if field.required else ", Enter to leave out"
    asked: str = click.prompt(
        f"{field.name} ({field.help}{note})", hide_input=field.is_secret, default="", show_default=False, err=True
    )
    return asked


def scrub(text: str, values: Mapping[str, str], fields: Sequence[CredentialField]) -> str:
    """``text`` without the values of the secret fields, whatever put them there."""
    for field in fields:
        value = values.get(field.name, "")
        if field.is_secret and len(value) >= SHORTEST_SECRET:
            text = text.replace(value, "[redacted]")
    return text
