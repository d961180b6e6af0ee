"""The jobs from GA4's export to attribution leave the same tables and numbers on BigQuery's wire protocol as on DuckDB.

One market writes its export as it lies there on two mornings: with intraday tables, tables that still grow, rows that are there
twice and one that cannot be. DuckDB reads it from the folder of Parquet files. For BigQuery the same files are loaded, nested,
into the export's own dataset on the double, and the job lists and reads that through the real client. Server events, stitching,
journeys, maturity, attribution and the forgetting of a person follow on both.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_child import run
from google.cloud import bigquery
from same_tables import ONE_SIDED, differences, on_both, refusal, rows_of, statements_in

from tasks.cli import JOBS
from tasks.core.contracts import all_contracts
from tasks.core.settings import load_settings
from tasks.core.warehouse.bigquery_client import make_client
from tasks.lab.ga4_export import Ga4Export
from tasks.lab.market import Market
from tasks.lab.people_backend import BackendFiles
from tasks.lab.world import load_world

START, HISTORY, DAYS = date(2025, 12, 1), 70, 40
MORNINGS = (HISTORY, HISTORY + 1)
PROPERTY = "300000001"
DATASET = f"aelp2-test.analytics_{PROPERTY}"
KINDS = {"string": "STRING", "int64": "INTEGER", "double": "FLOAT", "bool": "BOOLEAN", "date32[day]": "DATE"}
# There is no marketing-mix model to compare with, and nobody turns out to be somebody else overnight.
EMPTY = {"models.attribution_cross_check", "gaelp_users.identity_person_changes"}


@dataclass(frozen=True)
class Left:
    """What the jobs left behind on one backend, and what they said."""

    tables: dict[str, pl.DataFrame]
    said: list[tuple[str, int, str]]


def field(name: str, kind: pa.DataType) -> bigquery.SchemaField:
    """BigQuery's field for a column of the export's Parquet files."""
    if pa.types.is_list(kind):
        element = field(name, kind.value_type)
        return bigquery.SchemaField(name, element.field_type, mode="REPEATED", fields=element.fields)
    if pa.types.is_struct(kind):
        return bigquery.SchemaField(name, "RECORD", fields=[field(part.name, part.type) for part in kind])
    return bigquery.SchemaField(name, KINDS[str(kind)])


def upload(folder: Path, env: dict[str, str]) -> None:
    """Make the export's dataset what the folder is: each file a table, as Google's export leaves it."""
    client = make_client(load_settings(env))
    client.create_dataset(bigquery.Dataset(DATASET), exists_ok=True)
    for item in list(client.list_tables(DATASET)):
        client.delete_table(item.reference)
    for file in sorted((folder / f"analytics_{PROPERTY}").glob("*.parquet")):
        schema = [field(part.name, part.type) for part in pq.read_schema(file)]
        table = client.create_table(bigquery.Table(f"{DATASET}.{file.stem}", schema=schema))
        options = bigquery.ParquetOptions()
        options.enable_list_inference = True
        config = bigquery.LoadJobConfig(source_format="PARQUET", schema=schema, parquet_options=options)
        with file.open("rb") as content:
            client.load_table_from_file(content, table.reference, job_config=config).result()


def break_one_row(file: Path) -> None:
    """The first event of the table is of 1970."""
    table = pq.read_table(file)
    place = table.schema.get_field_index("event_timestamp")
    stamps = pa.array([0, *table["event_timestamp"].to_pylist()[1:]], pa.int64())
    pq.write_table(table.set_column(place, table.schema.field(place), stamps), file)


class Shop:
    """The market's files on a morning."""

    def __init__(self, folder: Path) -> None:
        world = load_world("clear_signal")
        people = world.people.model_copy(update={"sampling_rate": 0.015})
        self.market = Market(world.model_copy(update={"people": people}), 7, START, HISTORY)
        self.export = Ga4Export(self.market, folder / "ga4_export", days=DAYS)
        self.backend = BackendFiles(self.export.people, folder, DAYS)
        self.folder = folder

    def open(self, morning: int) -> None:
        """Write what lies there on the morning of day ``morning``."""
        self.market.run_to(morning)
        today = START + morning * timedelta(days=1)
        self.export.write(datetime.combine(today, time(5, 30), tzinfo=UTC))
        self.backend.write(today)
        break_one_row(self.export.path / f"events_{today - timedelta(days=2):%Y%m%d}.parquet")


