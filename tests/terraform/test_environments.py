"""dev and prod are the same stack with other values; the values are safe ones, and the jobs understand what reaches them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from terraform.tfvars import ENVIRONMENTS, ROOT, STACKS, TERRAFORM, example, keys, own, texts

from tasks.core.policy import load_policy
from tasks.core.settings import Settings, load_settings

Planned = Callable[[str, str], list[dict[str, Any]]]
EXAMPLE = "my-company"
MARKS = (EXAMPLE, "203.0.113.0/24", "012345-678901-ABCDEF")  # what only an example says


def text_of(stack: str, name: str) -> str:
    """A file of environments/."""
    return (TERRAFORM / stack / "environments" / name).read_text(encoding="utf-8")


def values(stack: str, environment: str) -> dict[str, str]:
    """The values that are text of what `planned` plans with."""
    return texts(example(stack, environment))


def is_example(environment: str) -> bool:
    """Whether nobody has written values of their own yet."""
    return texts(own("platform", environment))["project"].startswith(EXAMPLE)


def of_type(resources: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Values of the planned resources of a type."""
    return [resource["values"] for resource in resources if resource["type"] == kind]


# --- files


@pytest.mark.parametrize("stack", STACKS)
def test_environments_set_the_same_keys(stack: str) -> None:
    """What is set for one is set for the other and in the examples of the tests, in the same order, and each key once."""
    dev, *others = (keys(file(stack, environment)) for file in (own, example) for environment in ENVIRONMENTS)
    assert [dev] * len(others) == others
    assert len(set(dev)) == len(dev) > 3


@pytest.mark.parametrize("file", [own, example], ids=["own", "example"])
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_both_stacks_mean_the_same_place(environment: str, file: Callable[[str, str], Path]) -> None:
    """What both are told is the same: where, which environment, whose account the pods are."""
    platform, release = texts(file("platform", environment)), texts(file("release", environment))
    shared = {"project", "region", "environment", "bigquery_location", "runner"}
    assert shared <= set(platform) & set(release)
    assert {key: platform[key] for key in set(platform) & set(release)} == {
        key: release[key] for key in set(platform) & set(release)
    }
    assert platform["environment"] == environment


@pytest.mark.parametrize("file", [own, example], ids=["own", "example"])
def test_environments_share_images_and_nothing_else(file: Callable[[str, str], Path]) -> None:
    """One registry, because the lock file names one place; projects of their own."""
    dev, prod = (texts(file("platform", environment)) for environment in ENVIRONMENTS)
    assert dev["images_project"] == prod["images_project"]
    assert dev["images_project"] in (dev["project"], prod["project"])
    assert dev["region"] == prod["region"]
    projects = [found[key] for found in (dev, prod) for key in ("project", "gke_project") if found[key]]
    assert len(set(projects)) == len(projects) >= 2


def test_every_state_lies_in_a_place_of_its_own() -> None:
    """A prefix for each stack and environment, in a bucket that is none of the project's, which Composer's account could read."""
    places = {}
    for stack in STACKS:
        assert 'backend "gcs" {}' in (TERRAFORM / stack / "versions.tf").read_text(encoding="utf-8")
        for environment in ENVIRONMENTS:
            found = dict(re.findall(r'^(\w+)\s*=\s*"([^"]+)"$', text_of(stack, f"{environment}.gcs.tfbackend"), re.MULTILINE))
            assert set(found) == {"bucket", "prefix"}
            assert not found["bucket"].startswith(texts(own(stack, environment))["project"])
            places[stack, environment] = (found["bucket"], found["prefix"])
    assert len(set(places.values())) == len(places)


def test_an_environment_is_an_example_or_somebodys_own() -> None:
    """All of its values, or none: an example that was forgotten would be found by Google in the middle of an apply."""
    for environment in ENVIRONMENTS:
        files = [*(own(stack, environment) for stack in STACKS)]
        files += [TERRAFORM / stack / "environments" / f"{environment}.gcs.tfbackend" for stack in STACKS]
        lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
        # images_project is the same in every environment, and so its own in an environment that is not.
        lines = [line.split("#")[0] for line in lines if not line.startswith("images_project")]
        left = [line for line in lines if any(mark in line for mark in MARKS)]
        places = [line for line in lines if re.match(r"(project|bucket|gke_project)\b.*\w\"", line)]
        assert set(places) <= set(left) if is_example(environment) else left == []


