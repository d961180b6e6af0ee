"""The rows of a connector report before and after its columns get their types: newest ones, looked-up columns, sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.ingest.report_read import FILE
from tasks.ingest.report_spec import Into, Lookup, Report

_STAMP = "%Y-%m-%d %H:%M:%S%.f"


@dataclass(frozen=True)
class Newest:
    """The rows of a report that count; how many were identical to another, and how many a later one replaced."""

    rows: pl.DataFrame
    identical: int
    replaced: int


def instants(texts: pl.Series) -> pl.Series:
    """Timestamps and days as connectors write them (`T` or blank between, `UTC`, `Z` or nothing behind); null where none is."""
    plain = texts.str.strip_chars().str.replace(r"^(\d{4}-\d{2}-\d{2})T", "${1} ").str.replace(r"\s*(UTC|Z|\+00(:?00)?)$", "")
    return plain.str.replace(r"^(\d{4}-\d{2}-\d{2})$", "${1} 00:00:00").str.to_datetime(_STAMP, strict=False)


def newest(rows: pl.DataFrame, report: Report) -> Newest:
    """One row per key of the source: identical rows are dropped, of others the latest counts.

    JobError where two rows share the key and differ, and nothing says which is later: no rule could tell which one is true.
    """
    distinct = rows.unique(subset=[name for name in rows.columns if name != FILE], keep="first", maintain_order=True)
    identical = rows.height - distinct.height
    key = [*report.key, *(name for name in report.also_key if name in distinct.columns)]
    if not distinct.select(key).is_duplicated().any():
        return Newest(distinct, identical, 0)
    order = [name for name in report.later if name in distinct.columns]
    stamps = [_stamps(distinct, name).alias(f"__later_{n}") for n, name in enumerate(order)]
    names = [stamp.name for stamp in stamps]
    ranked = distinct.with_columns(stamps).sort(names, nulls_last=False, maintain_order=True) if names else distinct
    last = ranked.unique(subset=key, keep="last", maintain_order=True)
    ties = ranked.join(last.select([*key, *names]), on=[*key, *names], how="semi", nulls_equal=True).filter(
        pl.struct([*key, *names]).is_duplicated()
    )
    if ties.height:
        example = {name: ties[name][0] for name in key if name not in report.private}  # an error is read by more than its file
        later = f"by {' and '.join(report.later)}" if report.later else "by no column"
        raise JobError(
            f"{ties[FILE][0]}: {ties.height} rows of {report.title} share a key and differ, for example {example}, and {later} "
            "none of them is the later one; export the report again"
        )
    return Newest(last.drop(names), identical, distinct.height - last.height)


def _stamps(rows: pl.DataFrame, name: str) -> pl.Series:
    made = instants(rows[name])
    if (bad := made.is_null() & (rows[name].str.strip_chars() != "")).any():
        odd = rows.filter(bad).row(0, named=True)
        raise JobError(f"{odd[FILE]}: {name} is {odd[name]!r}, which is no instant; it has to tell which row is the later one")
    return made


def look_up(rows: pl.DataFrame, lookups: Sequence[Lookup], histories: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """``rows`` with the columns that ``lookups`` take from the histories at hand; null where none tells, or two differ."""
    for lookup in lookups:
        absent = [pl.lit(None, dtype=pl.String).alias(name) for name in lookup.take if name not in rows.columns]
        rows = rows.with_columns(absent)
        history = histories.get(lookup.report)
        if history is None or any(ours not in rows.columns for ours in lookup.where):
            continue
        take = {ours: theirs for ours, theirs in lookup.take.items() if theirs in history.columns}
        on = [f"__on_{n}" for n in range(len(lookup.where))]
        told = {f"__take_{ours}": filled(pl.col(theirs)).drop_nulls() for ours, theirs in take.items()}
        right = history.group_by(
            filled(pl.col(theirs)).alias(name) for name, theirs in zip(on, lookup.where.values(), strict=True)
        ).agg(pl.when(texts.n_unique() == 1).then(texts.first()).alias(name) for name, texts in told.items())
        rows = rows.join(right, left_on=list(lookup.where), right_on=on, how="left", maintain_order="left").select(
            *(
                pl.coalesce(filled(pl.col(name)), f"__take_{name}").alias(name) if name in take else pl.col(name)
                for name in rows.columns
            )
        )
    return rows


def filled(text: pl.Expr) -> pl.Expr:
    """Null in place of an empty or blank text."""
    return pl.when(text.str.strip_chars() != "").then(text.str.strip_chars())


def add_up(rows: pl.DataFrame, into: Into) -> pl.DataFrame:
    """One row per grain of the table: measures are added, of what describes them the last filled text counts."""
    contract = load_contract(into.table)
    grain = [name for name in contract.grain if name in rows.columns]
    others = [name for name in rows.columns if name not in grain and name not in into.measures and name != FILE]
    return rows.group_by(grain, maintain_order=True).agg(
        *(pl.when(pl.col(m).is_not_null().any()).then(pl.col(m).sum()).alias(m) for m in into.measures),
        *(pl.col(name).drop_nulls().last().alias(name) for name in others),
    )
