"""``aelp2 ingest-events``: server events and offline conversions of the business's own systems."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    from tasks.ingest.server_events_load import Counts, ServerEventsLoad
    from tasks.ingest.server_events_read import Shape
    from tasks.ingest.server_events_source import SourceLoad


def _pairs(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """``OURS=THEIRS`` as theirs → ours."""
    found = {}
    for value in values:
        ours, equals, theirs = value.partition("=")
        if not (ours and equals and theirs):
            raise click.BadParameter(f"{value!r} is not OURS=THEIRS")
        found[theirs] = ours
    return found


def told(counts: Counts) -> str:
    """What became of the records, in one line; the numbers add up."""
    return (
        f"{counts.records:,} records: {counts.inserted:,} new, {counts.duplicates:,} known, {counts.forgotten:,} of forgotten "
        f"people, {counts.quarantined:,} set aside"
    )


@click.command("ingest-events")
@click.argument("file", required=False)
@click.option("--format", "form", type=click.Choice(["csv", "ndjson"]), help="Form of the file, if its name does not end so.")
@click.option(
    "--source",
    default="server",
    show_default=True,
    envvar="AELP2_SERVER_EVENTS_SOURCE",
    help="System that reports the events (a-z, 0-9, _). [env AELP2_SERVER_EVENTS_SOURCE]",
)
@click.option(
    "--default-country",
    envvar="AELP2_DEFAULT_COUNTRY",
    help="Country of phone numbers without a code, two letters such as US. [env AELP2_DEFAULT_COUNTRY]",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    callback=_pairs,
    envvar="AELP2_SERVER_EVENTS_COLUMNS",
    help="OURS=THEIRS: the file calls a column otherwise. [env AELP2_SERVER_EVENTS_COLUMNS]",
)
@click.option("--ignore", multiple=True, help="Column of the file to leave out.")
@click.option("--separator", default=",", show_default=True, help="Separator of a CSV.")
@click.option("--max-bad-pct", default=10.0, show_default=True, type=click.FloatRange(0, 100), help="Bad records to live with.")
@click.option("--check-only", is_flag=True, help="Read and check, write nothing.")
@run_date_option
def command(
    *,
    file: str | None,
    form: str | None,
    source: str,
    default_country: str | None,
    columns: dict[str, str],
    ignore: tuple[str, ...],
    separator: str,
    max_bad_pct: float,
    check_only: bool,
    run_date: date,
) -> None:
    """Load server events and offline conversions; e-mail and phone are hashed before anything is stored.

    FILE is a file or an http(s) address. Without it all is loaded that AELP2_SERVER_EVENTS names: a folder of .ndjson, .jsonl and
    .csv files, one such file, or an address in which {date} becomes the day before the run date. A file that was loaded and has
    not changed is not read again; one with a day in its name waits until that day is over.

    Files are CSV with a header or one JSON object a line, plain or gzipped. Columns: event_id,
    event_name, event_time (ISO 8601 with offset); and where known user_pseudo_id, user_id, email, phone (clear, or SHA-256 of
    the normal form), gclid, gbraid, wbraid, fbclid, ttclid, li_fat_id, transaction_id, value, currency, consent_ads,
    consent_analytics (true or false; empty counts as false).

    \b
    aelp2 ingest-events --run-date 2026-03-02
    aelp2 ingest-events crm.csv --format csv --source crm --default-country US --run-date 2026-03-02
    aelp2 ingest-events events.ndjson.gz --format ndjson --column event_time=created_at --run-date 2026-03-02

    A bad record goes to control.quarantine with its line and the reason, never with its values. An event_id that is known already
    is not loaded again. Exit codes: 3 too many bad records, nothing of that file was loaded; 99 neither FILE nor setting.
    """
    import re

    from tasks.core.errors import JobError, NothingToDo
    from tasks.core.personal import check_country
    from tasks.core.redaction import load_salt
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.ingest.server_events_load import ServerEventsLoad
    from tasks.ingest.server_events_read import Shape, form_of
    from tasks.ingest.server_events_row import COLUMNS, RowRules
    from tasks.ingest.server_events_source import SourceLoad

    if not re.fullmatch(r"[a-z][a-z0-9_]*", source):
        raise JobError(f"--source {source!r}: write lower case letters, digits and _, a letter first")
    unknown = sorted(set(columns.values()) - set(COLUMNS))
    if unknown:
        raise JobError(f"--column names {unknown}, which are none of {', '.join(COLUMNS)}")
    if len(separator) != 1:
        raise JobError(f"--separator {separator!r} is not one character")
    settings = load_settings()
    if file is None and settings.server_events is None:
        raise NothingToDo("AELP2_SERVER_EVENTS is not set and no file is given: this advertiser has no server events")
    salt = load_salt(settings.name_salt_file, may_create=settings.backend == "duckdb")
    rules = RowRules(source, salt, check_country(default_country), run_date)
    warehouse = open_warehouse(settings)
    if file is None:
        if form or check_only:
            raise click.UsageError("--format and --check-only go with a FILE; the setting's files say their form themselves")
        _load_source(
            settings.server_events or "",
            SourceLoad(warehouse, rules, Shape("", separator, columns, frozenset(ignore)), max_bad_pct),
        )
        return
    form = form or form_of(file)
    if form is None:
        raise click.UsageError("the file's name does not end in .csv, .ndjson or .jsonl; say --format")
    _load_file(
        file,
        Shape(form, separator, columns, frozenset(ignore)),
        ServerEventsLoad(warehouse, rules, max_bad_pct),
        check_only=check_only,
    )


def _load_file(file: str, shape: Shape, load: ServerEventsLoad, *, check_only: bool) -> None:
    from tasks.core import xcom
    from tasks.ingest.outcomes_source import without_query

    shown = without_query(file)
    if check_only:
        counts, problems = load.check(file, shape)
        reasons = "".join(f"\n  {number:,} × {problem}" for problem, number in problems.most_common())
        click.echo(f"{shown}: {told(counts)}; nothing was written (--check-only){reasons}")
        return
    counts = load.run(file, shape)
    xcom.push(vars(counts))
    click.echo(f"{shown}: {told(counts)}")


def _load_source(place: str, load: SourceLoad) -> None:
    from tasks.core import xcom
    from tasks.ingest.deliveries import raise_errors

    outcome = load.run(place)
    xcom.push({"files": outcome.files, "unchanged": outcome.unchanged, **vars(outcome.counts)})
    click.echo(f"{outcome.files:,} files loaded, {outcome.unchanged:,} unchanged since an earlier run; {told(outcome.counts)}")
    raise_errors(outcome.errors, outcome.files, "files")
