"""No account may do more than the table of needs says, and the table says what the jobs of the DAGs need, no more and no less."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from terraform.job_needs import LOOKS_AT_EVERY_TABLE, NARROWED, ROOT, dataset_needs, personal_needs, pods, roles
from terraform.tfvars import ENVIRONMENTS, STACKS, TERRAFORM, example, own, texts

Planned = Callable[[str, str], list[dict[str, Any]]]
Grant = tuple[str, str, str]
DOCUMENT = yaml.safe_load((TERRAFORM / "platform" / "needs.yaml").read_text(encoding="utf-8"))
ACCOUNTS: dict[str, dict[str, Any]] = DOCUMENT["accounts"]
ROLES = {name: need for name, need in ACCOUNTS.items() if "access" in need}
WRITE_SECRET = "aelp2-google-ads-mutate"
# Grants to people, which the tfvars name and no job has.
OF_PEOPLE = ("release_impersonators", "operators", "dashboard_readers")


def sources() -> dict[Path, str]:
    """Every .tf file without its comments."""
    found = {path: path.read_text(encoding="utf-8") for path in sorted(TERRAFORM.rglob("*.tf"))}
    return {path: re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE) for path, text in found.items()}


def values(stack: str, environment: str) -> dict[str, str]:
    """The values that are text of what `planned` plans with."""
    return texts(example(stack, environment))


# --- the table of needs says what the code needs


def test_the_pods_of_all_dags_are_found() -> None:
    """Those of the plugin's helpers too, in every role; a test over none would prove nothing."""
    found = pods()
    assert len(found) >= 45
    assert {pod.role for pod in found} == set(ROLES)
    assert "record-approval" in {pod.command for pod in found if pod.file == "approval.py"}
    assert {
        (command, word) for command, word in NARROWED if not [p for p in found if p.command == command and word in p.words]
    } == set()
    assert "all_contracts" in (ROOT / "tasks" / "govern" / "deployment.py").read_text(encoding="utf-8")
    assert {pod.command for pod in found} >= LOOKS_AT_EVERY_TABLE


def test_a_role_is_of_the_access_that_the_table_says() -> None:
    """`access` of a pod and `access` of a role are the same mapping."""
    assert {access: name for name, need in ROLES.items() for access in need["access"]} == roles()
    assert {name: need["account"] for name, need in ROLES.items()} == {name: f"aelp2-{name}" for name in set(roles().values())}


@pytest.mark.slow
def test_a_role_gets_the_datasets_that_its_jobs_touch_and_no_other() -> None:
    """Read: viewer. Written: editor. Only looked at by check-deployment: metadata. Not touched: nothing."""
    said = {name: {dataset: grant["role"] for dataset, grant in need["datasets"].items()} for name, need in ROLES.items()}
    assert said == dataset_needs()


@pytest.mark.slow
def test_personal_columns_are_open_to_the_roles_whose_jobs_read_them() -> None:
    """`personal: true` stands beside exactly those datasets."""
    said = {name: {d for d, grant in need["datasets"].items() if grant.get("personal")} for name, need in ROLES.items()}
    assert said == personal_needs()


def test_only_roles_with_a_value_to_hand_over_may_be_looked_into() -> None:
    """Airflow reads an XCom from the sidecar by exec; a role none of whose pods has one needs no exec."""
    assert {name: need["exec"] for name, need in ROLES.items()} == {
        name: any(pod.has_xcom for pod in pods() if pod.role == name) for name in ROLES
    }


def test_every_need_has_a_reason() -> None:
    """A grant without a why is one that nobody dares to take away."""
    for name, need in ACCOUNTS.items():
        reasons = [
            *need.get("project", {}).values(),
            *(grant["why"] for kind in ("datasets", "buckets") for grant in need.get(kind, {}).values()),
            *(need[kind]["why"] for kind in ("repository", "ga4_export") if kind in need),
        ]
        assert all(isinstance(why, str) and why for why in reasons), name


# --- Terraform grants what the table says


def identity(name: str, runner: str) -> str:
    """Whose account a role's pods are: Composer's cluster knows one only."""
    return "composer" if name in ROLES and runner == "composer" else name


def member(name: str, platform: dict[str, str]) -> str:
    """The account as IAM writes it."""
    project = platform["gke_project"] if name == "nodes" else platform["project"]
    return f"serviceAccount:{ACCOUNTS[name]['account']}@{project}.iam.gserviceaccount.com"


