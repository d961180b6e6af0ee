"""From texts to the rows of the contract tables; every cell that does not fit is a problem with row, column and value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

import polars as pl

from tasks.core.log import redact
from tasks.ingest.csv_map import CsvMap
from tasks.ingest.csv_problems import PER_COLUMN, Problems
from tasks.ingest.csv_read import LINE

MICROS = 1_000_000
LARGEST = 9.0e12  # beyond it an amount in micros no longer fits a 64-bit integer
NATIONAL = "national"
_DATE_FORMATS = (
    "%Y-%m-%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%Y/%m/%d",
    "%Y%m%d",
    "%d-%m-%Y",
    "%b %d, %Y",
)
_MAX_EVENTS = 20  # more distinct texts than this are notes, not kinds of event


@dataclass(frozen=True)
class Parsed:
    """Typed rows of one file, each with its line number.

    ``media``: LINE, geo, channel, period_start_date, spend, impressions (currency units, counts).
    ``outcomes``: LINE, geo, period_start_date, new_customers, revenue.
    ``controls``: LINE, geo, control, period_start_date, value.
    A long table yields one outcome and control row per channel row here; csv_checks proves them equal and keeps one.
    """

    media: pl.DataFrame
    outcomes: pl.DataFrame
    controls: pl.DataFrame
    currency: str


def _examples(
    frame: pl.DataFrame,
    bad: pl.Series,
    column: str,
    message: str,
    problems: Problems,
    remedy: str | None = None,
) -> None:
    """Note the first rows where ``bad`` is true, count the others; without ``remedy`` the text itself suggests one."""
    rows = frame.filter(bad)
    for line, value in rows.select(LINE, column).head(PER_COLUMN).iter_rows():
        text = value or ""
        problems.add(message, remedy or _number_remedy(text), line=line, column=column, value=text)
    problems.count_hidden(rows.height - PER_COLUMN)


def _number_remedy(text: str) -> str:
    if re.fullmatch(r"-?\d{1,3}(\.\d{3})*,\d+|-?\d+,\d+", text):
        return "It looks like a decimal comma: add `file: {decimal: ','}` to the map"
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", text):
        return "Write numbers without thousands separators"
    if re.search(r"[€$£¥%]", text):
        return "Write the bare number; the currency is named in the map"
    return "Write a number; say in the map how a missing value is meant (`media: {missing: zero}`) if it is spend"


def _plain(column: str, spec: CsvMap) -> pl.Expr:
    text = pl.col(column)
    if spec.decimal == ",":
        # 1.234,5 → 1234.5; a text with a point after the comma stays as it is and fails.
        german = text.str.contains(r"^-?\d{1,3}(\.\d{3})*(,\d+)?$|^-?\d+(,\d+)?$")
        return pl.when(german).then(text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True))
    return text


def _numbers(texts: pl.DataFrame, spec: CsvMap, problems: Problems) -> pl.DataFrame:
    """``texts`` with every numeric column as Float64; a blank spend becomes zero only if the map says so."""
    media = {column for c in spec.channels for column in (c.spend, c.impressions) if column}
    media |= {column for column in (spec.long.spend, spec.long.impressions) if column} if spec.long else set()
    signed = {control.column for control in spec.controls}
    parsed = {}
    for column, meaning in spec.number_columns().items():
        numbers = texts.select(_plain(column, spec).cast(pl.Float64, strict=False)).to_series()
        blank, given = texts[column].is_null(), texts[column].is_not_null()
        not_finite = (numbers.is_nan() | numbers.is_infinite()).fill_null(False)
        _examples(texts, numbers.is_null() & given, column, f"text in a number ({meaning})", problems)
        _examples(texts, not_finite, column, f"not a finite number ({meaning})", problems, "Write the true value")
        if column in media and spec.missing == "zero":
            numbers = numbers.fill_null(0.0)
        else:
            zero = "; if it means no spend, write `missing: zero` under `media` in the map" if column in media else ""
            _examples(texts, blank, column, f"an empty cell ({meaning})", problems, f"Fill in the value{zero}")
        if column not in signed:
            negative = (numbers < 0).fill_null(False)
            _examples(texts, negative, column, f"below zero ({meaning})", problems, "Book credits in the period they belong to")
        too_large = (numbers.abs() > LARGEST / max(spec.scale_spend, spec.scale_revenue)).fill_null(False) & ~not_finite
        _examples(texts, too_large, column, f"too large ({meaning})", problems, "Check the unit and `scale` in the map")
        parsed[column] = numbers.fill_nan(None).alias(column)
    return texts.with_columns(parsed.values())


def _dates(texts: pl.DataFrame, spec: CsvMap, run_date: date, problems: Problems) -> pl.Series:
    column = spec.date_column
    as_given = texts[column]
    _examples(texts, as_given.is_null(), column, "an empty date", problems, "Fill in the first day of the period")
    dates = as_given.str.strptime(pl.Date, spec.date_format, strict=False)
    bad = dates.is_null() & as_given.is_not_null()
    if bad.any():
        fits = [f for f in _DATE_FORMATS if as_given.drop_nulls().str.strptime(pl.Date, f, strict=False).is_not_null().all()]
        remedy = (
            f"Every date fits {fits[0]!r}: set `date.format` to it"
            if fits
            else "Write all dates in one format and name it in the map"
        )
        _examples(texts, bad, column, f"the date does not fit the format {spec.date_format!r}", problems, remedy)
    future = (dates >= run_date).fill_null(False)
    _examples(texts, future, column, f"on or after the run date {run_date}", problems, "Remove it: a plan is no result")
    # A period that is still running would look like a slump.
    open_end = (dates.dt.offset_by(f"{spec.period_days}d") > run_date).fill_null(False) & ~future
    _examples(texts, open_end, column, f"the period is not over on the run date {run_date}", problems, "Remove the last period")
    return dates.alias("period_start_date")


def _names(texts: pl.DataFrame, column: str | None, what: str, problems: Problems) -> pl.Series:
    """Names in ``column``, or `national` in every row where there is none."""
    if column is None:
        return pl.Series([NATIONAL]).new_from_index(0, texts.height)
    names = texts[column]
    _examples(texts, names.is_null(), column, f"an empty {what}", problems, f"Name the {what} in every row")
    unique = names.drop_nulls().unique().sort()
    personal = [name for name in unique if redact(name) != name]
    _examples(texts, names.is_in(personal), column, f"personal data as a {what}", problems, "Use a name that identifies nobody")
    spellings: dict[str, str] = {}
    for name in unique:
        first = spellings.setdefault(name.casefold(), name)
        if first != name:
            message = f"the {what} is also spelled {first!r}"
            _examples(texts, (names == name).fill_null(False), column, message, problems, "Spell it one way")
    return names


def _currency(texts: pl.DataFrame, spec: CsvMap, problems: Problems) -> str:
    if spec.currency is not None:
        return spec.currency
    column = spec.currency_column or ""
    codes = texts[column]
    wrong = ~codes.str.contains(r"^[A-Z]{3}$").fill_null(False)
    _examples(texts, wrong, column, "not an ISO 4217 code", problems, "Write a code such as EUR in every row")
    counts = codes.filter(~wrong).value_counts(sort=True)
    if counts.is_empty():
        return ""
    usual = str(counts[column][0])
    _examples(
        texts,
        ((codes != usual) & ~wrong).fill_null(False),
        column,
        f"mixed currencies, most rows are {usual}",
        problems,
        "Convert all amounts to one currency before the import",
    )
    return usual


def _slug(value: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", value.casefold()).strip("_")


def _controls(numbers: pl.DataFrame, keys: pl.DataFrame, spec: CsvMap, problems: Problems) -> pl.DataFrame:
    """One row per control. One-hot rule: each text that is not "nothing" becomes an indicator named control_text."""
    parts = []
    for control in spec.controls:
        values = numbers[control.column]
        if control.one_hot_none is None:
            parts.append(keys.with_columns(pl.lit(control.name).alias("control"), values.alias("value")))
            continue
        events = values.filter(~values.is_in(list(control.one_hot_none))).drop_nulls().unique().sort()
        if "" not in control.one_hot_none:
            remedy = 'Write what happened, or add "" to `one_hot.none` in the map if blank means nothing'
            _examples(numbers, values.is_null(), control.column, f"an empty cell (control {control.name})", problems, remedy)
        if len(events) > _MAX_EVENTS:
            problems.add(
                f"{len(events)} different texts",
                f"Use at most {_MAX_EVENTS} kinds of event, or ignore the column",
                column=control.column,
            )
            continue
        named = values.is_not_null() & ~values.is_in(list(control.one_hot_none)).fill_null(True)
        _names(numbers.filter(named), control.column, "event", problems)
        for event in events:
            indicator = (values == event).fill_null(False).cast(pl.Float64)
            name = f"{control.name}_{_slug(event)}"
            parts.append(keys.with_columns(pl.lit(name).alias("control"), indicator.alias("value")))
    schema = {**keys.schema, "control": pl.String(), "value": pl.Float64()}
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)


def parse(texts: pl.DataFrame, spec: CsvMap, run_date: date, problems: Problems) -> Parsed:
    """Typed rows of ``texts`` (see :func:`tasks.ingest.csv_read.read_texts`); defects are noted in ``problems``."""
    numbers = _numbers(texts, spec, problems)
    keys = pl.DataFrame(
        {
            LINE: texts[LINE],
            "geo": _names(texts, spec.geo_column, "geo", problems),
            "period_start_date": _dates(texts, spec, run_date, problems),
        }
    )
    columns = [(c.name, c.spend, c.impressions) for c in spec.channels]
    if spec.long:
        channel = _names(texts, spec.long.channel, "channel", problems)
        media_parts = [(channel, spec.long.spend, spec.long.impressions)]
    else:
        media_parts = [(pl.Series([name]).new_from_index(0, texts.height), spend, shown) for name, spend, shown in columns]
    nothing = pl.Series([None], dtype=pl.Float64).new_from_index(0, texts.height)
    media = pl.concat(
        keys.with_columns(
            channel.alias("channel"),
            (numbers[spend] * spec.scale_spend).alias("spend"),
            (numbers[shown] if shown else nothing).alias("impressions"),
        )
        for channel, spend, shown in media_parts
    )
    revenue = nothing
    if spec.revenue:
        revenue = numbers[spec.revenue[0]] * spec.scale_revenue
        revenue = revenue * numbers[spec.revenue[1]] if len(spec.revenue) == 2 else revenue
    customers = numbers[spec.new_customers] * spec.scale_new_customers if spec.new_customers else nothing
    outcomes = keys.with_columns(customers.alias("new_customers"), revenue.alias("revenue"))
    controls = _controls(numbers, keys, spec, problems)
    return Parsed(media, outcomes, controls, _currency(texts, spec, problems))