def go(folder: Path, env: dict[str, str], pool: ProcessPoolExecutor, salt: Path) -> Left:
    """Both mornings in ``folder`` on the warehouse of ``env``."""
    folder.mkdir()
    shop, said = Shop(folder), []
    is_bigquery = env["AELP2_BACKEND"] == "bigquery"
    own = {
        "AELP2_NAME_SALT_FILE": str(salt),
        "AELP2_GA4_EXPORT": DATASET if is_bigquery else str(folder / "ga4_export"),
        "AELP2_SERVER_EVENTS": str(shop.backend.server_events),
        "AELP2_DEFAULT_COUNTRY": "US",
    }

    def job(command: str, *arguments: str) -> None:
        today = START + morning * timedelta(days=1)
        clock = {"AELP2_NOW": f"{today}T06:00:00+00:00"}
        ended = pool.submit(run, [command, *arguments, "--run-date", str(today)], env | own | clock).result(timeout=1200)
        assert ended.code == 0, f"{command} ended with {ended.code}\n{ended.out}\n{ended.err}"
        said.append((command, ended.code, ended.out))

    for morning in MORNINGS:
        shop.open(morning)
        if is_bigquery:
            upload(folder / "ga4_export", env)
        job("ingest-ga4")
        job("ingest-events")
        job("stitch-identities")
        job("build-journeys", "--days", str(DAYS))
        job("estimate-maturity")
        job("attribute-conversions", "--replicates", "50")
        (folder / "who").write_text(someone(env), encoding="utf-8")
        job("forget", "--user-pseudo-id", "--delete", "--why", "request 1", "--file", str(folder / "who"))
    return Left({contract.name: rows_of(contract, env) for contract in all_contracts()}, said)


def someone(env: dict[str, str]) -> str:
    """The first cookie of the person with the most ids."""
    nodes = rows_of(next(c for c in all_contracts() if c.name == "gaelp_users.identity_nodes"), env).drop_nulls("person_id")
    largest = nodes.group_by("person_id").len().sort("len", "person_id", descending=[True, False])["person_id"][0]
    cookies = nodes.filter((pl.col("person_id") == largest) & (pl.col("id_kind") == "user_pseudo_id"))
    return str(cookies["id"].sort()[0])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Left, Left, Path]]:
    """What the jobs left on DuckDB and on BigQuery, and the file with every statement BigQuery was sent."""
    with on_both(tmp_path_factory.mktemp("journeys"), go) as left:
        yield left


def test_every_table_of_the_journeys_holds_the_same(both: tuple[Left, Left, Path]) -> None:
    """Same rows, same values, same stamps, and no table is equal because nothing was in it."""
    on_duckdb, on_bigquery, _ = both
    names = [name for name in on_duckdb.tables if name != ONE_SIDED]
    commands = {command for command, _, _ in on_duckdb.said}
    written = {table for command in commands for table in JOBS[command].writes if table in on_duckdb.tables}
    assert {name for name in written if on_duckdb.tables[name].is_empty()} == EMPTY
    found = [line for name in names for line in differences(name, on_duckdb.tables[name], on_bigquery.tables[name])]
    assert found == [], "\n".join(found)


def test_the_jobs_of_the_journeys_say_the_same(both: tuple[Left, Left, Path]) -> None:
    """Exit codes and every printed line."""
    assert both[0].said == both[1].said


def test_the_analyser_takes_every_statement_of_the_journeys(both: tuple[Left, Left, Path]) -> None:
    """All but the query on the export's tables, which are no contract's: test_ga4_source.py has it evaluated whole."""
    statements = statements_in(both[2])
    inside = [(sql, types) for sql, types in statements if f"`{DATASET}." not in sql]
    assert len(statements) - len(inside) >= DAYS
    refused = [found for sql, types in inside if (found := refusal(sql, types))]
    assert refused == [], "\n\n".join(refused)
