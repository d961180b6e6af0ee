"""Values go from Secret Manager into Composer's Secrets without passing an argument, a log or a file that stays."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from terraform.tfvars import ENVIRONMENTS, ROOT, TERRAFORM, example

SALT, READ, WRITE = "ab" * 32, "client_secret: of-the-reader", "client_secret: of-the-mutator"
# Plays gcloud: versions come from a folder, a Secret that is updated is copied beside its mode; every call is written down.
GCLOUD = """#!{python}
import json, os, pathlib, sys
here = pathlib.Path(os.environ["FAKE_GCLOUD"])
arguments = sys.argv[1:]
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(arguments) + "\\n")
options = dict(word[2:].split("=", 1) for word in arguments if word.startswith("--"))
if arguments[:3] == ["secrets", "versions", "access"]:
    version = here / "versions" / options["secret"]
    if version.is_file():
        sys.stdout.buffer.write(version.read_bytes())
    else:
        sys.exit(os.environ.get("FAKE_ERROR", "ERROR: (gcloud.secrets.versions.access) NOT_FOUND: no version"))
else:
    words = [word for word in arguments if not word.startswith("--")]
    if words != ["composer", "environments", "user-workloads-secrets", "update"]:
        sys.exit("ERROR: unrecognized arguments: " + " ".join(words[4:]))
    file = pathlib.Path(options["secret-file-path"])
    secret = json.loads(file.read_text())
    (here / secret["metadata"]["name"]).write_text(json.dumps([file.stat().st_mode & 0o777, str(file), secret]))
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Path:
    """A folder that plays Google Cloud: versions/ID are the secrets."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "gcloud"
    program.write_text(GCLOUD.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    for secret, value in (("aelp2-name-salt", SALT), ("aelp2-google_ads", READ), ("aelp2-meta-mutate", WRITE)):
        (tmp_path / "versions" / secret).write_text(value, encoding="utf-8")
    return tmp_path


def ran(cloud: Path, environment: str = "dev", **more: str) -> subprocess.CompletedProcess[str]:
    """The script, with the fake gcloud first in its path."""
    env = {"PATH": f"{cloud / 'bin'}:{os.environ['PATH']}", "FAKE_GCLOUD": str(cloud), "TMPDIR": str(cloud), **more}
    # The platform's folder with the example values: those of the installation may be any.
    (cloud / "environments").mkdir(exist_ok=True)
    shutil.copy(TERRAFORM / "platform" / "needs.yaml", cloud)
    for name in ENVIRONMENTS:
        shutil.copy(example("platform", name), cloud / "environments")
    code = f"import pathlib, fill_pod_secrets as script; script.PLATFORM = pathlib.Path({str(cloud)!r}); script.main()"
    env["PYTHONPATH"] = str(ROOT / "scripts")
    command = [sys.executable, "-c", code, environment]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_each_secret_gets_the_versions_that_are_its_own(cloud: Path) -> None:
    """The reader's has the reader's credentials, the mutator's those that may change; what is not stored is left out."""
    done = ran(cloud)
    assert done.returncode == 0, done.stderr
    held = {}
    for name in ("aelp2-name-salt", "aelp2-google-ads-read", "aelp2-google-ads-mutate"):
        mode, file, secret = json.loads((cloud / name).read_text(encoding="utf-8"))
        assert (mode, secret["metadata"]["name"], Path(file).exists()) == (0o600, name, False)
        held[name] = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert held == {
        "aelp2-name-salt": {"name_salt": SALT},
        "aelp2-google-ads-read": {"name_salt": SALT, "google-ads.yaml": READ},
        "aelp2-google-ads-mutate": {"name_salt": SALT, "meta.yaml": WRITE},
    }
    assert "no google-ads.yaml yet" in done.stdout


def test_no_value_is_an_argument_or_printed(cloud: Path) -> None:
    """Process lists and logs are read by others; names of keys are all that is said."""
    done = ran(cloud)
    seen = done.stdout + done.stderr + (cloud / "calls").read_text(encoding="utf-8")
    for value in (SALT, READ, WRITE):
        assert value not in seen
        assert base64.b64encode(value.encode()).decode() not in seen
    assert "--project=my-company-aelp2-dev" in seen


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed; its commands were tried where it is")
def test_gcloud_itself_takes_the_commands(cloud: Path, tmp_path: Path) -> None:
    """Without an account it understands each and then stops; a word or flag too many it would refuse before that."""
    ran(cloud)
    calls = [json.loads(line) for line in (cloud / "calls").read_text(encoding="utf-8").splitlines()]
    kinds = {tuple(word for word in call if not word.startswith("--")): call for call in calls}
    assert len(kinds) == 2
    env = os.environ | {"CLOUDSDK_CONFIG": str(tmp_path / "none"), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
    env |= {"CLOUDSDK_CORE_CHECK_GCE_METADATA": "0", "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1"}
    for name in ("aelp2-name-salt", "aelp2-google-ads-read", "aelp2-google-ads-mutate"):  # the script took the files away
        _, file, secret = json.loads((cloud / name).read_text(encoding="utf-8"))
        Path(file).write_text(json.dumps(secret), encoding="utf-8")
    for call in kinds.values():
        done = subprocess.run(["gcloud", *call], env=env, capture_output=True, text=True, check=False)
        assert "do not currently have an active account" in done.stderr, done.stderr


def test_without_a_salt_nothing_is_filled(cloud: Path) -> None:
    """With one of its own each pod would hash names otherwise; the script says how to make it."""
    (cloud / "versions" / "aelp2-name-salt").unlink()
    done = ran(cloud)
    assert done.returncode == 1
    assert "openssl rand -hex 32" in done.stderr
    assert not (cloud / "aelp2-google-ads-read").exists()


def test_a_salt_that_is_too_short_is_refused(cloud: Path) -> None:
    """The jobs would refuse it, one after the other and at night."""
    (cloud / "versions" / "aelp2-name-salt").write_text("salt\n", encoding="utf-8")
    done = ran(cloud)
    assert done.returncode == 1
    assert "fewer than 32 bytes" in done.stderr
    assert not (cloud / "aelp2-google-ads-read").exists()


def test_a_secret_that_cannot_be_read_is_not_taken_for_an_empty_one(cloud: Path) -> None:
    """Denied is not absent: a Secret that was right must not lose its keys."""
    done = ran(cloud, FAKE_ERROR="ERROR: PERMISSION_DENIED: on aelp2-linkedin")
    assert done.returncode == 1
    assert "PERMISSION_DENIED" in done.stderr
    assert not (cloud / "aelp2-google-ads-read").exists()


@pytest.mark.parametrize(("environment", "said"), [("prod", "secrets_revision"), ("staging", "does not exist")])
def test_another_runner_and_an_unknown_environment_are_refused(cloud: Path, environment: str, said: str) -> None:
    """On an own cluster Terraform carries the values, by a write-only argument."""
    done = ran(cloud, environment)
    assert done.returncode == 1
    assert said in done.stderr
    assert not (cloud / "calls").exists()
