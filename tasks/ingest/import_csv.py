"""`aelp2 import-csv`: bring your own numbers."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse
    from tasks.ingest.csv_map import CsvMap
    from tasks.ingest.csv_parse import Parsed

TABLES = ("ads.imported_media", "ads.business_outcomes", "ads.business_controls")


def read_table(path: Path, spec: CsvMap, run_date: date) -> tuple[Parsed, list[str]]:
    """Typed, checked rows of the file at ``path`` and the warnings about them.

    JobError lists everything wrong with it: first the form of the file, then its cells, then what holds between rows.
    """
    from tasks.ingest.csv_checks import check_rows
    from tasks.ingest.csv_parse import parse
    from tasks.ingest.csv_problems import Problems
    from tasks.ingest.csv_read import read_texts

    problems = Problems(path.name)
    texts = read_texts(path, spec, problems)
    parsed = parse(texts, spec, run_date, problems)
    problems.stop_if_any()  # gaps cannot be judged while dates are missing
    checked = check_rows(parsed, spec, problems)
    problems.stop_if_any()
    return checked, problems.warnings


def to_frames(parsed: Parsed, spec: CsvMap) -> dict[str, pl.DataFrame]:
    """Frames of the three contract tables, amounts in micros; every row carries the same ``loaded_at``."""
    import polars as pl

    from tasks.core.clock import utc_now
    from tasks.core.contracts import load_contract
    from tasks.ingest.csv_parse import MICROS

    common = [
        pl.lit(spec.source).alias("source"),
        pl.lit(spec.period_days, dtype=pl.Int64).alias("period_days"),
        pl.lit(utc_now()).cast(pl.Datetime("us", "UTC")).alias("loaded_at"),
        pl.lit(parsed.currency).alias("currency_code"),
    ]
    media = parsed.media.with_columns(*common, (pl.col("spend") * MICROS).round().cast(pl.Int64).alias("spend_micros"))
    outcomes = parsed.outcomes.with_columns(*common, (pl.col("revenue") * MICROS).round().cast(pl.Int64).alias("revenue_micros"))
    controls = parsed.controls.with_columns(*common)
    frames = zip(TABLES, (media, outcomes, controls), strict=True)
    return {table: frame.select(load_contract(table).columns) for table, frame in frames}


def replace_source(warehouse: Warehouse, source: str, frames: dict[str, pl.DataFrame]) -> None:
    """Replace everything that ``source`` holds in the three tables.

    Each table is replaced in one transaction; a crash between two of them leaves tables of different ``loaded_at``, which
    the gate before fit-mmm refuses (check ``import_is_whole``) and the same command mends.
    """
    # All three are checked against their contracts before the first is written.
    from tasks.core.warehouse.base import conform

    for table, frame in frames.items():
        conform(table, frame)
    with warehouse.exclusive(f"import-csv-{source}"):
        for table, frame in frames.items():
            held = warehouse.query(
                f"SELECT DISTINCT period_start_date FROM {table} WHERE source = @source",  # noqa: S608  # table is one of TABLES
                {"source": source},
            )
            days = sorted({*held["period_start_date"], *frame["period_start_date"]})
            if days:
                warehouse.replace_partitions(table, frame, partitions=days, where={"source": source})


def summary(parsed: Parsed, spec: CsvMap) -> str:
    """What was read, in one line a person can check against the spreadsheet."""
    from tasks.ingest.csv_checks import span

    first, last = span(parsed, spec)
    media, outcomes = parsed.media, parsed.outcomes
    customers, revenue = outcomes["new_customers"].sum(), outcomes["revenue"].sum()
    parts = [
        f"{outcomes['period_start_date'].n_unique()} {'weeks' if spec.period == 'weekly' else 'days'} ({first} to {last})",
        f"{outcomes['geo'].n_unique()} region(s)" if spec.geo_column else "national",
        f"{media['channel'].n_unique()} channels",
        f"spend {media['spend'].sum():,.2f} {parsed.currency}",
        f"new customers {customers:,.0f}" if spec.new_customers else "new customers unknown",
        f"revenue {revenue:,.2f} {parsed.currency}" if spec.revenue else "revenue unknown",
        f"controls {', '.join(parsed.controls['control'].unique(maintain_order=True)) or 'none'}",
    ]
    return "; ".join(parts)


def _list_maps(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if not value:
        return
    from tasks.ingest.csv_map import shipped_maps

    for name, description in shipped_maps().items():
        click.echo(f"{name}\n    {description}")
    context.exit()


@click.command("import-csv")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--map", "map_name", required=True, help="Path of a map, or the name of a shipped one (--list-maps).")
@click.option("--check-only", is_flag=True, help="Read and check the file, write nothing.")
@click.option("--list-maps", is_flag=True, is_eager=True, expose_value=False, callback=_list_maps, help="Show the shipped maps.")
@run_date_option
def command(file: Path, map_name: str, check_only: bool, run_date: date) -> None:
    """Bring your own numbers: a weekly or daily table of spend, outcome and controls.

    FILE is a CSV (also .csv.gz or .parquet), long or wide, national or by region. The map says what its columns mean;
    docs/how-to/bring-your-own-numbers.md explains every key and the shipped maps are examples to copy.

    \b
    aelp2 import-csv sales.csv --map my_map.yaml --run-date 2026-03-02 --check-only
    aelp2 import-csv sales.csv --map my_map.yaml --run-date 2026-03-02
    aelp2 fit-mmm --source my_source --run-date 2026-03-02

    The whole file is checked before anything is written: an error names row, column, value and remedy, and the tables
    stay as they were. Importing again replaces what the map's `source` held before. If the command is killed while it
    writes, run it again; until then the gate before fit-mmm refuses the source.
    """
    import structlog

    from tasks.core.errors import JobError
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push
    from tasks.ingest.csv_map import load_map

    spec = load_map(map_name)
    if not file.is_file():
        raise JobError(f"no file {file.name!r} at that path; give the path of the CSV to import")
    parsed, warnings = read_table(file, spec, run_date)
    for warning in warnings:
        structlog.get_logger(source=__name__).warning("import_csv", file=file.name, warning=warning)
    frames = to_frames(parsed, spec)
    if check_only:
        click.echo(f"{file.name} fits the map {spec.source}: {summary(parsed, spec)}; nothing was written (--check-only)")
        return
    replace_source(open_warehouse(load_settings()), spec.source, frames)
    push({"source": spec.source, "rows": sum(frame.height for frame in frames.values()), "warnings": len(warnings)})
    click.echo(f"imported {file.name} as {spec.source}: {summary(parsed, spec)}")
