"""One YAML per table: what it says is what pandera, BigQuery and DuckDB enforce, and every contract keeps the house rules."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import polars as pl
import pytest
import yaml
from pandera.errors import SchemaError, SchemaErrors

from tasks.cli import IDENTIFIED_TABLES, JOBS
from tasks.core.contracts import TableContract, all_contracts, load_contract, parse_contract
from tasks.core.errors import JobError
from tasks.core.released import as_released, incompatible_changes, released
from tasks.core.settings import HTTP_PLATFORMS

NAME = "ads.example"
YAML = """
description: A table with one field of every kind.
owner: ingest
grain: [account_id, date]
partition: date
cluster: [account_id]
freshness_hours: 36
fields:
  account_id: {type: STRING, required: true, pattern: "^[0-9]+$", description: Account.}
  date: {type: DATE, required: true, description: Day.}
  state: {type: STRING, enum: [on, off], description: State.}
  clicks: {type: INT64, required: true, min: 0, description: Clicks.}
  share: {type: FLOAT64, min: 0, max: 1, description: Share.}
  is_brand: {type: BOOL, description: Brand or not.}
  tags: {type: STRING, repeated: true, description: Tags.}
  loaded_at: {type: TIMESTAMP, required: true, description: When.}
""".replace("[on, off]", '["on", "off"]')


def raw() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(YAML)
    return parsed


def example() -> TableContract:
    return parse_contract(NAME, raw())


def good(**changes: object) -> pl.DataFrame:
    """Two good rows; ``changes`` replace whole columns of the first row."""
    row = {
        "account_id": "11",
        "date": date(2026, 3, 1),
        "state": "on",
        "clicks": 3,
        "share": 0.5,
        "is_brand": True,
        "tags": ["a", "b"],
        "loaded_at": datetime(2026, 3, 2, 6, tzinfo=UTC),
    }
    second = {**row, "date": date(2026, 3, 2), "state": None, "share": None, "is_brand": None, "tags": []}
    return pl.DataFrame([{**row, **changes}, second], schema=example().polars_schema())


# --- parsing: an error names the table, the column and what to write instead


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("fields", "clicks", "type"), "INTEGER", r"ads\.example\.clicks: type 'INTEGER' is not one of .*'INT64'"),
        (("fields", "clicks", "minimum"), 0, r"ads\.example\.clicks: unknown key \['minimum'\]; allowed: .*'min'"),
        (("fields", "clicks", "description"), "", r"ads\.example\.clicks: has no description; say what the column means"),
        (("grain",), ["account", "date"], r"ads\.example: grain, partition or cluster names 'account', which is not a field"),
        (("cluster",), ["campaign"], r"ads\.example: grain, partition or cluster names 'campaign'"),
        (("partition",), "day", r"ads\.example: grain, partition or cluster names 'day'"),
        (("partition",), "loaded_at", r"ads\.example: partition column 'loaded_at' must be a DATE"),
        (("grain",), ["account_id", "state"], r"ads\.example: grain column 'state' must be required"),
        (("retention",), 3, r"ads\.example: table.yaml has unknown keys \['retention'\]"),
    ],
)
def test_a_wrong_yaml_is_refused_by_name(path: tuple[str, ...], value: object, message: str) -> None:
    """The error names the table, the column or key, its value and what is allowed."""
    broken = raw()
    target = broken
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(JobError, match=message):
        parse_contract(NAME, broken)


@pytest.mark.parametrize("key", ["description", "owner", "grain", "fields"])
def test_a_missing_part_is_named(key: str) -> None:
    """Without description, owner, grain or fields a table has no contract."""
    broken = raw()
    del broken[key]
    with pytest.raises(JobError, match=rf"ads\.example: table.yaml has unknown keys \[\] and lacks \['{key}'\]"):
        parse_contract(NAME, broken)


@pytest.mark.parametrize("name", ["ads.no_such_table", "ads", "nowhere.ads_campaign_performance"])
def test_an_unknown_table_is_named_with_the_file_it_lacks(name: str) -> None:
    """The error says which file would have to exist."""
    with pytest.raises(JobError, match=rf"no contract for table '{re.escape(name)}': include/sql/.*table.yaml does not exist"):
        load_contract(name)


# --- pandera


def test_a_good_frame_passes() -> None:
    """Nulls where they are allowed, lists, and every type of the contract are accepted as they are."""
    frame = good()
    assert example().pandera_schema().validate(frame).equals(frame)


@pytest.mark.parametrize(
    ("changes", "column", "rule"),
    [
        ({"account_id": None}, "account_id", "not_nullable"),
        ({"clicks": -1}, "clicks", "greater_than_or_equal_to(0)"),
        ({"share": 1.5}, "share", "less_than_or_equal_to(1)"),
        ({"state": "paused"}, "state", "isin(['on', 'off'])"),
        ({"account_id": "12-3"}, "account_id", "str_matches('^[0-9]+$')"),
    ],
)
def test_a_row_outside_of_the_rules_is_refused(changes: dict[str, object], column: str, rule: str) -> None:
    """Null in a required field, below min, above max, not in enum, not of the pattern: the one rule is named, and no other."""
    with pytest.raises(SchemaErrors) as caught:
        example().pandera_schema().validate(good(**changes), lazy=True)
    assert [(column, rule)] == caught.value.failure_cases.select("column", "check").rows()


def test_a_duplicated_grain_is_refused() -> None:
    """Two rows of one grain fail, also when all their other columns differ."""
    frame = good(date=date(2026, 3, 2))
    assert frame["state"].to_list() == ["on", None]
    with pytest.raises(SchemaError, match="not unique"):
        example().pandera_schema().validate(frame)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (good().with_columns(pl.col("clicks").cast(pl.Float64)), "expected column 'clicks' to have type Int64, got Float64"),
        (good().with_columns(pl.col("loaded_at").dt.replace_time_zone(None)), "expected column 'loaded_at' to have type"),
        (good().with_columns(extra=pl.lit(1)), "column 'extra' not in DataFrameSchema"),
        (good().drop("is_brand"), "column 'is_brand' not in dataframe"),
    ],
)
def test_a_frame_of_another_shape_is_refused(frame: pl.DataFrame, message: str) -> None:
    """A wrong type, a time without zone, an extra and a missing column are named."""
    with pytest.raises(SchemaError, match=message):
        example().pandera_schema().validate(frame)


# --- BigQuery and DuckDB


def test_the_bigquery_schema_has_bigquerys_names_of_types_and_modes() -> None:
    """What Terraform and the load job get: the REST API's type names, REQUIRED, NULLABLE or REPEATED, the description."""
    found = {f["name"]: (f["type"], f["mode"]) for f in example().bigquery_schema()}
    assert found == {
        "account_id": ("STRING", "REQUIRED"),
        "date": ("DATE", "REQUIRED"),
        "state": ("STRING", "NULLABLE"),
        "clicks": ("INTEGER", "REQUIRED"),
        "share": ("FLOAT", "NULLABLE"),
        "is_brand": ("BOOLEAN", "NULLABLE"),
        "tags": ("STRING", "REPEATED"),
        "loaded_at": ("TIMESTAMP", "REQUIRED"),
    }
    assert all(f["description"] for f in example().bigquery_schema())


