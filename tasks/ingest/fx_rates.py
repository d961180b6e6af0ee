"""Daily reference rates against the euro, as the European Central Bank publishes them, and the crosses made of them. Pure."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from tasks.core.errors import JobError

EUR = "EUR"
CARRIED_DAYS = 7  # Christmas and Easter leave four days without a quote; a week without any is a file that is not kept up
_DAY = timedelta(days=1)
_UNKNOWN = ("", "N/A")

Quotes = Mapping[date, Mapping[str, float]]  # day → currency → units of it for one euro


@dataclass(frozen=True)
class Rate:
    """``rate`` units of the reporting currency for one unit of ``currency`` on ``day``, by the quotes of ``quoted``."""

    day: date
    currency: str
    rate: float
    quoted: date


def parse_rates(text: str, name: str, currencies: Iterable[str]) -> Quotes:
    """Quotes of ``currencies`` in the ECB's CSV: ``Date,USD,JPY,…``, units for one euro, ``N/A`` where there is none.

    Columns may come in any order and number, rows in any order; each line may end with a comma. JobError names ``name``, line,
    column and value of what cannot be read; a wanted currency that has no column is an error, the euro needs none.
    """
    lines = csv.reader(io.StringIO(text))
    head = [cell.strip() for cell in next(lines, [])]
    if not head or head[0] != "Date":
        raise JobError(
            f"{name}: the first line begins with {head[0] if head else ''!r}, expected Date,USD,…; "
            "give the ECB's table of reference rates, units of each currency for one euro"
        )
    wanted = [currency for currency in sorted(set(currencies)) if currency != EUR]
    missing = [currency for currency in wanted if currency not in head]
    if missing:
        raise JobError(
            f"{name} quotes no {', '.join(missing)}, which amounts are in; add the column from another source of rates"
        )
    twice = [currency for currency in wanted if head.count(currency) > 1]
    if twice:
        raise JobError(f"{name} has two columns {twice[0]}; which of them is right?")
    found: dict[date, dict[str, float]] = {}
    for number, cells in enumerate(lines, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(head):
            raise JobError(f"{name}, line {number}: {len(cells)} cells, the first line has {len(head)}; was the file cut off?")
        day = _day(cells[0].strip(), name, number)
        if day in found:
            raise JobError(f"{name}, line {number}: {day} is there twice; keep one line a day")
        cell_of = dict(zip(head, cells, strict=True))
        quoted = {c: value for c in wanted if (value := _number(cell_of[c].strip(), name, number, c)) is not None}
        found[day] = quoted | {EUR: 1.0}
    if not found:
        raise JobError(f"{name} has no line below its first; give the ECB's history of reference rates")
    return found


def _day(text: str, name: str, number: int) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise JobError(f"{name}, line {number}: Date {text!r} is no day like 2026-03-02") from None


def _number(text: str, name: str, number: int, currency: str) -> float | None:
    if text in _UNKNOWN:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise JobError(f"{name}, line {number}: {currency} {text!r} is no rate above 0, and not N/A")
    return value


def daily_rates(quotes: Quotes, name: str, currencies: Iterable[str], reporting: str, start: date, end: date) -> list[Rate]:
    """A rate of each currency for each day of ``start`` to ``end``, both included; 1 for ``reporting`` itself.

    A day takes the newest quote of its own day or the ``CARRIED_DAYS`` before that knows both currencies, which cross through
    the euro. JobError names day and currency without one.
    """
    found = []
    for currency in sorted({*currencies, reporting}):
        known = sorted(day for day, units in quotes.items() if currency in units and reporting in units)
        at = 0
        for n in range((end - start).days + 1):
            day = start + n * _DAY
            if currency == reporting:
                found.append(Rate(day, currency, 1.0, day))
                continue
            while at + 1 < len(known) and known[at + 1] <= day:
                at += 1
            quoted = known[at] if known else None
            if quoted is None or not timedelta(0) <= day - quoted <= CARRIED_DAYS * _DAY:
                span = f"its quotes of {currency} and {reporting} run from {known[0]} to {known[-1]}" if known else "it has none"
                raise JobError(
                    f"no rate from {currency} to {reporting} for {day}: {name} has no quote of that day or the {CARRIED_DAYS} "
                    f"before; {span}. Give a table that covers the days of the spend, then run ingest-fx again"
                )
            found.append(Rate(day, currency, quotes[quoted][reporting] / quotes[quoted][currency], quoted))
    return found
