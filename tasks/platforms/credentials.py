"""Credentials of a platform from its private file, ``PLATFORM.yaml`` in the credentials folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from tasks.core.errors import JobError
from tasks.core.redaction import refuse_shared_file
from tasks.core.settings import Settings
from tasks.platforms.base import CredentialField


def credentials_file(settings: Settings, platform: str) -> Path:
    """Where they lie."""
    return settings.credentials_dir / f"{platform}.yaml"


def read_credentials(settings: Settings, platform: str, fields: Sequence[CredentialField]) -> dict[str, str]:
    """Field name → value. JobError if there is no file, others can read it, it is no YAML or lacks a required field."""
    path = credentials_file(settings, platform)
    if not path.is_file():
        raise JobError(f"there are no credentials of {platform}: {path} does not exist; run `aelp2 onboard {platform}`")
    refuse_shared_file(path, f"the file with the credentials of {platform},")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        # The parser's message quotes the line, which may hold a token.
        raise JobError(f"{path} is not valid YAML; run `aelp2 onboard {platform}` to write it anew") from None
    known = {field.name for field in fields}
    if not isinstance(content, dict) or (strange := sorted(set(content) - known)):
        told = f"it has {', '.join(strange)}" if isinstance(content, dict) else "it holds no settings"
        raise JobError(f"{path}: {told}; {platform} takes {', '.join(sorted(known))}")
    missing = [field.name for field in fields if field.required and not content.get(field.name)]
    if missing:
        raise JobError(f"{path} lacks {', '.join(missing)}; run `aelp2 onboard {platform}`")
    return {name: str(value) for name, value in content.items() if value is not None}
