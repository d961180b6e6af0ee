"""What must hold between rows: one row per period, no gap, equal periods, the same periods for every region and channel."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from tasks.ingest.csv_map import CsvMap
from tasks.ingest.csv_parse import Parsed
from tasks.ingest.csv_problems import PER_COLUMN, Problems
from tasks.ingest.csv_read import LINE

_DAY = "period_start_date"
_SHORT_WEEKS = 52


def _duplicates(rows: pl.DataFrame, key: list[str], spec: CsvMap, problems: Problems) -> pl.DataFrame:
    """``rows`` with one row per ``key``; a second row is a problem that names both lines."""
    numbered = rows.with_columns(pl.col(LINE).first().over(key).alias("first"), pl.int_range(pl.len()).over(key).alias("again"))
    repeated = numbered.filter(pl.col("again") > 0).sort(LINE)
    for row in repeated.head(PER_COLUMN).iter_rows(named=True):
        what = " of ".join(str(row[column]) for column in reversed(key) if row[column] != "national")
        problems.add(
            f"a second row for the same {' and '.join(_word(k) for k in key if row[k] != 'national')}, see row {row['first']}",
            "Keep one, or add them up",
            line=row[LINE],
            column=spec.date_column,
            value=what,
        )
    problems.count_hidden(repeated.height - PER_COLUMN)
    return numbered.filter(pl.col("again") == 0).drop("first", "again")


def _word(key: str) -> str:
    return {"period_start_date": "period"}.get(key, key)


def _spacing(rows: pl.DataFrame, spec: CsvMap, problems: Problems) -> None:
    """Every step between neighbouring periods is exactly one period."""
    step = spec.period_days
    days = rows.group_by(_DAY).agg(pl.col(LINE).min()).sort(_DAY)
    steps = days.with_columns(pl.col(_DAY).shift(1).alias("before"), pl.col(_DAY).diff().dt.total_days().alias("days"))
    wrong = steps.filter(pl.col("days") != step)
    off = wrong.filter(pl.col("days") % step != 0)
    if off.height > steps.height / 2:
        usual = int(steps["days"].mode()[0])
        problems.add(
            f"the periods are {usual} days apart, the map says {spec.period}",
            "Set `period` in the map; monthly tables cannot be used, a model needs weeks",
            line=int(wrong[LINE][0]),
            column=spec.date_column,
            value=str(wrong[_DAY][0]),
        )
        return
    for row in wrong.head(PER_COLUMN).iter_rows(named=True):
        before, day = row["before"], row[_DAY]
        if row["days"] % step:
            message = f"periods of unequal length: {row['days']} days since {before} ({before:%A} to {day:%A})"
            remedy = f"Every period must start {step} days after the one before"
        else:
            missing = row["days"] // step - 1
            unit = "week" if step == 7 else "day"
            message = f"a gap: {missing} {unit}{'s' if missing > 1 else ''} missing, from {before + timedelta(days=step)}"
            remedy = "Add the missing rows, with zeros where there was no spend"
        problems.add(message, remedy, line=row[LINE], column=spec.date_column, value=str(day))
    problems.count_hidden(wrong.height - PER_COLUMN)


def _complete(rows: pl.DataFrame, of: list[str], column: str, problems: Problems) -> None:
    """Every combination of ``of`` (geo, channel) has every period of the table."""
    present = rows.select([*of, _DAY]).unique()
    wanted = present.select(of).unique().join(present.select(_DAY).unique(), how="cross")
    missing = wanted.join(present, on=[*of, _DAY], how="anti").sort([*of, _DAY])
    groups = missing.group_by(of, maintain_order=True).agg(pl.len().alias("periods"), pl.col(_DAY).min().alias("first"))
    for row in groups.head(PER_COLUMN).iter_rows(named=True):
        name = " / ".join(str(row[key]) for key in of if row[key] != "national")
        problems.add(
            f"{row['periods']} periods missing that others have, the first is {row['first']}",
            "All regions and channels need the same periods"
            + ("; or write `missing: zero` under `media`" if "channel" in of else ""),
            column=column,
            value=name,
        )
    problems.count_hidden(groups.height - PER_COLUMN)


def _with_zero_rows(media: pl.DataFrame) -> pl.DataFrame:
    """``media`` of a long table with a zero row for each period and geo in which a channel has none (``missing: zero``)."""
    grid = media.select("geo", _DAY).unique().join(media.select("channel").unique(), how="cross")
    full = grid.join(media, on=["geo", _DAY, "channel"], how="left")
    shown = media["impressions"].is_not_null().any()
    return full.with_columns(
        pl.col("spend").fill_null(0.0), pl.col("impressions").fill_null(0.0) if shown else pl.col("impressions")
    ).select(media.columns)


def _one_per_period(rows: pl.DataFrame, key: list[str], values: list[str], spec: CsvMap, problems: Problems) -> pl.DataFrame:
    """A long table repeats outcome and controls on every channel row: they must agree, one row is kept."""
    for value in values:
        differing = rows.filter(pl.col(value).n_unique().over(key) > 1).sort(LINE)
        for row in differing.unique(key, maintain_order=True).head(PER_COLUMN).iter_rows(named=True):
            problems.add(
                f"{row.get('control', value)} differs between the channel rows of one period",
                "A long table repeats the period's outcome and controls on each channel row",
                line=row[LINE],
                column=spec.date_column,
                value=str(row[_DAY]),
            )
    return rows.unique(key, keep="first", maintain_order=True)


def _warn(parsed: Parsed, spec: CsvMap, problems: Problems) -> None:
    for (channel,), rows in parsed.media.group_by("channel", maintain_order=True):
        if not rows["spend"].sum():
            problems.warnings.append(f"channel {channel!r} never spends anything; a model can say nothing about it, leave it out")
    for (control,), rows in parsed.controls.group_by("control", maintain_order=True):
        if rows["value"].n_unique() == 1:
            problems.warnings.append(f"control {control!r} never changes; it explains nothing, leave it out")
    weeks = parsed.outcomes[_DAY].n_unique() * spec.period_days // 7
    if weeks < _SHORT_WEEKS:
        problems.warnings.append(f"only {weeks} weeks; a model needs {_SHORT_WEEKS} to tell season from spend, better two years")


def check_rows(parsed: Parsed, spec: CsvMap, problems: Problems) -> Parsed:
    """``parsed`` reduced to one row per grain; defects between rows are noted in ``problems``."""
    media, outcomes, controls = parsed.media, parsed.outcomes, parsed.controls
    if spec.long:
        media = _duplicates(media, ["geo", "channel", _DAY], spec, problems)
        outcomes = _one_per_period(outcomes, ["geo", _DAY], ["new_customers", "revenue"], spec, problems)
        controls = _one_per_period(controls, ["geo", "control", _DAY], ["value"], spec, problems)
    else:
        outcomes = _duplicates(outcomes, ["geo", _DAY], spec, problems)
        media = media.unique(["geo", "channel", _DAY], keep="first", maintain_order=True)
        names = controls.select("control", LINE).is_duplicated()
        if names.any():
            problems.add("two controls or events have the same name", "Rename one", value=controls.filter(names)["control"][0])
        controls = controls.unique(["geo", "control", _DAY], keep="first", maintain_order=True)
    _spacing(outcomes, spec, problems)
    _complete(outcomes, ["geo"], spec.geo_column or spec.date_column, problems)
    if spec.long and spec.missing == "zero":
        media = _with_zero_rows(media)
    elif spec.long:
        _complete(media, ["geo", "channel"], spec.long.channel, problems)
    checked = Parsed(media, outcomes, controls, parsed.currency)
    _warn(checked, spec, problems)
    return checked


def span(parsed: Parsed, spec: CsvMap) -> tuple[date, date]:
    """First and last day that the table covers."""
    days = parsed.outcomes[_DAY].to_list()
    return min(days), max(days) + timedelta(days=spec.period_days - 1)
