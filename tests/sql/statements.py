"""All SQL that tasks/ can send to a warehouse, with the parameters its callers pass: stored files, inline text, built text."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from sql.call_sites import READS, all_sites

from tasks.core.contracts import SQL_ROOT, all_contracts, load_contract
from tasks.quality.checks_file import load_checks
from tasks.quality.gates import GATES, window
from tasks.quality.table_checks import TableGate

if TYPE_CHECKING:
    import polars as pl

# A value of the type each parameter has, by its name. A new name is added here once.
VALUES: dict[str, object] = {
    **dict.fromkeys(
        ("run_date", "start_date", "end_date", "since_date", "recent_start_date", "month_start_date", "context_date"),
        date(2026, 3, 2),
    ),
    **dict.fromkeys(
        (
            "id",
            "run_id",
            "change_set_id",
            "platform",
            "account_id",
            "source",
            "outcome_source",
            "target",
            "property_id",
            "conversion_event",
            "experiment_id",
            "source_kind",
            "label",
        ),
        "x",
    ),
    "currency": "USD",
    "period_days": 7,
    "before_date": date(2026, 3, 2),
    "id_kind": "gclid",
    "unit_id_kind": "person_id",
    "lookback_days": 90,
    **dict.fromkeys(("most_rows", "most_groups"), 5),
    "outcome_days": 28,
    "active_days": 30,
    "ids": ["x"],
    "remarketing_campaign_ids": ["x"],
    "platforms": ["x"],
    "day_date": date(2026, 3, 1),
    **dict.fromkeys(("since", "day_starts_at"), datetime(2026, 3, 2, tzinfo=UTC)),
}
TYPES = {str: "STRING", int: "INT64", date: "DATE", datetime: "TIMESTAMP"}


@dataclass(frozen=True)
class Statement:
    """A SELECT, where it comes from, and the names of the parameters that its caller passes."""

    origin: str
    sql: str
    passed: frozenset[str]

    @property
    def used(self) -> frozenset[str]:
        """The ``@names`` of the text, outside of comments and strings."""
        bare = re.sub(r"--[^\n]*|'[^']*'|\"[^\"]*\"", "", self.sql)
        return frozenset(re.findall(r"@(\w+)", bare))

    @property
    def values(self) -> dict[str, object]:
        """A value for each parameter passed."""
        return {name: VALUES[name] for name in sorted(self.passed)}

    @property
    def types(self) -> dict[str, str]:
        """BigQuery's type of each parameter passed."""
        return {
            name: f"ARRAY<{TYPES[type(value[0])]}>" if isinstance(value, list) else TYPES[type(value)]
            for name, value in self.values.items()
        }


@dataclass
class Recorder:
    """A warehouse that is empty, writes nothing and keeps what it is asked."""

    asked: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    answer: Callable[[str], pl.DataFrame] | None = None

    def query(self, sql: str, params: Any = None) -> pl.DataFrame:
        """Keep the statement; the answer is a frame without rows unless the test gives another."""
        import polars as pl

        self.asked.append((sql, frozenset(params or {})))
        return self.answer(sql) if self.answer else pl.DataFrame({"seq": [], "row_hash": [], "period_start_date": []})

    def insert_new(self, _table: str, frame: pl.DataFrame) -> int:
        """As if the rows were new."""
        return frame.height

    def replace_partitions(self, _table: str, frame: pl.DataFrame, *, partitions: Sequence[date], where: Any = None) -> int:
        """As if the rows were written."""
        return frame.height

    def exclusive(self, _name: str) -> AbstractContextManager[None]:
        """Nobody else is there."""
        return nullcontext()


def _ledger(recorder: Recorder) -> None:
    from tasks.core.ledger import Event, Ledger

    ledger = Ledger(recorder)  # type: ignore[arg-type]  # it has what the ledger uses
    ledger.rows()
    ledger.history("set")
    ledger.moves("google_ads", "1", datetime(2026, 3, 1, tzinfo=UTC))
    ledger.append(
        Event(change_set_id="set", platform="google_ads", account_id="1", event="proposed", sha256="0" * 64, actor="planner")
    )


def _import(recorder: Recorder) -> None:
    from tasks.ingest.import_csv import TABLES, replace_source

    replace_source(recorder, "x", {table: load_contract(table).empty_frame() for table in TABLES})  # type: ignore[arg-type]