def test_bigquerys_own_client_takes_every_schema() -> None:
    """google-cloud-bigquery reads each contract's schema and gives it back unchanged."""
    from google.cloud.bigquery import SchemaField

    for contract in all_contracts():
        schema = contract.bigquery_schema()
        assert schema == [SchemaField.from_api_repr(copy.deepcopy(field)).to_api_repr() for field in schema], contract.name


def test_only_columns_that_say_so_are_stored_uncompressed() -> None:
    """An id of a visit is written as it is; the account beside it is compressed."""
    ddl = load_contract("gaelp_users.journey_sessions").duckdb_ddl()
    assert '"session_key" VARCHAR NOT NULL USING COMPRESSION uncompressed' in ddl
    assert '"property_id" VARCHAR NOT NULL,' in ddl


@pytest.mark.parametrize("contract", all_contracts(), ids=lambda c: c.name)
def test_the_duckdb_ddl_creates_the_table(contract: TableContract) -> None:
    """DuckDB makes each contract's table with its columns in order, their types and their NOT NULLs; twice is as once."""
    with duckdb.connect() as connection:
        connection.execute(f'CREATE SCHEMA "{contract.dataset}"')
        connection.execute(contract.duckdb_ddl())
        connection.execute(contract.duckdb_ddl())
        rows = connection.execute(
            "SELECT column_name, data_type, is_nullable FROM duckdb_columns() "
            "WHERE schema_name = ? AND table_name = ? ORDER BY column_index",
            [contract.dataset, contract.table],
        ).fetchall()
    types = {
        "STRING": "VARCHAR",
        "INT64": "BIGINT",
        "FLOAT64": "DOUBLE",
        "BOOL": "BOOLEAN",
        "DATE": "DATE",
        "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    }
    expected = [(f.name, types[f.type] + ("[]" if f.repeated else ""), not f.required) for f in contract.fields]
    assert expected == rows


def test_duckdb_refuses_a_null_in_a_required_column() -> None:
    """The DDL's NOT NULL holds: a null in a required column is an error, in an optional one it is not."""
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA ads")
        connection.execute(example().duckdb_ddl())
        connection.execute("INSERT INTO ads.example VALUES ('1', '2026-03-01', NULL, 1, NULL, NULL, NULL, now())")
        with pytest.raises(duckdb.ConstraintException, match="clicks"):
            connection.execute("INSERT INTO ads.example VALUES ('2', '2026-03-01', NULL, NULL, NULL, NULL, NULL, now())")


# --- the contracts of this repository


TABLES_OF_THE_DESIGN = {
    "ads.ads_campaign_performance",
    "ads.ads_ad_performance",
    "ads.ads_criterion_performance",
    "ads.ads_conversion_action_stats",
    "ads.ads_change_events",
    "ads.campaign_budgets",
    "models.mmm_curves",
    "models.mmm_allocations",
    "models.mmm_runs",
    "control.budget_proposals",
    "control.approvals",
    "control.canary_changes",
    "control.canary_budgets_snapshot",
    "control.safety_events",
    "control.kill_switch",
}


def test_the_tables_of_the_design_and_of_every_job_exist() -> None:
    """The names that DESIGN fixes for the loop, and every table a job says it writes, have a contract."""
    named = {table for job in JOBS.values() for table in job.writes if table != IDENTIFIED_TABLES} | TABLES_OF_THE_DESIGN
    assert set() == named - {contract.name for contract in all_contracts()}


# Where the currency of a table's amounts stands when the table has no currency_code of its own: one key away.
CURRENCY_OF = {
    "ads.ads_change_events": "ads.ads_accounts",
    "control.canary_budgets_snapshot": "ads.ads_accounts",
    "control.canary_changes": "ads.ads_accounts",
    "control.change_reconciliation": "ads.ads_accounts",
    "models.mmm_allocations": "models.mmm_runs",
    "models.mmm_curves": "models.mmm_runs",
}
KIND_OF_NAME = {"_micros": {"INT64"}, "_pct": {"FLOAT64", "INT64"}, "_date": {"DATE"}, "_at": {"TIMESTAMP"}, "_id": {"STRING"}}
# Units by the end of a name; any other field may carry one of the rest.
UNIT_OF_NAME = {"_micros": "micros", "_days": "days"}
OTHER_UNITS = {None, "count", "ratio", "draws", "seconds", "currency"}


def broken_rules(contract: TableContract) -> list[str]:
    """Every house rule of STYLE and DESIGN that the names, types and units of ``contract`` break."""
    found = []
    by_name = {field.name: field for field in contract.fields}
    for field in contract.fields:
        where = f"{contract.name}.{field.name}"
        for end, kinds in KIND_OF_NAME.items():
            if (field.name.endswith(end) or field.name == end[1:]) and field.type not in kinds:
                found.append(f"{where}: {end} must be one of {sorted(kinds)}, not {field.type}")
        if field.type == "DATE" and field.name != "date" and not field.name.endswith("_date"):
            found.append(f"{where}: a DATE is named …_date")
        if field.type == "TIMESTAMP" and field.name != "at" and not field.name.endswith("_at"):
            found.append(f"{where}: a TIMESTAMP is named …_at")
        if (field.type == "BOOL") != field.name.startswith("is_"):
            found.append(f"{where}: a BOOL is named is_…, and nothing else is")
        expected = next((unit for end, unit in UNIT_OF_NAME.items() if field.name.endswith(end)), None)
        if field.unit != expected and (expected or field.unit not in OTHER_UNITS):
            found.append(f"{where}: unit {field.unit!r}, its name says {expected!r}")
        if field.unit in ("micros", "count") and field.minimum is None and field.required:
            found.append(f"{where}: a required {field.unit} has a least value")
        if field.name.endswith(("sha256", "_hash")) and field.type != "STRING":
            found.append(f"{where}: a hash is a STRING")
        if len(field.description.strip()) < 3:
            found.append(f"{where}: its description says nothing")
    money = [field.name for field in contract.fields if field.unit == "micros"]
    if money and "currency_code" not in by_name:
        other = CURRENCY_OF.get(contract.name)
        key = load_contract(other).grain if other else ()
        if other is None or not set(key) <= set(contract.columns) or "currency_code" not in load_contract(other).columns:
            found.append(f"{contract.name}: {money} without a currency_code beside them or one key away")
    if not contract.grain or not contract.description.strip() or not contract.owner.strip():
        found.append(f"{contract.name}: lacks grain, description or owner")
    return found


@pytest.mark.parametrize("contract", all_contracts(views=True), ids=lambda c: c.name)
def test_a_contract_keeps_the_house_rules(contract: TableContract) -> None:
    """Names carry unit and kind, money has a currency, every field says what it means, every table has a grain."""
    assert broken_rules(contract) == []


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"cost_micros": {"type": "FLOAT64", "unit": "micros"}}, "_micros must be one of ['INT64'], not FLOAT64"),
        ({"cost_micros": {"type": "INT64", "min": 0}}, "unit None, its name says 'micros'"),
        ({"cost_micros": {"type": "INT64", "unit": "micros"}}, "without a currency_code"),
        ({"day": {"type": "DATE"}}, "a DATE is named …_date"),
        ({"sent_at": {"type": "DATE"}}, "_at must be one of ['TIMESTAMP'], not DATE"),
        ({"start_date": {"type": "STRING"}}, "_date must be one of ['DATE'], not STRING"),
        ({"brand": {"type": "BOOL"}}, "a BOOL is named is_…"),
        ({"campaign_id": {"type": "INT64"}}, "_id must be one of ['STRING'], not INT64"),
        ({"step_pct": {"type": "STRING"}}, "_pct must be one of ['FLOAT64', 'INT64'], not STRING"),
        ({"visits": {"type": "INT64", "unit": "pieces"}}, "unit 'pieces'"),
    ],
)
def test_the_house_rules_find_a_breach(field: dict[str, dict[str, Any]], message: str) -> None:
    """Each rule is seen to fail on a field that breaks it."""
    broken = raw()
    broken["fields"] |= {name: {"description": "Some column.", **spec} for name, spec in field.items()}
    assert any(message in found for found in broken_rules(parse_contract(NAME, broken)))


