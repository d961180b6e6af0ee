"""What is known of each connector report: the YAML files of ``connector_reports/``, and which report a file is.

A report's keys (docs/how-to/import-reports.md shows one):

| key | meaning |
| --- | --- |
| has, lacks | a file is this report if it has all columns of the one and none of the other |
| is_named | the columns are too common to tell it: the file's name must name it as well |
| key, also_key | the source's own row key; ``also_key`` columns belong to it where the sync was told to have them |
| later, why | of rows that share the key the latest by ``later`` counts; why that is right |
| lookups | columns taken from history files of the same run |
| into | table, constants, columns and attribution windows of what the report gives; a report may give none |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError

FOLDER = Path(__file__).parent / "connector_reports"
UNITS = ("text", "count", "number", "money", "cents", "micros", "day", "month", "month_days", "utc_day", "hash")
UNKNOWN = "unknown"  # the id of a parent or account that neither the report nor a history file tells


@dataclass(frozen=True)
class Cell:
    """Where a table's column comes from.

    Args:
        sources: columns of the file. Of texts the first that is filled counts, numbers are added up.
        unit: one of UNITS.
        default: what an empty cell means; ``needed`` cells have none.
        is_joined: the texts are joined by ``~`` into one id.
        after: keep only what stands behind the last of this character, as in ``customers/1/adGroups/2``.
    """

    sources: tuple[str, ...]
    unit: str = "text"
    default: object = None
    is_needed: bool = True
    is_joined: bool = False
    after: str | None = None


@dataclass(frozen=True)
class Lookup:
    """``take`` (column to make → column of ``report``) where the columns ``where`` (ours → theirs) are equal.

    A column that is there is filled only where it is empty, so that one lookup may follow another.
    """

    report: str
    where: Mapping[str, str]
    take: Mapping[str, str]


@dataclass(frozen=True)
class Into:
    """One table a report gives: ``windows`` maps an attribution window to (table's column → file's column)."""

    table: str
    cells: Mapping[str, Cell]
    constants: Mapping[str, object]
    windows: Mapping[str, Mapping[str, Cell]]

    @property
    def measures(self) -> tuple[str, ...]:
        """The counted columns of the table, in its order; ratios are made from them."""
        contract = load_contract(self.table)
        numbers = {"INT64", "FLOAT64"}
        return tuple(
            f.name for f in contract.fields if f.type in numbers and f.unit in ("count", "micros") and "avg" not in f.name
        )

    @property
    def needed_measures(self) -> tuple[str, ...]:
        """The measures that the contract lets nobody leave out."""
        required = {f.name for f in load_contract(self.table).fields if f.required}
        return tuple(name for name in self.measures if name in required)

    def carried(self, columns: Iterable[str]) -> tuple[str, ...]:
        """The measures that a file with these columns has."""
        there = set(columns)
        cells = [*self.cells.items(), *(pair for window in self.windows.values() for pair in window.items())]
        told = {name for name, cell in cells if there & set(cell.sources)}
        return tuple(name for name in self.measures if name in told)


@dataclass(frozen=True, eq=False)  # compared as the one object that it is
class Report:
    """One report of one platform's connector."""

    platform: str
    name: str
    about: str
    has: frozenset[str]
    lacks: frozenset[str]
    is_named: bool
    key: tuple[str, ...]
    also_key: tuple[str, ...]
    later: tuple[str, ...]
    why: str
    lookups: tuple[Lookup, ...]
    into: tuple[Into, ...]

    @property
    def title(self) -> str:
        """Platform and report."""
        return f"{self.platform} {self.name}"

    @property
    def private(self) -> set[str]:
        """The columns of which only hashes may be told."""
        return {source for into in self.into for cell in into.cells.values() if cell.unit == "hash" for source in cell.sources}


@dataclass(frozen=True)
class Connector:
    """All reports of one platform; ``accounts`` says where an account's currency, time zone, name and status stand."""

    platform: str
    prefix: str
    channel: str | None
    attribution_window: str
    timezone: str | None
    accounts: tuple[Lookup, ...]
    reports: Mapping[str, Report]

    def is_name_of(self, stem: str, report: str) -> bool:
        """Whether a file called ``stem`` says it is ``report``: prefix, report, and perhaps ``_data`` or a number behind."""
        rest = stem.lower().removeprefix(f"{self.prefix}_")
        return rest != stem.lower() and (rest == report or rest.startswith((f"{report}_data", f"{report}.", f"{report}-")))


def _cell(value: object, where: str) -> Cell:
    spec: dict[str, Any] = value if isinstance(value, dict) else {"from": value}
    sources = spec.get("from")
    unit = spec.get("unit", "text")
    if unit not in UNITS or sources is None or set(spec) - {"from", "unit", "default", "join", "after"}:
        raise JobError(
            f"{where}: {value!r} is no column of a report; it takes from, unit ({', '.join(UNITS)}), default, join, after"
        )
    return Cell(
        sources=(sources,) if isinstance(sources, str) else tuple(sources),
        unit=unit,
        default=spec.get("default"),
        is_needed="default" not in spec,
        is_joined=spec.get("join", False),
        after=spec.get("after"),
    )


