"""Stack release makes exactly the tables of the contracts, as the jobs' own warehouse would make them.

The plan is Terraform's: it reads the same table.yaml files by its own YAML reader, so the two sides meet in the files alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.core.contracts import TableContract, all_contracts, load_contract
from tasks.core.released import released
from tasks.core.settings import load_settings
from tasks.core.warehouse.bigquery import BigQueryWarehouse
from tasks.core.warehouse.dialect import parsed, qualified, tables_of

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "my-company-aelp2-dev"
TABLES, VIEWS = all_contracts(), [contract for contract in all_contracts(views=True) if contract.view is not None]
Plan = Callable[[str, str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def tables(planned: Plan) -> dict[str, dict[str, Any]]:
    """``dataset.table`` → the planned google_bigquery_table, with the name of its block as ``block``."""
    found = [resource for resource in planned("release", "dev") if resource["type"] == "google_bigquery_table"]
    return {f"{r['values']['dataset_id']}.{r['values']['table_id']}": {**r["values"], "block": r["name"]} for r in found}


def warehouse() -> BigQueryWarehouse:
    """The jobs' warehouse of the project, which asks nobody anything here."""
    made = BigQueryWarehouse(load_settings({"AELP2_GCP_PROJECT": PROJECT}))
    made._client_or_none = SimpleNamespace(project=PROJECT)
    return made


def test_the_tables_and_views_are_those_of_the_contracts(tables: dict[str, dict[str, Any]]) -> None:
    """Each folder with a table.yaml is one table or view, and nothing else is."""
    assert sorted(tables) == sorted(contract.name for contract in [*TABLES, *VIEWS])
    assert {name for name, table in tables.items() if table["block"] == "view"} == {contract.name for contract in VIEWS}


@pytest.mark.parametrize("contract", TABLES, ids=lambda contract: contract.name)
def test_a_table_is_as_the_jobs_would_make_it(tables: dict[str, dict[str, Any]], contract: TableContract) -> None:
    """Columns in order with type, mode and description; partition, clustering, description and labels; protected."""
    planned = tables[contract.name]
    own = warehouse()._table(contract, contract.table).to_api_repr()
    schema = [{key: value for key, value in column.items() if key != "policyTags"} for column in json.loads(planned["schema"])]
    assert schema == contract.bigquery_schema() == own["schema"]["fields"]
    partitions = [{"type": p["type"], "field": p["field"]} for p in planned["time_partitioning"]]
    assert partitions == ([own["timePartitioning"]] if "timePartitioning" in own else [])
    assert planned["clustering"] == (own["clustering"] or {}).get("fields")
    assert (planned["description"], planned["labels"]) == (own["description"], own["labels"])
    assert planned["deletion_protection"] is True


@pytest.mark.parametrize("view", VIEWS, ids=lambda contract: contract.name)
def test_a_view_has_the_text_the_jobs_would_give_it(tables: dict[str, dict[str, Any]], view: TableContract) -> None:
    """Else each release and each job would replace the other's. Its tables carry the project: a view knows no default one."""
    (planned,) = tables[view.name]["view"]
    own = warehouse()._table(view, view.table).to_api_repr()
    assert planned["query"] == own["view"]["query"] == qualified(view.view or "", PROJECT)
    assert planned["use_legacy_sql"] is own["view"]["useLegacySql"] is False
    assert (tables[view.name]["description"], tables[view.name]["labels"]) == (own["description"], own["labels"])


def test_no_column_that_is_out_is_lost(tables: dict[str, dict[str, Any]]) -> None:
    """What the last release made is still planned, with its type and no stricter: a table is changed in place or not at all."""
    for name, before in released().items():
        now = {column["name"]: (column["type"], column["mode"]) for column in json.loads(tables[name]["schema"])}
        for column, kind in before["columns"].items():
            assert column in now, f"{name}.{column} is gone: the provider would drop it with what is in it"
            assert " ".join(now[column]) in (kind, kind.replace(" REQUIRED", " NULLABLE")), f"{name}.{column}"


def test_personal_columns_and_no_others_carry_the_tag_of_their_dataset(tables: dict[str, dict[str, Any]]) -> None:
    """`pii: true` is a policy tag; who reads a dataset does not read them."""
    tagged = {
        (name, column["name"]): column["policyTags"]["names"]
        for name, table in tables.items()
        if table["block"] != "view"
        for column in json.loads(table["schema"])
        if "policyTags" in column
    }
    personal = {(contract.name, field.name) for contract in TABLES for field in contract.fields if field.pii}
    assert set(tagged) == personal
    assert personal
    for (name, _), tags in tagged.items():
        assert tags == [f"projects/p/locations/eu/taxonomies/1/policyTags/{name.split('.')[0]}"]