def expected_of_platform(environment: str) -> set[Grant]:
    """(member, role, on what) that the table of needs stands for in ``environment``."""
    set_to = values("platform", environment)
    runner, project, pods_project = set_to["runner"], set_to["project"], set_to["gke_project"]
    grants: set[Grant] = set()
    for name, need in ACCOUNTS.items():
        if name == "nodes" and runner != "gke":
            continue
        who = member(identity(name, runner), set_to)
        grants |= {(who, role, project) for role in need.get("project", {})}
        grants |= {(who, grant["role"], f"{project}-aelp2-{bucket}") for bucket, grant in need.get("buckets", {}).items()}
        if "repository" in need:
            grants.add((who, need["repository"]["role"], f"{set_to['images_project']}/aelp2"))
        if "ga4_export" in need and set_to["ga4_export"]:
            grants.add((who, need["ga4_export"]["role"], set_to["ga4_export"]))
        if runner == "gke":
            beside = need.get("runner_project", {})
            grants |= {(who, role, pods_project) for role in beside if role.startswith("roles/")}
            grants |= {
                (who, f"projects/{pods_project}/roles/aelp2_{name}", pods_project) for _ in beside.get("permissions", [])[:1]
            }
            if name in ROLES:
                account = need["account"]
                pod = f"serviceAccount:{pods_project}.svc.id.goog[{account}/{account}]"
                grants.add((pod, "roles/iam.workloadIdentityUser", name))
    return grants


def granted(resources: list[dict[str, Any]]) -> set[Grant]:
    """(member, role, on what) of every resource of a plan that grants something to an account of ours."""
    found = set()
    for resource in resources:
        kind, name, given = resource["type"], resource["name"], resource["values"]
        if kind == "google_bigquery_dataset_access" and given["user_by_email"]:
            project = f"{given['project']}." if given.get("project") else ""
            found.add((f"serviceAccount:{given['user_by_email']}", given["role"], f"{project}{given['dataset_id']}"))
        elif kind.endswith("_iam_member") and name not in (
            "release_impersonator",
            "release_oidc",
            "operator",
            "dashboard_reader",
        ):
            on = {
                "google_project_iam_member": given.get("project"),
                "google_storage_bucket_iam_member": given.get("bucket"),
                "google_artifact_registry_repository_iam_member": f"{given.get('project')}/{given.get('repository', 'aelp2')}",
                "google_service_account_iam_member": resource["index"],
                "google_data_catalog_policy_tag_iam_member": f"tag {str(resource['index']).split('/')[0]}",
            }[kind]
            found.add((given["member"], given["role"], str(on)))
    return found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_platform_grants_exactly_the_needs(planned: Planned, environment: str) -> None:
    """Planned grants and needs are the same set; on the composer runner the environment's account has those of all roles."""
    assert granted(planned("platform", environment)) == expected_of_platform(environment)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_release_grants_exactly_the_datasets_of_the_needs(planned: Planned, environment: str) -> None:
    """An account has one entry a dataset, the strongest of what its roles need; and the tags of personal columns."""
    set_to = values("platform", environment)
    strength = ["roles/bigquery.metadataViewer", "roles/bigquery.dataViewer", "roles/bigquery.dataEditor"]
    strongest: dict[tuple[str, str], str] = {}
    expected: set[Grant] = set()
    for name, need in ROLES.items():
        who = member(identity(name, set_to["runner"]), set_to)
        for dataset, grant in need["datasets"].items():
            strongest[who, dataset] = max(strongest.get((who, dataset), strength[0]), grant["role"], key=strength.index)
            if grant.get("personal"):
                expected.add((who, "roles/datacatalog.categoryFineGrainedReader", f"tag {dataset}"))
    expected |= {(who, role, dataset) for (who, dataset), role in strongest.items()}
    assert granted(planned("release", environment)) == expected


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_operator_acts_as_the_pods_and_as_nobody_else(planned: Planned, environment: str) -> None:
    """Whoever throws the kill switch by hand needs the pods' rights: columns that name people are shut to a project's owner."""
    runner = values("platform", environment)["runner"]
    found = [r for r in planned("platform", environment) if r["name"] == "operator"]
    pods = {identity(name, runner) for name in ROLES}
    assert {resource["index"] for resource in found} == {f"{pod} group:aelp2-operators@my-company.example" for pod in pods}
    assert {r["values"]["role"] for r in found} == {"roles/iam.serviceAccountTokenCreator"}
    personal = {name for name, need in ROLES.items() if need["datasets"].get("control", {}).get("personal")}
    assert personal == set(ROLES)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("stack", STACKS)
