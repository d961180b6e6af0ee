#!/usr/bin/env python
"""Carries the newest versions from Secret Manager into the Secrets of Composer's cluster (runner = composer).

Terraform makes these Secrets empty, so that no value lies in its state. Run this after the first `terraform apply` of
terraform/platform, after `aelp2 onboard`, and after any new version. Whoever runs it needs roles/secretmanager.secretAccessor on
the secrets and roles/composer.admin; no service account has either. With runner = gke raise secrets_revision instead.

    .venv/bin/python scripts/fill_pod_secrets.py prod
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

PLATFORM = Path(__file__).resolve().parents[1] / "terraform" / "platform"
ENVIRONMENT = "aelp2"  # of Composer, as in composer.tf
SALT = "aelp2-name-salt"
NEW_SALT = "openssl rand -hex 32 | tr -d '\\n' | gcloud secrets versions add aelp2-name-salt --data-file=- --project"


def values(environment: str) -> dict[str, str]:
    """The values of the environment's tfvars that are text."""
    file = PLATFORM / "environments" / f"{environment}.tfvars"
    if not file.is_file():
        sys.exit(f"{file} does not exist; name an environment of terraform/platform/environments")
    return dict(re.findall(r'^(\w+)\s*=\s*"([^"]*)"', file.read_text(encoding="utf-8"), re.MULTILINE))


def stored(secret: str, project: str) -> bytes | None:
    """The newest version of ``secret``; None if it has none yet. Any other failure ends the script."""
    command = ["gcloud", "secrets", "versions", "access", "latest", f"--secret={secret}", f"--project={project}"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip()
    if "NOT_FOUND" in said:
        return None
    sys.exit(f"reading {secret} failed: {said}")


def manifest(name: str, data: dict[str, bytes]) -> str:
    """The Secret as gcloud takes it; JSON is YAML, too."""
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded})


def fill(name: str, keys: dict[str, str], found: dict[str, bytes], place: dict[str, str]) -> None:
    """Replace what the Secret ``name`` holds by the versions that there are."""
    data = {key: found[secret] for key, secret in keys.items() if secret in found}
    with tempfile.NamedTemporaryFile(
        "w", prefix="aelp2-", suffix=".json"
    ) as file:  # 0600; never an argument, never a pipe's name
        file.write(manifest(name, data))
        file.flush()
        where = [f"--environment={ENVIRONMENT}", f"--location={place['region']}", f"--project={place['project']}"]
        command = ["gcloud", "composer", "environments", "user-workloads-secrets", "update"]  # the file says which
        done = subprocess.run([*command, *where, f"--secret-file-path={file.name}"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"updating {name} failed: {done.stderr.strip()}")
    print(f"{name}: {', '.join(data)}" + "".join(f"; no {key} yet" for key in keys if key not in data))


def main() -> None:
    """Read every version once, then fill every Secret."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", help="dev or prod")
    place = values(parser.parse_args().environment)
    if place["runner"] != "composer":
        sys.exit(f"runner = {place['runner']}: set stored_secrets, raise secrets_revision, and apply terraform/platform")
    secrets: dict[str, dict[str, str]] = yaml.safe_load((PLATFORM / "needs.yaml").read_text(encoding="utf-8"))["secrets"]
    wanted = sorted({secret for keys in secrets.values() for secret in keys.values()})
    found = {secret: value for secret in wanted if (value := stored(secret, place["project"])) is not None}
    if SALT not in found:
        sys.exit(f"{SALT} has no version; make one, once and for ever, and keep a copy: {NEW_SALT}={place['project']}")
    if len(found[SALT].strip()) < 32:
        sys.exit(f"{SALT} has fewer than 32 bytes; the jobs would refuse it. Restore the right one from its backup")
    for name, keys in secrets.items():
        fill(name, keys, found, place)


if __name__ == "__main__":
    main()
