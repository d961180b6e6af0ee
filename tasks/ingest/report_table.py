"""A connector report's texts as typed rows of one standard table: units, hashes, days, attribution windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import polars as pl

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.redaction import hash_name
from tasks.ingest.report_read import FILE
from tasks.ingest.report_rows import filled, instants
from tasks.ingest.report_spec import Cell, Connector, Into, Report
from tasks.platforms.base import RejectedRow
from tasks.platforms.columns import Column, Unit, convert, convert_frame
from tasks.platforms.google_ads.labels import label

_ACCOUNT = "__account__"
_NUMBERS = ("count", "number", "money", "cents", "micros")


@dataclass
class Mapped:
    """Typed rows of one table, each with the file it comes from, and those that no table may take."""

    rows: pl.DataFrame
    rejected: list[RejectedRow] = field(default_factory=list)


def account_ids(rows: pl.DataFrame, into: Into, otherwise: str) -> pl.Series:
    """The account of each row, ``otherwise`` where neither the report nor a history tells it."""
    constant = into.constants.get("account_id")
    if constant is not None:
        return pl.Series("account_id", [str(constant)] * rows.height, dtype=pl.String)
    return texts_of(rows, into.cells["account_id"], "account_id").fill_null(otherwise).alias("account_id")


def texts_of(rows: pl.DataFrame, cell: Cell, what: str) -> pl.Series:
    """The text of a cell: the first filled source, or all joined; null where there is none."""
    there = [source for source in cell.sources if source in rows.columns]
    if cell.is_needed and (not there or (cell.is_joined and len(there) < len(cell.sources))):
        has = ", ".join(c for c in rows.columns if not c.startswith("__"))
        raise JobError(f"{what}: there is no column {' or '.join(cell.sources)}; it has {has}")
    if not there:
        return pl.Series("text", [None] * rows.height, dtype=pl.String)
    parts = [filled(pl.col(source)) for source in there]
    made = rows.select((pl.concat_str(parts, separator="~") if cell.is_joined else pl.coalesce(parts)).alias("text"))["text"]
    return made.str.split(cell.after).list.last() if cell.after else made


def _outside(name: str, row: Mapping[str, object]) -> str:
    return f"{name} is {row[name]}, outside the contract"


def _after(last_day: date, row: Mapping[str, object]) -> str:
    return f"date is {row['date']}, after the last complete day {last_day}"


def _empty(cell: Cell, name: str, _row: Mapping[str, object]) -> str:
    return f"{' or '.join(cell.sources)} is empty, which {name} needs"


@dataclass(frozen=True)
class TableMaker:
    """What turns rows of ``report`` into rows of one table.

    Args:
        report: what the rows are.
        into: the table, and how its columns are made.
        connector: the platform's constants.
        account_id: of rows whose account nobody tells.
        zones: account → IANA time zone; asked for only where a report counts its days as instants.
        salt: for hashes of names and of texts that people wrote.
        brand_terms: the advertiser's own, for Google's labels.
        last_day: rows of later days are set aside, they may be half a day.
    """

    report: Report
    into: Into
    connector: Connector
    account_id: str
    zones: Mapping[str, str]
    salt: bytes
    brand_terms: Sequence[str]
    last_day: date

    def make(self, rows: pl.DataFrame) -> Mapped:
        """``rows`` typed. JobError where a text is no number or day; a row that the contract refuses is set aside."""
        what = f"{', '.join(rows[FILE].unique(maintain_order=True))} ({self.report.title})"
        whole, rejected = self._without_gaps(
            rows.with_columns(account_ids(rows, self.into, self.account_id).alias(_ACCOUNT)), what
        )
        schema = load_contract(self.into.table).polars_schema()
        columns = [self._typed(whole, n, c, what) for n, c in self.into.cells.items() if n != "account_id"]
        constants = {n: value for n, value in self.into.constants.items() if n != "account_id"}
        typed = pl.DataFrame([whole[FILE], whole[_ACCOUNT].alias("account_id"), *columns]).with_columns(
            pl.lit(value, dtype=schema[name]).alias(name) for name, value in constants.items()
        )
        typed = self._labelled(typed, whole)
        if self.into.windows:
            typed = self._by_window(typed, whole, what)
        typed = self._complete(typed)
        for name in self.into.measures:
            # Before rows are added up: a negative part would hide in its sum.
            typed, bad = self._split(typed, pl.col(name) < 0, f"{name}_min", partial(_outside, name))
            rejected += bad
        if "date" in typed.columns:
            late = partial(_after, self.last_day)
            typed, bad = self._split(typed, pl.col("date") > self.last_day, "date_in_window", late)
            rejected += bad
        return Mapped(typed, rejected)

    def _split(
        self, rows: pl.DataFrame, bad: pl.Expr, check: str, why: Callable[[dict[str, object]], str]
    ) -> tuple[pl.DataFrame, list[RejectedRow]]:
        is_bad = rows.select(bad.fill_null(value=False).alias("bad"))["bad"]
        named = {"platform": self.report.platform}
        rejected = [
            RejectedRow(self.into.table, named | row, check, why(row)) for row in rows.filter(is_bad).iter_rows(named=True)
        ]
        return rows.filter(~is_bad), rejected

    def _without_gaps(self, rows: pl.DataFrame, what: str) -> tuple[pl.DataFrame, list[RejectedRow]]:
        """Rows without a needed cell are set aside, of their cells only ids and numbers: other texts may be names."""
        rejected: list[RejectedRow] = []
        plain = {source for cell in self.into.cells.values() if cell.unit != "hash" for source in cell.sources}
        shown = [name for name in rows.columns if name in plain or name == FILE]
        for name, cell in self.into.cells.items():
            if not cell.is_needed:
                continue
            gap = texts_of(rows, cell, what).is_null()
            reason = partial(_empty, cell, name)
            _, bad = self._split(rows.select(shown), pl.lit(gap), f"{name}_needed", reason)
            rows, rejected = rows.filter(~gap), rejected + bad
        return rows, rejected

    def _typed(self, rows: pl.DataFrame, name: str, cell: Cell, what: str) -> pl.Series:
        """One column of the table from the report's texts."""
        if cell.unit in _NUMBERS:
            return self._number(rows, name, cell, what)
        texts = texts_of(rows, cell, what)
        if cell.unit == "hash":
            hashes = {text: hash_name(text, self.salt) for text in texts.drop_nulls().unique()}
            return texts.replace_strict(hashes, default=None, return_dtype=pl.String).alias(name)
        if cell.unit == "utc_day":
            return self._days_of_instants(texts, rows[_ACCOUNT], cell, what).alias(name)
        if cell.unit in ("month", "month_days"):
            first = convert(texts.str.slice(0, 7) + "-01", Column(name, cell.sources[0], "day"), what)
            return (first.dt.month_end().dt.day().cast(pl.Int64) if cell.unit == "month_days" else first).alias(name)
        unit: Unit = "day" if cell.unit == "day" else "text"
        if cell.is_needed:
            return convert(texts, Column(name, cell.sources[0], unit), what)
        return convert(texts, Column(name, cell.sources[0], unit, cell.default), what)

    @staticmethod
    def _number(rows: pl.DataFrame, name: str, cell: Cell, what: str) -> pl.Series:
        """The sum of the sources; where all are empty the default."""
        columns = [Column(f"{n}", source, cell.unit, None) for n, source in enumerate(cell.sources)]  # type: ignore[arg-type]
        parts = convert_frame(rows, columns, what)
        some = pl.any_horizontal(pl.all().is_not_null())
        total = parts.select(pl.when(some).then(pl.sum_horizontal(pl.all())).alias(name))[name]
        return total if cell.default is None else total.fill_null(cell.default)

    def _days_of_instants(self, texts: pl.Series, accounts: pl.Series, cell: Cell, what: str) -> pl.Series:
        """The account's day that an instant in UTC falls in."""
        moments = instants(texts)
        if (bad := moments.is_null() & texts.is_not_null()).any():
            raise JobError(f"{what}: {cell.sources[0]} is {texts.filter(bad)[0]!r}, which is no instant; the row cannot be read")
        frame = pl.DataFrame({"at": moments.dt.replace_time_zone("UTC"), "account": accounts}).with_row_index()
        parts = [
            part.select("index", pl.col("at").dt.convert_time_zone(self.zones[str(account)]).dt.date().alias("day"))
            for (account,), part in frame.partition_by("account", as_dict=True).items()
        ]
        return pl.concat(parts).sort("index")["day"] if parts else pl.Series("day", [], dtype=pl.Date)

    def _by_window(self, typed: pl.DataFrame, rows: pl.DataFrame, what: str) -> pl.DataFrame:
        """A row per attribution window that claims something; an empty cell claims nothing."""
        names = sorted({name for cells in self.into.windows.values() for name in cells})
        schema = load_contract(self.into.table).polars_schema()
        parts = []
        for window, cells in self.into.windows.items():
            made = {name: self._typed(rows, name, cell, what) for name, cell in cells.items()}
            nulls = [pl.lit(None, dtype=schema[name]).alias(name) for name in names if name not in made]
            part = typed.with_columns(*made.values(), *nulls, pl.lit(window).alias("attribution_window"))
            parts.append(part.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in names)))
        return pl.concat(parts, how="diagonal")

    def _complete(self, typed: pl.DataFrame) -> pl.DataFrame:
        """Measures that the report lacks: null where the contract lets them be, 0 where it asks for a number."""
        schema = load_contract(self.into.table).polars_schema()
        absent = [pl.lit(None, dtype=schema[name]).alias(name) for name in self.into.measures if name not in typed.columns]
        return typed.with_columns(absent).with_columns(pl.col(name).fill_null(0) for name in self.into.needed_measures)

    def _labelled(self, typed: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        """Channel, brand and attribution window, where the table has them and the report does not say."""
        schema = load_contract(self.into.table).columns
        if "attribution_window" in schema and not self.into.windows:
            typed = typed.with_columns(pl.lit(self.connector.attribution_window).alias("attribution_window"))
        if "channel" not in schema:
            return typed
        if self.connector.channel is not None:
            return typed.with_columns(pl.lit(self.connector.channel).alias("channel"), pl.lit(value=False).alias("is_brand"))
        labels = [
            label(kind or "UNKNOWN", sub or "", name or "", self.brand_terms)
            for kind, sub, name in rows.select("campaign_type", "campaign_subtype", "campaign_name").iter_rows()
        ]
        return typed.with_columns(
            pl.Series("channel", [channel for channel, _ in labels], dtype=pl.String),
            pl.Series("is_brand", [is_brand for _, is_brand in labels], dtype=pl.Boolean),
        )