def test_one_field_has_one_type_in_all_tables() -> None:
    """A name means one type wherever it stands, so that a join never compares two kinds."""
    kinds: dict[str, set[str]] = {}
    for contract in all_contracts():
        for field in contract.fields:
            kinds.setdefault(field.name, set()).add(field.type + ("[]" if field.repeated else ""))
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {
        "impressions": {"INT64", "FLOAT64"},  # imports bring modelled exposure, for example GRPs, which is not whole
        "threshold": {"STRING", "FLOAT64"},  # a review says in words what was asked, a canary's guardrail has a number
    }


def test_personal_data_is_marked_and_is_only_who_acted_or_hashed() -> None:
    """The personal data in any table are user names of who acted and unsalted hashes of e-mail and phone; all are marked pii."""
    suspicious = re.compile(r"(^|_)(email|e_mail|phone|first_name|last_name|full_name|address|ip|user_name)($|_)")
    people = {"approver", "actor", "author"}
    found = {
        f"{contract.name}.{field.name}": field.pii
        for contract in all_contracts()
        for field in contract.fields
        if suspicious.search(field.name) or field.name in people or field.pii
    }
    assert found == {
        "control.approvals.approver": True,
        "control.canary_changes.actor": True,
        "control.change_sets.author": True,
        "control.drift_acknowledgements.actor": True,
        "control.kill_switch.actor": True,
        "control.platform_skeletons.actor": True,
        "gaelp_users.audience_members.id": True,
        "gaelp_users.identity_edges.left_id": True,
        "gaelp_users.identity_edges.right_id": True,
        "gaelp_users.identity_nodes.id": True,
        "gaelp_users.server_events.email_sha256": True,
        "gaelp_users.server_events.phone_sha256": True,
    }