def test_examples_are_recognisable() -> None:
    """Nobody's real project, address or account stands in the files that tests plan with."""
    for stack in STACKS:
        for environment in ENVIRONMENTS:
            text = example(stack, environment).read_text(encoding="utf-8")
            assert all(project.startswith(f"{EXAMPLE}-") for project in re.findall(r'project\s*=\s*"([^"]+)"', text))
            assert set(re.findall(r"@[\w.-]+", text)) <= {f"@{EXAMPLE}.example"}


# --- what reaches the jobs


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_jobs_understand_the_settings(planned_here: Planned, environment: str, tmp_path: Path) -> None:
    """The config maps as the pods get them: every name is a setting; until somebody decides else, shadow and no account."""
    resources, given = planned_here("platform", environment), texts(own("platform", environment))
    kind = "google_composer_user_workloads_config_map" if given["runner"] == "composer" else "kubernetes_config_map_v1"
    maps = {}
    for found in of_type(resources, kind):
        name = found["name"] if "name" in found else found["metadata"][0]["name"]
        assert maps.setdefault(name, found["data"]) == found["data"]
    assert set(maps) == {"aelp2-settings", "aelp2-policy"}

    documented = set(re.findall(r"AELP2_\w+", f"{Settings.__doc__}{(ROOT / 'docs' / 'settings.md').read_text(encoding='utf-8')}"))
    assert set(maps["aelp2-settings"]) <= documented
    policy_file = tmp_path / "policy.yaml"
    policy_file.write_text(maps["aelp2-policy"]["policy.yaml"], encoding="utf-8")
    assert maps["aelp2-settings"]["AELP2_POLICY"] == "/etc/aelp2-policy/policy.yaml"
    settings = load_settings(maps["aelp2-settings"] | {"AELP2_BACKEND": "bigquery", "AELP2_POLICY": str(policy_file)})
    assert (settings.mode, settings.gcp_project) == (given["mode"], given["project"])
    # Else the jobs would look for the datasets in another place than the release makes them in.
    assert settings.bigquery_location == given["bigquery_location"] == texts(own("release", environment))["bigquery_location"]
    assert settings.report_dir == f"gs://{settings.gcp_project}-aelp2-reports/reports"
    assert settings.ga4_export == (given["ga4_export"] or None)
    accounts = load_policy(settings).allowed_accounts
    assert not is_example(environment) or (settings.mode, accounts) == ("shadow", ())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_airflow_starts_pods_by_the_runner_of_the_environment(planned: Planned, environment: str) -> None:
    """The variables are those that the plugin reads, at the pinned image, without a public address and closed to strangers."""
    resources, given = planned("platform", environment), values("platform", environment)
    (composer,) = of_type(resources, "google_composer_environment")
    (config,) = composer["config"]
    (software,) = config["software_config"]
    runner = (ROOT / "plugins" / "aelp2_airflow" / "runner.py").read_text(encoding="utf-8")
    expected = {"AELP2_RUNNER": given["runner"], "AELP2_APPROVERS": software["env_variables"]["AELP2_APPROVERS"]}
    if given["runner"] == "gke":
        (cluster,) = of_type(resources, "google_container_cluster")
        expected |= {
            "AELP2_GKE_PROJECT": given["gke_project"],
            "AELP2_GKE_LOCATION": given["region"],
            "AELP2_GKE_CLUSTER": cluster["name"],
        }
    assert software["env_variables"] == expected
    assert f'"{given["runner"]}"' in runner
    assert "approver@my-company.example" in software["env_variables"]["AELP2_APPROVERS"].split(",")

    airflow = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["airflow"]
    (version,) = [pin.split("==")[1] for pin in airflow if pin.startswith("apache-airflow==")]
    assert software["image_version"].startswith(f"composer-3-airflow-{version}-build.")
    assert config["enable_private_environment"] is True
    (access,) = config["web_server_network_access_control"]
    assert [entry["value"] for entry in access["allowed_ip_range"]] == ["203.0.113.0/24"]


def test_airflow_knows_every_option_that_is_overridden(planned: Planned) -> None:
    """SECTION-OPTION of the pinned Airflow; it would ignore a name that has moved."""
    (known,) = (ROOT / ".venv-airflow").glob("lib/python*/site-packages/airflow/config_templates/config.yml")
    options = yaml.safe_load(known.read_text(encoding="utf-8"))
    (composer,) = of_type(planned("platform", "dev"), "google_composer_environment")
    overridden = composer["config"][0]["software_config"][0]["airflow_config_overrides"]
    assert overridden["core-dags_are_paused_at_creation"] == "True"
    for name in overridden:
        section, _, option = name.partition("-")
        assert option in options[section]["options"], name


