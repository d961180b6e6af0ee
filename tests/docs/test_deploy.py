"""What the documentation tells a person to type, open or set exists: docs/deploy.md first of all, and every other page."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from named_things import GCLOUD, ROOT, dag_ids, declared, known_variables, problems  # found beside this file

_OUTSIDE_DOCS = ("README.md", "CONTRIBUTING.md", "images/README.md", "terraform/README.md", "terraform/platform/README.md")
PAGES = [*(ROOT / name for name in _OUTSIDE_DOCS), *sorted((ROOT / "docs").rglob("*.md"))]
_ASKS_GOOGLE = ("gcloud projects", "gcloud storage", "gcloud secrets", "terraform -chdir", "\nmake release ENVIRONMENT=$")
DEPLOY = ROOT / "docs" / "deploy.md"


@pytest.mark.parametrize("page", [page for page in PAGES if page.exists()], ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_nothing_that_does_not_exist(page: Path) -> None:
    """Files, links, make targets, commands of aelp2 and their options, Terraform's outputs, AELP2_ variables, DAGs, tables with
    their columns, accounts."""
    assert problems(page, page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("planted", "named"),
    [
        ("see `scripts/relase.py`", "path scripts/relase.py"),
        ("see [the runbook](runbooks/rolback.md)", "link runbooks/rolback.md"),
        ("`make relase`", "make relase: no such target"),
        ("```sh\nmake release ENVIROMENT=dev\n```\n", "ENVIROMENT=: nothing reads it"),
        ("```sh\nmake release RELEASE_ARGS='--allow-destruction x'\n```\n", "--allow-destruction: no such option"),
        ("`aelp2 check-deployments`", "aelp2 check-deployments: no such command"),
        ("```sh\nAELP2_MODE=live aelp2 check-deployment \\\n  --acess read\n```\n", "check-deployment --acess: no such option"),
        ("```sh\ncd x && .venv/bin/python scripts/fill_pod_secret.py dev\n```\n", "path scripts/fill_pod_secret.py"),
        ("```sh\nterraform -chdir=terraform/plattform plan\n```\n", "path terraform/plattform"),
        ("```sh\nterraform -chdir=terraform/release aply\n```\n", "terraform aply: no such command"),
        (
            "```sh\nterraform -chdir=terraform/release plan -var-file=environments/$ENVIRONMENT.tfvar\n```\n",
            "terraform/release/environments/dev.tfvar does not exist",
        ),
        ("```sh\nterraform -chdir=terraform/platform output -raw airflow_url\n```\n", "has no such output"),
        ("| variable of terraform/platform | think of |\n| --- | --- |\n| `image_project` | x |\n", "declares none of that name"),
        ("`AELP2_OUTCOME_URL`", "variable AELP2_OUTCOME_URL: nothing reads it"),
        ("```sh\nexport AELP2_BACKENDS=bigquery\n```\n", "variable AELP2_BACKENDS"),
        ("`budget_plans_daily` plans", "DAG budget_plans_daily"),
        ("look into `control.ingest_run`", "table control.ingest_run: no contract"),
        ("see `control.ingest_runs.duplicate`", "column duplicate: not in control.ingest_runs"),
        ("the old amount is `amount_before_micros` in `control.canary_budgets_snapshot`", "column amount_before_micros: not in"),
        ("the account `aelp2-jobs`", "name aelp2-jobs"),
        ("`aelp2-releaser@PROJECT.iam.gserviceaccount.com`", "name aelp2-releaser"),
        ("```sh\ngcloud composer pools set x\n```\n", "not among the commands of gcloud"),
        ("```sh\ngcloud projects delete x --force\n```\n", "--force: not among the flags"),
    ],
)
def test_each_kind_of_slip_is_found(planted: str, named: str) -> None:
    """A page with one wrong name: exactly that one is told."""
    found = problems(DEPLOY, planted)
    assert len(set(found)) == 1, found
    assert named in found[0]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed; its commands were looked up where it is")
@pytest.mark.parametrize("command", GCLOUD)
def test_gcloud_itself_knows_the_command_and_its_flags(command: str, tmp_path: Path) -> None:
    """Its help, which asks nobody and needs no account; with a configuration of its own, so that the user's is not even read."""
    env = os.environ | {"CLOUDSDK_CONFIG": str(tmp_path), "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1", "PAGER": "cat"}
    env |= {"CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1", "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
    done = subprocess.run([*command.split(), "--help"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-400:]
    of_every_command = {"--project", "--format"}
    assert {flag for flag in GCLOUD[command] - of_every_command if flag not in done.stdout} == set()


def test_the_checks_have_something_to_check() -> None:
    """Were a pattern to find nothing any more, every page would pass."""
    assert len(PAGES) > 45
    assert {"smoke", "mmm_weekly", "platform_onboard"} <= dag_ids()
    assert {"AELP2_MODE", "AELP2_RUNNER", "AELP2_REDDIT_CLIENT_ID"} <= known_variables()
    assert {"project", "images_project"} <= declared("terraform/platform", "variable")
    text = DEPLOY.read_text(encoding="utf-8")
    used = {command for command in GCLOUD if command in text}
    assert len(used) > 10
    for word in ("make release ENVIRONMENT=", "terraform -chdir=terraform/platform", "variable of terraform/platform"):
        assert word in text


def test_what_is_not_proven_is_marked() -> None:
    """Every section of the way that asks Google carries the mark, and the page says first what it means."""
    text = DEPLOY.read_text(encoding="utf-8")
    sections = text.split("\n## ")[1:]
    assert sections[0].startswith("What of this is proven")
    assert "Nothing on this page has been run against Google Cloud" in sections[0]
    for section in sections[1:]:
        title, _, body = section.partition("\n")
        asks = any(
            word in body for word in ("gcloud projects", "gcloud storage", "gcloud secrets", "terraform -chdir", "\nmake release")
        )
        assert ("†" in title) == asks, title