def test_tables_that_hold_the_history_of_money_cannot_be_destroyed(tables: dict[str, dict[str, Any]]) -> None:
    """They stand in the block with prevent_destroy: all of owner money, among them the ledger and what it rests on."""
    kept = {name for name, table in tables.items() if table["block"] == "kept"}
    assert kept == {contract.name for contract in TABLES if contract.owner == "money"}
    assert kept >= {
        *("control.canary_changes", "control.ledger_anchors", "control.approvals", "control.change_sets", "control.kill_switch"),
        *("control.canary_budgets_snapshot", "control.canary_ads_snapshot", "control.safety_events", "control.plan_decisions"),
    }
    text = (ROOT / "terraform" / "release" / "tables.tf").read_text(encoding="utf-8")
    blocks = dict(re.findall(r'^resource "google_bigquery_table" "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL))
    assert "prevent_destroy = true" in blocks["kept"]
    same = [
        re.sub(r"^  (for_each +=|lifecycle \{\n +prevent_destroy = true\n  \}).*\n", "", blocks[name], flags=re.M)
        for name in ("kept", "other")
    ]
    assert same[0].strip() == same[1].strip(), "the two blocks differ in more than prevent_destroy"


def test_datasets_are_those_of_the_contracts_and_never_dropped(planned: Plan) -> None:
    """Each folder of include/sql with tables; nothing in them goes with them."""
    datasets = {r["index"]: r["values"] for r in planned("release", "prod") if r["type"] == "google_bigquery_dataset"}
    assert set(datasets) == {contract.dataset for contract in [*TABLES, *VIEWS]}
    assert {values["delete_contents_on_destroy"] for values in datasets.values()} == {False}
    assert {values["location"] for values in datasets.values()} == {"EU"}
    assert all(values["labels"]["cost"] for values in datasets.values())


def test_the_dashboards_views_are_authorised_on_what_they_read_and_show_nothing_personal(planned: Plan) -> None:
    """A reader of the dashboard needs no access to the tables behind it, and no personal column is even named there."""
    granted = [
        r["values"]
        for r in planned("release", "dev")
        if r["type"] == "google_bigquery_dataset_access" and r["name"] == "dashboard"
    ]
    found = {(f"{v['view'][0]['dataset_id']}.{v['view'][0]['table_id']}", v["dataset_id"]) for v in granted}
    shown = [view for view in VIEWS if view.dataset == "dashboard"]
    read = {(view.name, table.split(".")[0]) for view in shown for table in tables_of(parsed(view.view or ""))}
    assert found == read
    for view in shown:
        personal = {f.name for table in tables_of(parsed(view.view or "")) for f in load_contract(table).fields if f.pii}
        assert not personal & set(re.findall(r"\w+", view.view or "")), view.name
    (reader,) = (r["values"] for r in planned("release", "dev") if r["name"] == "dashboard_reader")
    assert (reader["dataset_id"], reader["role"], reader["user_by_email"]) == ("dashboard", "roles/bigquery.dataViewer", None)
    assert reader["group_by_email"] == "growth@my-company.example"


def test_every_dag_and_plugin_file_goes_into_the_bucket(planned: Plan) -> None:
    """DAGs, the images they name and the whole plugin; no compiled file, no README."""
    objects = {r["values"]["name"]: r["values"] for r in planned("release", "dev") if r["type"] == "google_storage_bucket_object"}
    dags = [*ROOT.glob("dags/*.py"), *ROOT.glob("dags/images.lock.json")]
    plugins = [path for path in (ROOT / "plugins").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sorted(objects) == sorted(str(path.relative_to(ROOT)) for path in [*dags, *plugins])
    assert {values["bucket"] for values in objects.values()} == {"europe-west1-aelp2-bucket"}
    assert all(values["source_md5hash"] for values in objects.values())


def test_both_environments_make_the_same_resources(planned: Plan) -> None:
    """dev and prod differ in names and values, never in what there is; grants follow the runner (test_iam.py)."""
    grants = ("google_bigquery_dataset_access.needs", "google_data_catalog_policy_tag_iam_member.reader")
    addresses = [
        sorted(resource["address"] for resource in planned("release", environment) if not resource["address"].startswith(grants))
        for environment in ("dev", "prod")
    ]
    assert addresses[0] == addresses[1]