def test_only_the_gke_runner_makes_a_cluster(planned: Planned) -> None:
    """dev needs neither cluster nor namespaces; prod's nodes are private, its namespaces take restricted pods only."""
    assert not [r for r in planned("platform", "dev") if r["type"].startswith(("kubernetes_", "google_container_"))]
    (cluster,) = of_type(planned("platform", "prod"), "google_container_cluster")
    assert cluster["enable_autopilot"] is True
    assert cluster["deletion_protection"] is True
    assert cluster["private_cluster_config"][0]["enable_private_nodes"] is True
    assert cluster["control_plane_endpoints_config"][0]["ip_endpoints_config"][0]["enabled"] is False
    assert cluster["project"] != values("platform", "prod")["project"]
    namespaces = of_type(planned("platform", "prod"), "kubernetes_namespace_v1")
    assert len(namespaces) == 3
    for namespace in namespaces:
        assert namespace["metadata"][0]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


# --- what must not be lost, and what costs


@pytest.mark.parametrize(
    "kind", ["google_composer_environment", "google_secret_manager_secret", "google_artifact_registry_repository"]
)
def test_what_cannot_be_made_again_is_not_destroyed(kind: str) -> None:
    """Waiting approvals, the salt of all hashed names, the images of earlier releases."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (TERRAFORM / "platform").glob("*.tf"))
    (body,) = re.findall(rf'^resource "{kind}" "\w+" {{\n(.*?)^}}', text, re.MULTILINE | re.DOTALL)
    assert "prevent_destroy = true" in body


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_costs_says_whose_it_is(planned: Planned, environment: str) -> None:
    """Labels by the provider's defaults or set, a quota of bytes, and a budget where one may be made."""
    versions = (TERRAFORM / "platform" / "versions.tf").read_text(encoding="utf-8")
    assert "default_labels = local.labels" in versions
    resources = planned("platform", environment)
    (composer,) = of_type(resources, "google_composer_environment")
    labels = {"app": "aelp2", "environment": environment, "component": "platform", "cost_center": "growth"}
    assert composer["labels"] == labels
    assert all(bucket["labels"] == labels for bucket in of_type(resources, "google_storage_bucket"))
    assert len(of_type(resources, "google_billing_budget")) == (1 if environment == "prod" else 0)
    assert len(of_type(resources, "google_cloud_quotas_quota_preference")) == 1


# --- wrong values are refused before anything is planned


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mode", "yolo", "shadow or live"),
        ("runner", "local", "composer or gke"),
        ("project", "My Project", "A project id"),
        ("region", "europe-west1-b", "A region such as"),
        ("approvers", "[]", "everybody who may edit the DAG"),
        ("web_allowed_ranges", "{}", "open to every address"),
        ("settings", '{ AELP2_MODE = "live" }', "has a variable of its own"),
        ("settings", '{ AELP2_META_ACCESS_TOKEN = "x" }', "belongs into Secret Manager"),
        ("settings", '{ PATH = "/x" }', "begin with AELP2_"),
        ("gke_project", "my-company-aelp2-dev", "a project of its own"),
        ("stored_secrets", '["somebody-elses"]', "An id of needs.yaml"),
        ("release_impersonators", '["allUsers"]', "never allUsers"),
        ("operators", "[]", "nobody can throw the kill switch"),
        ("release_oidc", '{ issuer = "https://ci.example", subject = "repo:my-company/*" }', "without *"),
        ("bigquery_tib_per_day", "0", "Above 0"),
    ],
)
def test_a_wrong_value_is_refused_with_a_reason(terraform: Any, name: str, value: str, said: str) -> None:
    """Each variable says itself what it takes."""
    arguments = ("-json", f"-var-file={example('platform', 'dev')}", f"-var={name}={value}")
    ran = terraform.run("test", *arguments, folder=TERRAFORM / "platform")
    events = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    details = [event["diagnostic"]["detail"] for event in events if event["type"] == "diagnostic"]
    assert any(said in " ".join(detail.split()) for detail in details), details


def test_needs_and_policies_are_plain_yaml() -> None:
    """What Terraform's yamldecode and PyYAML read alike: no anchors, no tags."""
    for path in (TERRAFORM / "platform" / "needs.yaml", *(TERRAFORM / "platform" / "environments").glob("*.policy.yaml")):
        text = path.read_text(encoding="utf-8")
        assert isinstance(yaml.safe_load(text), dict)
        assert not re.search(r"(^|\s)[&*!]\w", text)
