"""All SQL of the system: complete headers, the parameters its callers pass, and what DuckDB and BigQuery's analyser say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlglot
from sql.call_sites import READS, ROOT, all_sites, sites_of
from sql.statements import BUILT, VALUES, Statement, all_statements
from sql.zetasql_analyser import analyse
from sqlglot import exp

from tasks.core.contracts import SQL_ROOT, TableContract, all_contracts, load_contract
from tasks.core.errors import JobError
from tasks.core.warehouse.dialect import parse_select, tables_of, to_duckdb
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest.ga4_source import FLATTEN  # reads no table of the warehouse; tests/ingest/test_ga4_source.py runs it
from tasks.quality.checks_file import load_checks

QUERY_FILES = sorted(path for path in SQL_ROOT.glob("*/*/*.sql") if path.name not in ("checks.sql", "view.sql"))
VIEWS = [contract for contract in all_contracts(views=True) if contract.view is not None]
HEADER = re.compile(r"--(?! Grain:) \w.* Grain: \S.* Window: \S.* Why: \S")


def header(sql: str) -> str:
    """The comment at the head of a query as one line."""
    lines = sql.splitlines()
    return " ".join(lines[: next(n for n, line in enumerate(lines) if not line.startswith("--"))])


def name_of(path: Path) -> str:
    return str(path.relative_to(SQL_ROOT))


def refused(statements: list[Statement], judge: Any) -> dict[str, str]:
    """Origin → what ``judge`` says against it."""
    found = {}
    for statement in statements:
        try:
            judge(statement)
        except Exception as error:
            found[f"{statement.origin}: {statement.sql[:80]}"] = str(error)
    return found


# --- the list of statements is complete


def test_every_call_that_asks_a_warehouse_is_known() -> None:
    """The SQL of each call is found in the code; the few functions that build theirs are run on a recording warehouse."""
    asked = [site for site in all_sites() if site.kind in READS]
    assert len(asked) > 40
    assert {site.place for site in asked if not site.values or site.parameters is None} == set(BUILT)


def test_every_built_statement_was_recorded() -> None:
    """The recording meets each kind of statement that the builders make, in number too."""
    built = [s for s in all_statements() if s.origin in BUILT]
    by_origin = {origin: [s.sql for s in built if s.origin == origin] for origin in {s.origin for s in built}}
    ledger = by_origin["tasks.core.ledger:Ledger._select"]
    assert len(ledger) == 4
    assert any("MAX(seq)" in sql for sql in ledger)
    assert len(by_origin["tasks.ingest.import_csv:replace_source"]) == 3
    gates = by_origin["tasks.quality.table_checks:_ask"]
    for start in ("SELECT MAX(loaded_at)", "SELECT '", "SELECT * FROM ("):
        assert any(sql.startswith(start) for sql in gates), start


def test_every_stored_query_is_used() -> None:
    """No query file lies there unread, and none is asked for that does not exist."""
    used = {value for site in all_sites() if site.kind == "query_file" for value in site.values} | {FLATTEN}
    assert used == {name_of(path) for path in QUERY_FILES}


def test_a_call_of_unknown_text_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function whose SQL comes from its argument has no values, one whose SQL is written out has, loops and joins included."""
    code = """
def hidden(warehouse, sql):
    return warehouse.query(sql, {"a": 1})

def shown(warehouse, params):
    both = {"a": 1} | {"b": 2}
    for part in ("x", "y"):
        warehouse.query(f"SELECT {part} " "FROM t", both)
    warehouse.query("SELECT 1", params)
"""
    monkeypatch.setattr("sql.call_sites.importlib.import_module", lambda _name: ast)
    hidden, shown = ast.parse(code).body
    assert isinstance(hidden, ast.FunctionDef)
    assert isinstance(shown, ast.FunctionDef)
    assert [(s.values, s.parameters) for s in sites_of("m", "hidden", hidden)] == [((), frozenset({"a"}))]
    assert [(s.values, s.parameters) for s in sites_of("m", "shown", shown)] == [
        (("SELECT 1",), None),
        (("SELECT x FROM t", "SELECT y FROM t"), frozenset({"a", "b"})),
    ]


# --- form


