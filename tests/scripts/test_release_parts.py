"""Parts of the release by themselves: the guard on the plan, the lock file, images and pools that the DAGs name."""

import json
import os
import re
import subprocess
import tomllib

import pytest
import release_airflow  # scripts/ is on the path
import release_plan
import release_source
from release_fakes import IMAGES, REGISTRY, ROOT, TOKEN, table_change
from release_tools import ReleaseError


def test_what_a_plan_does_is_summed_up() -> None:
    """By kind; what stays is not counted; a dataset is guarded like a table, a DAG file is not."""
    changes = [
        table_change("ads.a", ["create"]),
        table_change("ads.b", ["no-op"]),
        {
            "address": "google_storage_bucket_object.dag",
            "type": "google_storage_bucket_object",
            "change": {"actions": ["delete"]},
        },
    ]
    assert release_plan.check(json.dumps({"resource_changes": changes}), set()) == "1 to create, 1 to delete"
    assert release_plan.check("{}", set()) == "nothing to change"
    dataset = {
        "type": "google_bigquery_dataset",
        "address": "d",
        "change": {"actions": ["delete"], "before": {"dataset_id": "ads"}},
    }
    with pytest.raises(ReleaseError, match=r"ads \(deleted\)"):
        release_plan.check(json.dumps({"resource_changes": [dataset]}), set())
    with pytest.raises(ReleaseError, match="incomplete"):
        release_plan.check('{"errored": true}', set())


def _columns(*names: str) -> dict[str, str]:
    return {"dataset_id": "ads", "table_id": "a", "schema": json.dumps([{"name": name} for name in names])}


def test_a_plan_that_drops_a_column_is_refused() -> None:
    """The provider drops it in place, an "update" that no deletion_protection stops; a git revert of a new column plans that."""
    change = {"type": "google_bigquery_table", "address": "t", "change": {"actions": ["update"], "before": _columns("x", "y")}}
    change["change"]["after"] = _columns("x")
    with pytest.raises(ReleaseError, match=r"drop columns with what they hold: ads\.a\.y\. .*rollback\.md"):
        release_plan.check(json.dumps({"resource_changes": [change]}), set())
    change["change"]["after"] = _columns("x", "y", "z")
    assert release_plan.check(json.dumps({"resource_changes": [change]}), set()) == "1 to update"
    del change["change"]["after"]["schema"]
    assert release_plan.check(json.dumps({"resource_changes": [change]}), set()) == "1 to update"


def test_an_address_that_is_none() -> None:
    """An environment that is being made has none yet; a token is sent to https only."""
    for url in ("", "http://airflow.example.com"):
        with pytest.raises(ReleaseError, match="no https address"):
            release_airflow.connect(url, TOKEN)


def test_images_are_those_that_the_dags_ask_for() -> None:
    """Read from the files as they are; each is a dependency set of pyproject.toml."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert release_source.images_of_dags(ROOT) == IMAGES
    assert set(IMAGES) <= set(extras)


def test_the_lock_is_what_the_pods_read() -> None:
    """Sorted, one image a line, ends with a newline; and every reference is one that containers.py takes."""
    text = release_source.lock_text(REGISTRY, {"mmm": "sha256:" + "b" * 64, "ads": "sha256:" + "a" * 64})
    assert text.splitlines()[1] == f'  "ads": "{REGISTRY}/ads@sha256:{"a" * 64}",'
    assert text.endswith("}\n")
    pattern = re.search(r'_DIGEST = re\.compile\(r"(.+)"\)', (ROOT / "plugins/aelp2_airflow/containers.py").read_text())
    assert pattern is not None
    assert all(re.fullmatch(pattern[1], reference) for reference in json.loads(text).values())


def test_pools_are_those_that_the_dags_name() -> None:
    """Every pool that a task waits for is made by the release."""
    named = set()
    for file in (ROOT / "plugins").rglob("*.py"):
        named |= set(re.findall(r'pool"?\s*[=:]\s*"(\w+)"', file.read_text(encoding="utf-8")))
    assert named == set(release_airflow.POOLS)


def test_make_knows_both_targets() -> None:
    """`make release-dry-run` and `make release ENVIRONMENT=…` call the script with what they are given."""
    for target, flag in (("release-dry-run", "--dry-run "), ("release", "")):
        done = subprocess.run(
            ["make", "--just-print", target, "ENVIRONMENT=prod", "RELEASE_ARGS=--yes"],
            cwd=ROOT,
            env=os.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"scripts/release.py prod {flag}--yes" in done.stdout