def test_a_view_has_no_layout_and_may_take_over_the_columns_of_a_table() -> None:
    """`like` gives grain and fields of the table, and nothing of its partitions; other keys beside it are refused."""
    view = load_contract("ads.x_campaign_daily")
    table = load_contract("ads.ads_campaign_performance")
    assert (view.fields, view.grain) == (table.fields, table.grain)
    assert (view.partition, view.cluster, view.freshness_hours) == (None, (), None)
    like = {"description": "A view.", "owner": "ingest", "like": table.name}
    with pytest.raises(JobError, match="has description and owner beside it"):
        parse_contract("ads.some_view", like | {"partition": "date"}, "SELECT 1")
    with pytest.raises(JobError, match="a view has no cluster, freshness_hours, partition"):
        parse_contract("ads.some_view", raw() | {"partition": "date"}, "SELECT 1")
    with pytest.raises(JobError, match="unknown keys \\['like'\\]"):
        parse_contract("ads.some_table", like)


def test_views_are_listed_only_where_they_are_asked_for() -> None:
    """Who goes through the tables to write, count or delete meets no view; who describes all of them sees the views too."""
    views = {contract.name for contract in all_contracts(views=True)} - {contract.name for contract in all_contracts()}
    platforms = load_contract("ads.ads_accounts").fields[0].enum
    named = {f"ads.{platform}_{kind}_daily" for platform in platforms for kind in ("campaign", "ad")}
    shown = {f"dashboard.{name}" for name in ("budget_changes", "spend_daily", "success_metrics_daily")}
    assert views == named | shown | {"ads.ads_campaign_daily", "ads.business_spend_daily"}
    assert all(load_contract(name).view for name in views)