def test_every_kind_of_grant_is_one_that_these_tests_read(planned: Planned, stack: str, environment: str) -> None:
    """Only additive members and dataset entries grant; nothing authoritative, which would take from others, and no new kind."""
    known = {
        *("google_project_iam_member", "google_project_iam_custom_role", "google_storage_bucket_iam_member"),
        *(
            "google_artifact_registry_repository_iam_member",
            "google_service_account_iam_member",
            "google_bigquery_dataset_access",
        ),
        *("google_data_catalog_policy_tag_iam_member", "google_bigquery_dataset_iam_member"),
        *("google_iam_workload_identity_pool", "google_iam_workload_identity_pool_provider"),
        *("kubernetes_role_v1", "kubernetes_role_binding_v1"),
    }
    kinds = {resource["type"] for resource in planned(stack, environment)}
    assert {kind for kind in kinds if re.search(r"iam|access|role|acl|key", kind)} <= known


# --- what must never stand there


def test_no_file_grants_a_role_of_its_own() -> None:
    """A role is spelled in needs.yaml; the few that Terraform spells are about acting as an account or reading the dashboard."""
    spelled = {(path.name, role) for path, text in sources().items() for role in re.findall(r'"(roles/[\w.]+)"', text)}
    assert spelled == {
        ("gke.tf", "roles/iam.workloadIdentityUser"),
        ("operators.tf", "roles/iam.serviceAccountTokenCreator"),
        ("release.tf", "roles/iam.serviceAccountTokenCreator"),
        ("release.tf", "roles/iam.workloadIdentityUser"),
        ("dashboard.tf", "roles/bigquery.dataViewer"),
        ("grants.tf", "roles/datacatalog.categoryFineGrainedReader"),
        ("grants.tf", "roles/bigquery.dataEditor"),
        ("grants.tf", "roles/bigquery.dataViewer"),
        ("grants.tf", "roles/bigquery.metadataViewer"),
    }


def test_no_role_is_one_of_the_old_three_and_none_is_for_everybody() -> None:
    """owner, editor, viewer; data roles over a whole project; allUsers; keys of accounts; secrets read by an account."""
    named = {role for need in ACCOUNTS.values() for kind in ("project", "runner_project") for role in need.get(kind, {})}
    assert not named & {"roles/owner", "roles/editor", "roles/viewer"}
    assert not {
        role
        for role in named
        if re.fullmatch(r"roles/(bigquery\.(data\w+|admin)|storage\.\w+|secretmanager\.\w+|iam\.\w+)", role)
    }
    text = "\n".join([*sources().values(), str(DOCUMENT)])
    for forbidden in (
        "allUsers",
        "allAuthenticatedUsers",
        "google_service_account_key",
        "secretAccessor",
        "_iam_policy",
        "_iam_binding",
    ):
        assert forbidden not in text.replace("never allUsers", ""), forbidden


def test_the_needs_cannot_be_outgrown_by_people_in_tfvars() -> None:
    """Members in tfvars act as the release or the pods, or read the dashboard; no tfvars file names a role or our account."""
    for stack in STACKS:
        for environment in ENVIRONMENTS:
            text = own(stack, environment).read_text(encoding="utf-8")
            assert "roles/" not in text
            members = re.findall(r'^(\w+)\s*=\s*\[.*"(?:group|user|serviceAccount):', text, re.MULTILINE)
            assert set(members) <= set(OF_PEOPLE)


def test_only_the_mutator_has_the_write_secret(planned: Planned) -> None:
    """On an own cluster it is in the mutator's namespace alone; Composer's has one namespace, which all secrets are in."""
    assert [name for name, need in ROLES.items() if WRITE_SECRET in need["secrets"]] == ["mutator"]
    where: dict[str, set[str]] = {}
    for resource in planned("platform", "prod"):
        if resource["type"] == "kubernetes_secret_v1":
            (metadata,) = resource["values"]["metadata"]
            where.setdefault(metadata["name"], set()).add(metadata["namespace"])
            assert not resource["values"].get("data")
    assert where == {
        "aelp2-name-salt": {"aelp2-modeller"},
        "aelp2-google-ads-read": {"aelp2-reader"},
        WRITE_SECRET: {"aelp2-mutator"},
    }
    on_composer = [r["values"] for r in planned("platform", "dev") if r["type"] == "google_composer_user_workloads_secret"]
    assert {secret["name"] for secret in on_composer} == set(DOCUMENT["secrets"])
    assert all(secret.get("data") is None for secret in on_composer)


