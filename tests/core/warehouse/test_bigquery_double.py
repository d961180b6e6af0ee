"""The BigQuery double is honest: what BigQuery refuses on the way the jobs go, it refuses too."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import pytest
from bigquery_double_store import Store, WireError

PROJECT, DATASET, TABLE = "p", "d", "t"
FIELDS = [
    {"name": "k", "type": "STRING", "mode": "REQUIRED"},
    {"name": "n", "type": "INTEGER", "mode": "NULLABLE"},
    {"name": "x", "type": "FLOAT", "mode": "NULLABLE"},
    {"name": "tags", "type": "STRING", "mode": "REPEATED"},
]
GOOD = {"k": ["a"], "n": [1], "x": [0.5], "tags": [["u"]]}


def resource(table: str = TABLE, fields: list[dict[str, str]] = FIELDS, **more: Any) -> dict[str, Any]:
    return {
        "tableReference": {"projectId": PROJECT, "datasetId": DATASET, "tableId": table},
        "schema": {"fields": fields},
        **more,
    }


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """A dataset with one empty table, which has no contract."""
    monkeypatch.setattr("tasks.core.warehouse.dialect.tables_of", lambda tree: ())
    made = Store(":memory:")
    made.create_dataset(PROJECT, DATASET)
    made.create_table(PROJECT, DATASET, resource())
    return made


class Jobs:
    """Runs jobs under ever new ids; gives the error's message, or an empty text."""

    def __init__(self, store: Store) -> None:
        self.store, self.count = store, 0

    def _run(self, configuration: dict[str, Any], content: bytes | None = None) -> str:
        self.count += 1
        job = {"jobReference": {"jobId": f"job{self.count}"}, "configuration": configuration}
        status = self.store.insert_job(PROJECT, job, content)["status"]
        return str(status.get("errorResult", {}).get("message", ""))

    def query(self, sql: str, **params: tuple[str, str]) -> str:
        """``n=("INT64", "1")`` is a parameter."""
        given = [{"name": n, "parameterType": {"type": t}, "parameterValue": {"value": v}} for n, (t, v) in params.items()]
        return self._run({"query": {"query": sql, "queryParameters": given}})

    def load(self, columns: dict[str, Any], *, table: str = TABLE, lists: bool = True, **more: Any) -> str:
        parquet = io.BytesIO()
        pl.DataFrame(columns).write_parquet(parquet)
        destination = {"projectId": PROJECT, "datasetId": DATASET, "tableId": table}
        options = {"parquetOptions": {"enableListInference": lists}}
        load = {"sourceFormat": "PARQUET", "destinationTable": destination, **options, **more}
        return self._run({"load": load}, parquet.getvalue())

    def rows(self, sql: str) -> list[Any]:
        assert self.query(sql) == ""
        return [[cell["v"] for cell in row["f"]] for row in self.store.results(PROJECT, f"job{self.count}", {})["rows"]]


@pytest.fixture
def jobs(store: Store) -> Jobs:
    return Jobs(store)


def test_what_fits_is_taken(jobs: Jobs) -> None:
    """The good load that the refused ones differ from in one thing each; a nullable column may be missing."""
    assert jobs.load(GOOD) == ""
    assert jobs.load({key: GOOD[key] for key in ("k", "n")}) == ""
    assert jobs.rows("SELECT COUNT(*) AS n FROM d.t") == [["2"]]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n": ["1"]}, "Parquet column 'n' has type VARCHAR"),
        ({"n": [1.0]}, "Parquet column 'n' has type DOUBLE"),
        ({"x": [1]}, "Parquet column 'x' has type BIGINT"),
        ({"k": [None]}, "has type"),
        ({"k": pl.Series([None], dtype=pl.String)}, "NOT NULL"),
        ({"more": [1]}, "Cannot add fields"),
    ],
)
def test_a_load_that_does_not_fit_the_table_is_refused(jobs: Jobs, changed: dict[str, Any], message: str) -> None:
    """Another type, an unknown column and a NULL in a REQUIRED one fail the job, and no row of it lands."""
    assert message in jobs.load(GOOD | changed)
    assert jobs.rows("SELECT COUNT(*) AS n FROM d.t") == [["0"]]


def test_a_load_without_a_required_column_or_with_another_schema_is_refused(jobs: Jobs) -> None:
    """Also a list column without list inference, which would arrive as a nested record."""
    assert "Required field k is missing" in jobs.load({"n": [1]})
    assert "nested record" in jobs.load(GOOD, lists=False)
    loose = [{**FIELDS[0], "mode": "NULLABLE"}]
    assert "Provided Schema does not match Table. Field k" in jobs.load(GOOD, schema={"fields": loose})


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT nothing FROM d.t", "nothing"),
        ("SELECT k FROM d.other", "other"),
        ("SELECT 1 AS a, 2 AS A", "Duplicate column names"),
        ("SELECT @n AS n", "Query parameter 'n' not found"),
        ("UPDATE `d.t` SET n = 1", "must have a WHERE clause"),
        ("UPDATE `d.t` SET n = @n WHERE k = 'a'", "Query parameter 'n' not found"),
        ("UPDATE `d.t` SET k = NULL WHERE k = 'a'", "NOT NULL"),
        ("UPDATE `d.t` SET nothing = 1 WHERE TRUE", "nothing"),
        ("DROP TABLE `d.t`", "does not run DROP"),
    ],
)
def test_a_wrong_statement_is_refused(jobs: Jobs, sql: str, message: str) -> None:
    """Unknown column or table, missing parameter, DML without WHERE, NULL in a REQUIRED column, two columns of one name."""
    assert jobs.load(GOOD) == ""
    assert message in jobs.query(sql)