def _lookups(entries: Iterable[dict[str, Any]]) -> tuple[Lookup, ...]:
    return tuple(Lookup(e["from"], e["where"], e["take"]) for e in entries)


def _into(entry: dict[str, Any], where: str) -> Into:
    made = Into(
        table=f"ads.{entry['table']}",
        cells={name: _cell(value, where) for name, value in entry["columns"].items()},
        constants=entry.get("constants", {}),
        windows={w: {n: _cell(v, where) for n, v in cells.items()} for w, cells in entry.get("windows", {}).items()},
    )
    known = set(load_contract(made.table).columns)
    named = {*made.cells, *made.constants, *(name for cells in made.windows.values() for name in cells)}
    if named - known:
        raise JobError(f"{where}: {made.table} has no column {', '.join(sorted(named - known))}")
    return made


def load_connector(path: Path) -> Connector:
    """The connector in a YAML file; JobError where it names a column, unit or report that is not there."""
    raw = cast("dict[str, Any]", yaml.safe_load(path.read_text(encoding="utf-8")))
    reports = {}
    for name, entry in raw["reports"].items():
        where = f"{path.name}: {name}"
        reports[name] = Report(
            platform=raw["platform"],
            name=name,
            about=entry["about"],
            has=frozenset(entry["has"]),
            lacks=frozenset(entry.get("lacks", ())),
            is_named=entry.get("is_named", False),
            key=tuple(entry["key"]),
            also_key=tuple(entry.get("also_key", ())),
            later=tuple(entry.get("later", ())),
            why=entry["why"],
            lookups=_lookups(entry.get("lookups", ())),
            into=tuple(_into(into, where) for into in entry["into"]),
        )
    accounts = _lookups(raw.get("accounts", ()))
    _check_columns(path.name, reports, [*accounts, *(lookup for report in reports.values() for lookup in report.lookups)])
    return Connector(
        platform=raw["platform"],
        prefix=raw["prefix"],
        channel=raw.get("channel"),
        attribution_window=raw["attribution_window"],
        timezone=raw.get("timezone"),
        accounts=accounts,
        reports=reports,
    )


def _check_columns(file: str, reports: Mapping[str, Report], lookups: Iterable[Lookup]) -> None:
    """A key that a file could lack would make one row of many; a history that lacks what it is looked up by tells nothing."""
    for report in reports.values():
        if loose := sorted(set(report.key) - report.has):
            raise JobError(f"{file}: {report.name} has the key {', '.join(loose)}, which its files need not have; add it to has")
    for lookup in lookups:
        if lookup.report not in reports:
            raise JobError(f"{file}: looks columns up in {lookup.report}, which it does not describe")
        if loose := sorted(set(lookup.where.values()) - reports[lookup.report].has):
            raise JobError(f"{file}: looks up by {', '.join(loose)} of {lookup.report}, which its files need not have")


@cache
def connectors() -> dict[str, Connector]:
    """Platform → what is known of its connector."""
    found = (load_connector(path) for path in sorted(FOLDER.glob("*.yaml")))
    return {connector.platform: connector for connector in found}


def _stem(file: str) -> str:
    return Path(file).name.lower().removesuffix(".gz").rsplit(".", 1)[0]


def named_otherwise(file: str, report: Report) -> str | None:
    """The report of the same platform that ``file`` is named after, where that is another one."""
    connector = connectors()[report.platform]
    named = [name for name in connector.reports if connector.is_name_of(_stem(file), name)]
    return named[0] if named and report.name not in named else None


def recognise(file: str, columns: Iterable[str]) -> Report:
    """The report that a file with these columns is.

    Columns decide; where they fit several reports the one that asks for most of them, then the file's name. JobError names the
    file, what it has and what the nearest known report wants.
    """
    have, stem = set(columns), _stem(file)
    fitting, named = [], set()
    for connector in connectors().values():
        for report in connector.reports.values():
            if connector.is_name_of(stem, report.name):
                named.add(report)
            if report.has <= have and not report.lacks & have and (not report.is_named or report in named):
                fitting.append(report)
    best = [r for r in fitting if not any(r.has < other.has for other in fitting)]
    if len(best) > 1 and len(called := [r for r in best if r in named]) == 1:
        best = called
    if len(best) == 1:
        return best[0]
    if best:
        names = ", ".join(report.title for report in best)
        raise JobError(f"{file}: its columns fit {names}; name the file after one of them, as the connector calls its table")
    raise JobError(_unknown(file, have, named))


def _unknown(file: str, have: set[str], named: set[Report]) -> str:
    everything = [report for connector in connectors().values() for report in connector.reports.values()]
    nearest = max(named or everything, key=lambda r: (len(r.has & have) - len(r.has - have), -len(r.has)))
    lacks, extra = sorted(nearest.has - have), sorted(nearest.lacks & have)
    wants = (
        f"it lacks {', '.join(lacks)}" if lacks else f"that one has no {', '.join(extra)}" if extra else "its name must say so"
    )
    return (
        f"{file}: no known report has these columns: {', '.join(sorted(have)[:40])}. The nearest is {nearest.title}, which wants "
        f"{', '.join(sorted(nearest.has))}; {wants}"
    )