def test_no_value_of_a_secret_passes_through_terraform() -> None:
    """No version of a secret is made or read but by one ephemeral block, which only a write-only argument takes from."""
    text = "\n".join(sources().values())
    version = "google_secret_manager_secret_version"
    assert re.findall(rf'^(\w+) "{version}\w*"', text, re.MULTILINE) == ["ephemeral"]
    taken = re.findall(rf"(\w+) = \{{\s+for key[^\n]+ephemeral\.{version}\.stored", text)
    assert taken == ["data_wo"]
    assert text.count(f"ephemeral.{version}") == 1


def test_airflow_reads_no_secret_of_the_runner(planned: Planned) -> None:
    """In a namespace Composer's account starts, watches and deletes pods and reads logs and events; nothing else."""
    allowed = {"pods", "pods/log", "pods/exec", "events"}
    rules = [r["values"]["rule"] for r in planned("platform", "prod") if r["type"] == "kubernetes_role_v1"]
    assert len(rules) == len(ROLES)
    for rule in [rule for role in rules for rule in role]:
        assert set(rule["resources"]) <= allowed
        assert rule["api_groups"] == [""]
        assert "*" not in rule["verbs"]
    bound = [r["values"] for r in planned("platform", "prod") if r["type"] == "kubernetes_role_binding_v1"]
    assert {binding["subject"][0]["name"] for binding in bound} == {member("composer", values("platform", "prod")).split(":")[1]}
    assert ACCOUNTS["composer"]["runner_project"]["permissions"] == ["container.clusters.connect", "container.clusters.get"]


def test_airflow_may_do_what_its_operator_does(planned: Planned) -> None:
    """Every call that the pinned operator makes in a namespace is allowed, and besides only to watch."""
    (provider,) = (ROOT / ".venv-airflow").glob("lib/python*/site-packages/airflow/providers/cncf/kubernetes")
    code = "\n".join((provider / name).read_text(encoding="utf-8") for name in ("operators/pod.py", "utils/pod_manager.py"))
    calls = set(re.findall(r"client\.(create|delete|list|patch|read|connect_get)_namespaced_(pod|event)(_log|_exec)?\b", code))
    assert len(calls) >= 8
    verbs = {"read": "get", "connect_get": "get"}
    needed = {(f"{kind}s{part.replace('_', '/')}", verbs.get(verb, verb)) for verb, kind, part in calls}
    for role in [r["values"] for r in planned("platform", "prod") if r["type"] == "kubernetes_role_v1"]:
        allowed = {(resource, verb) for rule in role["rule"] for resource in rule["resources"] for verb in rule["verbs"]}
        assert needed <= allowed
        assert allowed - needed <= {("pods", "watch"), ("events", "watch"), ("events", "get"), ("pods/exec", "create")}


# --- names that others agree on


def test_secrets_are_those_that_pods_mount_and_onboarding_stores() -> None:
    """Kubernetes' names are the plugin's; the names in Secret Manager are those `aelp2 onboard PLATFORM` adds versions to."""
    from tasks.core.settings import load_settings
    from tasks.ingest.onboard_store import SecretManager
    from tasks.platforms import ADAPTERS

    plugin = (ROOT / "plugins" / "aelp2_airflow" / "containers.py").read_text(encoding="utf-8")
    mounted = set(re.findall(r'"(aelp2-[\w-]+)"', plugin))
    assert mounted == set(DOCUMENT["secrets"]) == {secret for need in ROLES.values() for secret in need["secrets"]}
    store = SecretManager(load_settings({"AELP2_GCP_PROJECT": "p"}))
    stored = {name: store._secret(name).rpartition("/")[2] for name in ADAPTERS}
    files = {name: "google-ads.yaml" if name == "google_ads" else f"{name}.yaml" for name in ADAPTERS}
    for secret, suffix in (("aelp2-google-ads-read", ""), (WRITE_SECRET, "-mutate")):
        expected = {files[name]: f"{stored[name]}{suffix}" for name in ADAPTERS}
        assert DOCUMENT["secrets"][secret] == {"name_salt": "aelp2-name-salt"} | expected
