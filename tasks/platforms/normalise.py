"""The one way into the standard ad tables: raw columns in, a frame in the shape of its contract out.

Every platform and every connector report goes through :func:`shape`. What a table must not take is set aside with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from tasks.core.ad_changes import AdState
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.platforms.base import Account, RejectedRow

if TYPE_CHECKING:
    import polars as pl

UNKNOWN_ENUM = "UNRECOGNISED"  # how a value that its adapter does not know begins; such a row is set aside


@dataclass
class Shaped:
    """A frame ready for its table, the identical rows dropped from it and the rows set aside."""

    frame: pl.DataFrame
    duplicates: int = 0
    rejected: list[RejectedRow] = field(default_factory=list)


def shape(
    table: str,
    raw: pl.DataFrame,
    account: Account,
    window: tuple[date, date],
    loaded_at: datetime,
) -> Shaped:
    """``raw`` with the contract's constants and ratios, identical rows dropped, bad rows set aside.

    Nullable columns that ``raw`` lacks become null. JobError if a required one is missing, or if two rows share the grain but
    not the numbers: no rule could say which one is true.
    """
    import polars as pl

    contract = load_contract(table)
    # Identical rows share their grain: where no two rows do, there is nothing to drop and nothing to refuse.
    repeats = raw.height > 0 and raw.select(k for k in contract.grain if k in raw.columns).is_duplicated().any()
    distinct = raw.unique(maintain_order=True) if repeats else raw
    fixed: dict[str, object] = {
        "platform": account.platform,
        "account_id": account.account_id,
        "timezone": account.timezone,
        "loaded_at": loaded_at,
    }
    schema = contract.polars_schema()
    constants = [pl.lit(v, dtype=schema[k]).alias(k) for k, v in fixed.items() if k in schema and k not in raw.columns]
    full = distinct.with_columns(constants)
    if "currency_code" in schema and "currency_code" not in full.columns:
        full = full.with_columns(pl.lit(account.currency_code).alias("currency_code"))
    nullable = {f.name for f in contract.fields if not f.required}
    full = full.with_columns(pl.lit(None, dtype=schema[k]).alias(k) for k in schema if k in nullable and k not in full.columns)
    full = _ratios(full, schema)
    if missing := [name for name in schema if name not in full.columns]:
        raise JobError(f"{table}: the rows of {account.platform} lack {', '.join(missing)}; the adapter must supply them")
    full = full.select(list(schema))
    good, rejected = _set_aside(table, full, account, window)
    if repeats:
        _refuse_conflicts(table, good)
    return Shaped(good, raw.height - distinct.height, rejected)


def _ratios(frame: pl.DataFrame, schema: Mapping[str, object]) -> pl.DataFrame:
    import polars as pl

    if "ctr" not in schema:
        return frame

    def per(top: str, bottom: str) -> pl.Expr:
        return pl.when(pl.col(bottom) > 0).then(pl.col(top) / pl.col(bottom))

    return frame.with_columns(
        per("clicks", "impressions").alias("ctr"),
        per("conversions", "clicks").alias("cvr"),
        per("cost_micros", "clicks").round().cast(pl.Int64).alias("avg_cpc_micros"),
        per("video_views", "impressions").alias("view_rate"),
        per("video_completions", "impressions").alias("vtr"),
    )


def _rules(table: str, columns: Iterable[str], account: Account, window: tuple[date, date]) -> list[tuple[str, str, pl.Expr]]:
    """(check, column, bad): what makes a row unfit, in the order in which the reasons are told."""
    import polars as pl

    contract = load_contract(table)
    fields = {f.name: f for f in contract.fields}
    rules = []
    if "date" in fields:
        rules.append(("date_in_window", "date", ~pl.col("date").is_between(*window)))
    if "currency_code" in fields:
        rules.append(("account_currency", "currency_code", pl.col("currency_code") != account.currency_code))
    for name in columns:
        spec = fields[name]
        if spec.type == "STRING" and not spec.repeated:
            rules.append(("known_enum", name, pl.col(name).str.starts_with(UNKNOWN_ENUM)))
        if spec.minimum is not None:
            rules.append((f"{name}_min", name, pl.col(name) < spec.minimum))
        if spec.maximum is not None:
            rules.append((f"{name}_max", name, pl.col(name) > spec.maximum))
    return rules


def _set_aside(
    table: str, frame: pl.DataFrame, account: Account, window: tuple[date, date]
) -> tuple[pl.DataFrame, list[RejectedRow]]:
    import polars as pl

    rejected: list[RejectedRow] = []
    for check, column, expression in _rules(table, frame.columns, account, window):
        is_bad = frame.select(expression.fill_null(value=False).alias("bad"))["bad"]
        if not is_bad.any():
            continue
        limit = {"date_in_window": f"outside {window[0]} to {window[1]}", "account_currency": f"not {account.currency_code}"}
        why = limit.get(check, "not a value this adapter knows" if check == "known_enum" else "outside the contract")
        rejected += [
            RejectedRow(table, row, check, f"{column} is {row[column]}, {why}")
            for row in frame.filter(is_bad).iter_rows(named=True)
        ]
        frame = frame.filter(~pl.Series(is_bad))
    return frame, rejected


def _refuse_conflicts(table: str, frame: pl.DataFrame) -> None:
    grain = list(load_contract(table).grain)
    twice = frame.filter(frame.select(grain).is_duplicated())
    if twice.height:
        example = twice.head(2).to_dicts()
        differing = [k for k in example[0] if example[0][k] != example[1][k]] or ["other columns"]
        key = {k: str(example[0][k]) for k in grain}
        raise JobError(
            f"{table}: the platform sent {twice.height} rows that share a grain with different values, for example {key} "
            f"differing in {', '.join(differing)}; load the day again, and tell the platform's support if it stays"
        )


def raw_rows(table: str, rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    """``rows`` as a raw frame of ``table``: its columns but those that :func:`shape` adds to every row."""
    import polars as pl

    schema = load_contract(table).polars_schema()
    added = {"platform", "account_id", "loaded_at"}
    return pl.DataFrame(list(rows), schema={name: kind for name, kind in schema.items() if name not in added})


def status_frame(ads: Iterable[AdState], run_date: date) -> pl.DataFrame:
    """Raw rows of ads.ad_statuses: the ads as they stand, dated ``run_date``."""
    return raw_rows(
        "ads.ad_statuses",
        (
            {
                "date": run_date,
                "campaign_id": ad.campaign_id,
                "adgroup_id": ad.adgroup_id,
                "ad_id": ad.ad_id,
                "ad_status": ad.status,
                "adgroup_status": ad.adgroup_status,
                "campaign_status": ad.campaign_status,
            }
            for ad in ads
        ),
    )