def test_a_merge_that_matches_a_row_twice_is_refused(jobs: Jobs) -> None:
    """DuckDB would update twice and keep either value; the row stays as it was."""
    jobs.store.create_table(PROJECT, DATASET, resource("s"))
    assert jobs.load(GOOD) == ""
    assert jobs.load({"k": ["a", "a"], "n": [2, 3]}, table="s") == ""
    update = "MERGE `d.t` AS t USING `d.s` AS s ON t.k = s.k WHEN MATCHED THEN UPDATE SET n = s.n"
    assert "at most one source row" in jobs.query(update)
    assert jobs.rows("SELECT n FROM d.t") == [["1"]]


def test_rows_come_in_no_order_unless_asked(jobs: Jobs) -> None:
    """A reader that forgets ORDER BY does not see the order of insertion."""
    names = [f"{number:03}" for number in range(50)]
    assert jobs.load({"k": names}) == ""
    free = [row[0] for row in jobs.rows("SELECT k FROM d.t")]
    assert free != names
    assert sorted(free) == names
    assert [[name] for name in names] == jobs.rows("SELECT k FROM d.t ORDER BY k")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"clustering": {"fields": ["x"]}}, "clustering cannot be used: x"),
        ({"clustering": {"fields": ["tags"]}}, "clustering cannot be used: tags"),
        ({"clustering": {"fields": ["k", "n", "k", "n", "k"]}}, "5 clustering fields"),
        ({"timePartitioning": {"field": "k"}}, "partitioning cannot be used: k"),
        ({"labels": {"owner": "Growth"}}, "Label 'Growth'"),
        ({"schema": {"fields": [FIELDS[0], {**FIELDS[1], "name": "K"}]}}, "Duplicate field names"),
    ],
)
def test_a_layout_that_bigquery_does_not_take_is_refused(store: Store, more: dict[str, Any], message: str) -> None:
    """Partition, clusters, labels and names are checked when a table is made."""
    with pytest.raises(WireError, match=message):
        store.create_table(PROJECT, DATASET, {**resource("u"), **more})


def test_what_the_client_leaves_unset_is_no_layout(store: Store) -> None:
    """The client writes null for partition, clusters and labels that are not set."""
    unset = {"timePartitioning": None, "clustering": None, "labels": None}
    assert store.create_table(PROJECT, DATASET, {**resource("u"), **unset})["type"] == "TABLE"


def test_a_required_column_cannot_be_added(store: Store) -> None:
    """Nor may a column go."""
    with pytest.raises(WireError, match="Cannot add required fields"):
        store.patch_table(PROJECT, DATASET, TABLE, {"schema": {"fields": [*FIELDS, {**FIELDS[0], "name": "new"}]}})
    with pytest.raises(WireError, match=r"missing \['tags'\]"):
        store.patch_table(PROJECT, DATASET, TABLE, {"schema": {"fields": FIELDS[:3]}})


def test_tables_are_listed_in_pages_with_their_rows(store: Store) -> None:
    """Whoever reads one page only misses tables; a table says how many rows it has."""
    for number in range(6):
        store.create_table(PROJECT, DATASET, resource(f"events_{number}"))
    first = store.tables(PROJECT, DATASET, {})
    rest = store.tables(PROJECT, DATASET, {"pageToken": first["nextPageToken"]})
    names = [item["tableReference"]["tableId"] for page in (first, rest) for item in page["tables"]]
    assert (names, "nextPageToken" in rest) == ([*(f"events_{number}" for number in range(6)), TABLE], False)
    assert store.table(PROJECT, DATASET, TABLE)["numRows"] == "0"


def test_a_nested_table_outside_of_the_warehouse_is_read_by_its_project(store: Store) -> None:
    """As GA4's export lies there: lists of records, asked by correlated subqueries."""
    value = {"name": "value", "type": "RECORD", "fields": [{"name": "int_value", "type": "INTEGER"}]}
    fields: list[Any] = [
        {"name": "name", "type": "STRING"},
        {"name": "params", "type": "RECORD", "mode": "REPEATED", "fields": [{"name": "key", "type": "STRING"}, value]},
    ]
    store.create_table(PROJECT, DATASET, resource("events", fields))
    parameters = [{"key": "a", "value": {"int_value": 1}}, {"key": "b", "value": {"int_value": 2}}]
    jobs = Jobs(store)
    assert jobs.load({"name": ["x"], "params": [parameters]}, table="events") == ""
    found = "(SELECT p.value.int_value FROM UNNEST(e.params) AS p WHERE p.key = 'b' LIMIT 1)"
    assert jobs.rows(f"SELECT e.name, {found} AS b FROM `{PROJECT}.{DATASET}.events` AS e") == [["x", "2"]]