@pytest.mark.parametrize("path", [*QUERY_FILES, *sorted(SQL_ROOT.glob("*/*/view.sql"))], ids=name_of)
def test_a_query_file_says_grain_window_and_why(path: Path) -> None:
    """The header says what the query gives, then its grain, its window and why it is there."""
    assert HEADER.match(header(path.read_text(encoding="utf-8")))


def test_a_header_without_its_parts_is_found() -> None:
    """Grain, window and why are each needed."""
    lines = ["-- What it gives.\n", "-- Grain: day.\n", "-- Window: one day.\n", "-- Why: it is asked for.\n", "SELECT 1\n"]
    assert HEADER.match(header("".join(lines)))
    for number in range(4):
        assert not HEADER.match(header("".join(line for n, line in enumerate(lines) if n != number)))


@pytest.mark.parametrize("path", sorted(SQL_ROOT.glob("*/*/checks.sql")), ids=name_of)
def test_a_checks_file_names_its_table_and_each_check_a_remedy(path: Path) -> None:
    """The first line names the table and the format; every check has a remedy that is a sentence."""
    table = f"{path.parent.parent.name}.{path.parent.name}"
    assert path.read_text(encoding="utf-8").startswith(f"-- Checks of {table}")
    checks = load_checks(table)
    assert checks
    assert [check.name for check in checks if len(check.remedy.split()) < 4 or check.remedy[-1] not in ".`"] == []


def test_every_parameter_used_is_passed_and_no_other() -> None:
    """The @names of each statement are exactly what its caller passes."""
    different = {s.origin: sorted(s.used ^ s.passed) for s in all_statements() if s.used != s.passed}
    assert different == {}


def stars(sql: str) -> list[str]:
    """Select lists of ``sql`` that take whatever a table has; COUNT(*) and a select over an explicit inner list are none."""
    found = []
    for select in sqlglot.parse_one(sql, dialect="bigquery").find_all(exp.Select):
        sources = [select.args["from_"].this] if select.args.get("from_") else []
        sources += [join.this for join in select.args.get("joins") or []]
        if any(e.is_star for e in select.expressions) and any(isinstance(source, exp.Table) for source in sources):
            found.append(select.sql(dialect="bigquery"))
    return found


def test_select_lists_are_explicit() -> None:
    """No statement selects * or t.* from a table: a new column must not change what a reader gets."""
    assert {s.origin: stars(s.sql) for s in all_statements() if stars(s.sql)} == {}


@pytest.mark.parametrize(
    ("sql", "count"),
    [
        ("SELECT * FROM ads.campaign_budgets", 1),
        ("SELECT b.* FROM ads.campaign_budgets AS b JOIN ads.ads_accounts AS a ON TRUE", 1),
        ("WITH x AS (SELECT * FROM ads.campaign_budgets) SELECT date FROM x", 1),
        ("SELECT COUNT(*) AS n FROM ads.campaign_budgets", 0),
        ("SELECT * FROM (SELECT date FROM ads.campaign_budgets) AS inner_list", 0),
    ],
)
def test_a_star_is_found(sql: str, count: int) -> None:
    """The search sees a star wherever it stands and lets the harmless ones be."""
    assert len(stars(sql)) == count


def test_no_statement_names_a_project() -> None:
    """Tables are dataset.table with a contract; the dialect layer refuses a project or an unknown table."""
    with pytest.raises(JobError, match="names a project"):
        to_duckdb("SELECT date FROM `my-project.ads.campaign_budgets`")
    assert refused(list(all_statements()), lambda s: to_duckdb(s.sql, s.values).tables) == {}


# --- DuckDB


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A connection to a database with every contract's table, empty."""
    with _database(tmp_path_factory.mktemp("sql") / "w.duckdb") as connection:
        yield connection


@contextmanager
def _database(path: Path) -> Iterator[Any]:
    import duckdb

    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone='UTC'")
        for contract in all_contracts(views=True):
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{contract.dataset}"')
            connection.execute(contract.duckdb_ddl())
        yield connection


def test_every_parameter_has_a_type() -> None:
    """Each name passed anywhere has a value of its type here, and none of these is left over."""
    assert frozenset().union(*(s.passed for s in all_statements())) == set(VALUES)