def test_each_contract_that_names_ad_platforms_names_all_of_them() -> None:
    """A table that knew five of six would turn the sixth's rows away on the day it is onboarded."""
    ads = {"google_ads", *HTTP_PLATFORMS}
    enums = {c.name: set(f.enum or ()) & ads for c in all_contracts() for f in c.fields if f.name == "platform"}
    named = {name: found for name, found in enums.items() if found}
    assert len(named) > 10
    assert {name: sorted(ads - found) for name, found in named.items() if found != ads} == {}


# --- what is out already


def test_a_table_that_is_out_gets_new_columns_and_nothing_else() -> None:
    """No contract takes from a table what the last release gave it: what is in it would be gone."""
    assert incompatible_changes(released(), as_released(all_contracts())) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda yaml: yaml["fields"].pop("clicks"), "ads.example.clicks is gone; make a new table ads.example_v2"),
        (
            lambda yaml: yaml["fields"]["clicks"].update(type="FLOAT64"),
            "ads.example.clicks was INTEGER REQUIRED and is FLOAT REQUIRED; make a new table ads.example_v2",
        ),
        (
            lambda yaml: yaml["fields"]["share"].update(required=True),
            "ads.example.share was FLOAT NULLABLE and is FLOAT REQUIRED; make a new table ads.example_v2",
        ),
        (
            lambda yaml: yaml["fields"].update(views={"type": "INT64", "required": True, "description": "Views."}),
            "ads.example.views is new and required; BigQuery adds nullable columns only: leave `required` out",
        ),
        (
            lambda yaml: yaml.update(fields={"views": {"type": "INT64", "description": "Views."}, **yaml["fields"]}),
            "ads.example: columns that are out changed their order; a new column stands last, as BigQuery puts it",
        ),
        (lambda yaml: yaml.pop("partition"), "ads.example: partition was date and is None; make a new table ads.example_v2"),
        (
            lambda yaml: yaml.update(grain=["account_id"]),
            "ads.example: grain was ['account_id', 'date'] and is ['account_id']; make a new table ads.example_v2",
        ),
    ],
)
def test_a_change_that_a_table_cannot_take_is_named(change: Callable[[dict[str, Any]], None], message: str) -> None:
    """A lost column, another type or mode, a required new column, another partition or grain."""
    changed = raw()
    change(changed)
    assert incompatible_changes(as_released([example()]), as_released([parse_contract(NAME, changed)])) == [message]


def test_an_optional_column_may_be_added_one_may_become_optional_and_a_table_may_come() -> None:
    """None of it touches what is there; a table that goes does."""
    changed = raw()
    changed["fields"]["clicks"]["required"] = False
    changed["fields"]["views"] = {"type": "INT64", "description": "Views."}
    before, now = as_released([example()]), as_released([parse_contract(NAME, changed)])
    assert incompatible_changes(before, now) == incompatible_changes({}, now) == []
    assert incompatible_changes(before, {}) == [
        "ads.example is gone; its rows would be: keep the contract, or take the table out of released.json knowingly"
    ]