def _gates(recorder: Recorder) -> None:
    """Every statement of every gate, for the platforms and for an import."""
    import polars as pl

    def answer(sql: str) -> pl.DataFrame:
        if sql.startswith("SELECT MAX(loaded_at)"):
            return pl.DataFrame({"newest": [datetime(2026, 3, 2, 6, tzinfo=UTC)]})
        names = re.findall(r"SELECT '(\w+)' AS check_name", sql)
        return pl.DataFrame({"check_name": names, "failures": [1] * len(names)})

    recorder.answer = answer
    days = pl.DataFrame({"day": [date(2026, 3, 1)], "row_count": [1]})
    for gate in GATES.values():
        for table in gate.tables:
            sources = {"any": ("platforms", "imported"), "platforms": ("platforms",), "import": ("imported",)}[table.origin]
            for source in sources:
                checks = TableGate(recorder, table, window(gate, date(2026, 3, 2), source))  # type: ignore[arg-type]
                recorder.answer = lambda _sql: days
                checks._days()
                list(checks._chunks(days))
                recorder.answer = answer
                if not table.is_sparse and checks.contract.freshness_hours is not None:
                    checks._fresh(days, 1, checks.contract.freshness_hours)
                checks._sql([checks._grain(), *load_checks(table.name)], 1)


def _forget(recorder: Recorder) -> None:
    """The count of every kind of id in every table that may hold it, and the sweep of every such table."""
    import polars as pl

    from tasks.core.contracts import load_contract
    from tasks.core.identifiers import KINDS, PERSON_KIND
    from tasks.identity.forgetting import count_rows, forget_rows_as_json, sweep, targets

    recorder.answer = lambda _sql: pl.DataFrame({"n": [0]})
    for target in targets({(kind, "x") for kind in (*KINDS, PERSON_KIND)}):
        count_rows(recorder, target)  # type: ignore[arg-type]  # it has what is used
    recorder.answer = lambda _sql: pl.DataFrame(schema={"day_date": pl.Date, "n": pl.Int64})
    sweep(recorder, date(2026, 3, 2), 395, do_delete=False)  # type: ignore[arg-type]  # it has what is used
    days = pl.DataFrame({"day_date": [date(2026, 3, 1)]})
    recorder.answer = lambda sql: days if "DISTINCT" in sql else pl.DataFrame()
    forget_rows_as_json(recorder, load_contract("control.quarantine"), set(), b"s" * 32, do_delete=False)  # type: ignore[arg-type]  # as above


# Functions whose SQL depends on what they are called with, and what calls them with everything they are called with.
BUILT: dict[str, Callable[[Recorder], None]] = {
    "tasks.core.ledger:Ledger._select": _ledger,
    "tasks.identity.forgetting:count_rows": _forget,
    "tasks.identity.forgetting:forget_rows_as_json": _forget,
    "tasks.identity.forgetting:sweep_table": _forget,
    "tasks.ingest.import_csv:replace_source": _import,
    "tasks.quality.table_checks:_ask": _gates,
    "tasks.quality.table_checks:TableGate._fresh": _gates,
}


def _built() -> Iterator[Statement]:
    for exercise in dict.fromkeys(BUILT.values()):
        recorder = Recorder()
        exercise(recorder)
        places = [place for place, other in BUILT.items() if other is exercise]
        yield from (Statement(places[0], sql, passed) for sql, passed in dict.fromkeys(recorder.asked))


def _found() -> Iterator[Statement]:
    """Inline text and stored files, as the call sites pass parameters to them."""
    for site in all_sites():
        if site.kind in READS and site.values and site.parameters is not None:
            for value in site.values:
                file = SQL_ROOT / value if site.kind == "query_file" else None
                sql = file.read_text(encoding="utf-8") if file else value
                yield Statement(f"{site.place} {value if file else ''}".strip(), sql, site.parameters)


def _checks() -> Iterator[Statement]:
    for path in sorted(SQL_ROOT.glob("*/*/checks.sql")):
        table = f"{path.parent.parent.name}.{path.parent.name}"
        yield from (Statement(f"{table} {check.name}", check.sql, check.parameters) for check in load_checks(table))


def _views() -> Iterator[Statement]:
    for contract in all_contracts(views=True):
        if contract.view is not None:
            yield Statement(f"{contract.name} view.sql", contract.view, frozenset())


@functools.cache
def all_statements() -> tuple[Statement, ...]:
    """Every statement once."""
    return tuple(dict.fromkeys([*_found(), *_checks(), *_views(), *_built()]))