def test_every_statement_runs_on_duckdb(empty: Any) -> None:
    """Translated by the dialect layer, each statement binds and runs on empty tables."""

    def run(statement: Statement) -> None:
        empty.execute(to_duckdb(statement.sql, statement.values).sql, statement.values).fetchall()

    assert refused(list(all_statements()), run) == {}


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_has_the_columns_of_its_contract_on_duckdb(empty: Any, view: TableContract) -> None:
    """Name, order and type of each column are what the contract says."""
    found = [(name, kind.removesuffix(" WITH TIME ZONE")) for name, kind, *_ in empty.execute(f"DESCRIBE {view.name}").fetchall()]
    assert found == [(field.name, field.duckdb_type().replace("TIMESTAMPTZ", "TIMESTAMP")) for field in view.fields]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_reads_tables_and_no_parameters(view: TableContract) -> None:
    """A view asked for is made of tables alone, so that it can be made anew whenever its text changes."""
    assert view.view is not None
    assert "@" not in view.view
    assert set(tables_of(parse_select(view.view))) <= {contract.name for contract in all_contracts()}


def test_the_views_of_the_platforms_differ_in_the_platform_alone() -> None:
    """Each platform has a view of its campaigns and one of its ads, with one text but for its names."""
    platforms = load_contract("ads.ads_accounts").fields[0].enum
    for kind in ("campaign", "ad"):
        bare = set()
        for platform in platforms:
            text = load_contract(f"ads.{platform}_{kind}_daily").view or ""
            assert f"WHERE platform = '{platform}'" in text
            bare.add(text.split("SELECT", 1)[1].replace(f"'{platform}'", "'?'"))
        assert len(bare) == 1


def test_a_wrong_column_does_not_run_on_duckdb(empty: Any) -> None:
    """The test above can fail: an unknown column is refused by the binder."""
    broken = Statement("here", "SELECT campaign FROM ads.ads_campaign_performance", frozenset())
    found = refused([broken], lambda s: empty.execute(to_duckdb(s.sql).sql))
    assert list(found) == ["here: SELECT campaign FROM ads.ads_campaign_performance"]


def test_the_plan_takes_switches_as_the_guard_does(tmp_path: Path) -> None:
    """A later switching under a clock that stands wrong counts in both, so a plan never proposes what apply will refuse."""
    from tasks.core.switches import read_switches

    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    rows = [
        (f"{number:010d}", "google_ads:1", is_on, "why", "ana", datetime(2026, 3, day, tzinfo=UTC))
        for number, is_on, day in ((1, False, 9), (2, True, 1))
    ]
    schema = load_contract("control.kill_switch").polars_schema()
    warehouse.append("control.kill_switch", pl.DataFrame(rows, schema=schema, orient="row"))
    (planned,) = warehouse.query_file("control/plan_switches/query.sql").to_dicts()
    guarded = read_switches(warehouse)["google_ads:1"]
    assert (planned["is_on"], planned["switched_at"]) == (guarded.is_on, guarded.switched_at) == (True, rows[1][5])


# --- BigQuery's own analyser


@pytest.mark.slow
def test_every_statement_is_valid_bigquery() -> None:
    """ZetaSQL finds every table, column, type, function and parameter of every statement, against the contracts."""
    assert refused(list(all_statements()), lambda s: analyse(s.sql, s.types)) == {}


@pytest.mark.slow
def test_every_column_of_a_stored_query_has_a_name_of_its_own() -> None:
    """Readers take columns by name, so none may be nameless or there twice."""
    for statement in all_statements():
        if statement.origin.endswith(".sql"):
            names = [column.name for column in analyse(statement.sql, statement.types).output_column_list]
            assert [name for name in names if name.startswith("$")] == [], statement.origin
            assert len(names) == len(set(names)), statement.origin


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_has_the_columns_of_its_contract_on_bigquery(view: TableContract) -> None:
    """The analyser finds the names and types that the contract says."""
    columns = [(column.name, str(column.column.type.type_name())) for column in analyse(view.view or "").output_column_list]
    assert columns == [(field.name, {"FLOAT64": "DOUBLE"}.get(field.type, field.type)) for field in view.fields]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "types", "message"),
    [
        ("SELECT campaign FROM ads.ads_campaign_performance", {}, "Unrecognized name: campaign"),
        ("SELECT date FROM ads.campaign_performance", {}, "Table not found: ads.campaign_performance"),
        ("SELECT date FROM control.campaign_budgets", {}, "Table not found: control.campaign_budgets"),
        ("SELECT date + platform AS x FROM ads.campaign_budgets", {}, "No matching signature for operator +"),
        ("SELECT date FROM ads.campaign_budgets WHERE date = @day", {"day": "INT64"}, "No matching signature for operator ="),
        ("SELECT date FROM ads.campaign_budgets WHERE date = @day", {}, "Query parameter 'day' not found"),
        ("SELECT platform, SUM(amount_micros) AS n FROM ads.campaign_budgets", {}, "neither grouped nor aggregated"),
        ("SELECT DATEDIFF(date, date) AS n FROM ads.campaign_budgets", {}, "Function not found: DATEDIFF"),
    ],
)
def test_the_analyser_refuses_what_bigquery_would(sql: str, types: dict[str, str], message: str) -> None:
    """An unknown column, table or function, a wrong type, a missing parameter and a missing GROUP BY are errors."""
    with pytest.raises(Exception, match=re.escape(message)):
        analyse(sql, types)


@pytest.mark.slow
def test_the_queries_of_the_loop_are_valid_bigquery() -> None:
    """What scripts/loop_facts.py asks is analysed too, although only a person reads it."""
    tree = ast.parse((ROOT / "scripts" / "loop_facts.py").read_text(encoding="utf-8"))
    (queries,) = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "_QUERIES"]
    statements = [Statement(name, sql, frozenset({"run_date"})) for name, sql in ast.literal_eval(queries).items()]
    assert len(statements) > 3
    assert refused(statements, lambda s: analyse(s.sql, s.types)) == {}


@pytest.mark.slow
def test_the_leases_are_valid_bigquery() -> None:
    """The statements that take, renew and give back a lease run only on BigQuery; the analyser knows each of them."""
    from tasks.core.warehouse import bigquery_lease

    sql = {name: text for name, text in vars(bigquery_lease).items() if isinstance(text, str) and "control.leases`" in text}
    assert set(sql) == {"_ADD", "_TAKE", "_RENEW", "_RELEASE", "_HOLDER"}
    types = {"name": "STRING", "holder": "STRING", "ttl": "INT64"}
    statements = [Statement(name, text.replace("`control.leases`", "control.leases"), frozenset()) for name, text in sql.items()]
    assert refused(statements, lambda s: analyse(s.sql, types)) == {}


@pytest.mark.slow
def test_every_write_is_valid_bigquery(monkeypatch: pytest.MonkeyPatch) -> None:
    """The MERGE of each kind of write, for each table, is one that BigQuery's analyser takes."""
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import bigquery

    written: list[Statement] = []

    class Done:
        dml_stats = type("Counts", (), {"inserted_row_count": 0, "deleted_row_count": 0})

    def run(_client: Any, sql: str, _params: Any) -> Done:
        written.append(Statement(sql.split("\n", 1)[0], re.sub(r"`(\w+)\.(\w+)`", r"\1.\2", sql), frozenset()))
        return Done()

    @contextmanager
    def staged(_self: Any, contract: Any, _frame: Any) -> Iterator[str]:
        yield contract.table  # a staging table has the columns of its table

    warehouse = bigquery.BigQueryWarehouse(load_settings({"AELP2_BACKEND": "bigquery", "AELP2_GCP_PROJECT": "p"}))
    monkeypatch.setattr(bigquery, "run", run)
    monkeypatch.setattr(bigquery.BigQueryWarehouse, "_staged", staged)
    monkeypatch.setattr(bigquery.BigQueryWarehouse, "_client", None)
    monkeypatch.setattr(bigquery.BigQueryWarehouse, "create", lambda _self, _table: None)
    monkeypatch.setattr(bigquery.BigQueryWarehouse, "_lease", lambda _self, _name: None)
    monkeypatch.setattr(bigquery, "hold", lambda _lease, wait_seconds: nullcontext())
    for contract in all_contracts():
        empty = contract.empty_frame()
        warehouse.merge(contract.name, empty)
        warehouse._merge(contract, empty, on=bigquery._same_grain(contract), clauses=bigquery._insert(contract))
        if contract.partition:
            warehouse.replace_partitions(contract.name, empty, partitions=[date(2026, 3, 1)])
        column = next(field.name for field in contract.fields if field.type == "STRING" and not field.repeated)
        warehouse.delete(contract.name, column=column, values=["x"], where={column: "x"})
    assert len(written) > 3 * len(all_contracts())
    assert refused(written, lambda s: analyse(s.sql)) == {}
