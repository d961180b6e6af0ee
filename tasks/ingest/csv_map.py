"""The map: a YAML file that says what each column of a person's table means. Unknown keys are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from tasks.core.errors import JobError

MAPS = Path(__file__).parent / "maps"
# `crm` is the advertiser's own daily export and `platforms` the measured spend: an import must not overwrite them.
RESERVED_SOURCES = ("crm", "platforms")
PERIOD_DAYS = {"daily": 1, "weekly": 7}

Missing = Literal["error", "zero"]


@dataclass(frozen=True)
class Channel:
    """Columns of one channel of a wide table."""

    name: str
    spend: str
    impressions: str | None = None


@dataclass(frozen=True)
class LongMedia:
    """Columns of a long table: one row per period, geo and channel."""

    channel: str
    spend: str
    impressions: str | None = None


@dataclass(frozen=True)
class Control:
    """An influence on the outcome. ``one_hot_none`` holds the values that mean "nothing"; None for a numeric column."""

    name: str
    column: str
    one_hot_none: tuple[str, ...] | None = None


@dataclass(frozen=True)
class CsvMap:
    """What the columns of a table mean. Amounts are multiplied by their ``scale`` after reading."""

    source: str
    period: Literal["daily", "weekly"]
    date_column: str
    date_format: str
    geo_column: str | None
    channels: tuple[Channel, ...]
    long: LongMedia | None
    missing: Missing
    new_customers: str | None
    revenue: tuple[str, ...]
    controls: tuple[Control, ...]
    currency: str | None
    currency_column: str | None
    scale_spend: float
    scale_revenue: float
    scale_new_customers: float
    ignore: tuple[str, ...]
    separator: str
    decimal: str

    @property
    def period_days(self) -> int:
        """Days in a period: 1 or 7."""
        return PERIOD_DAYS[self.period]

    def number_columns(self) -> dict[str, str]:
        """Every numeric column → what it is, in words."""
        named: dict[str, str] = {}
        for channel in self.channels:
            named[channel.spend] = f"spend of {channel.name}"
            if channel.impressions:
                named[channel.impressions] = f"impressions of {channel.name}"
        if self.long:
            named[self.long.spend] = "spend"
            if self.long.impressions:
                named[self.long.impressions] = "impressions"
        if self.new_customers:
            named[self.new_customers] = "new customers"
        for column in self.revenue:
            named.setdefault(column, "revenue")
        for control in self.controls:
            if control.one_hot_none is None:
                named.setdefault(control.column, f"control {control.name}")
        return named

    def columns(self) -> set[str]:
        """Every column of the file that the map names, without the ignored ones."""
        texts = {self.date_column, self.geo_column, self.currency_column, self.long.channel if self.long else None}
        texts |= {control.column for control in self.controls}
        return {column for column in texts if column} | set(self.number_columns())


class _Node:
    """One mapping of the YAML, read key by key; ``done`` refuses keys nobody asked for."""

    def __init__(self, where: str, raw: object) -> None:
        if not isinstance(raw, Mapping):
            raise JobError(f"{where} must hold keys, but is {raw!r}; see docs/how-to/bring-your-own-numbers.md")
        self.where, self.raw, self.known = where, raw, set[str]()

    def get(self, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        """Value of ``key``; JobError if it has the wrong type."""
        self.known.add(key)
        value = self.raw.get(key, default)
        if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            raise JobError(f"{self.where}.{key} is {value!r}, which is not {_words(kind)}")
        return value

    def need(self, key: str, kind: type | tuple[type, ...]) -> Any:
        """Value of ``key``; JobError if it is absent or has the wrong type."""
        value = self.get(key, kind)
        if value is None or value == "":
            raise JobError(f"{self.where} lacks the key {key!r}; see docs/how-to/bring-your-own-numbers.md")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """Value of ``key``; JobError unless it is one of ``allowed``."""
        value: str = self.get(key, str, default) if default is not None else self.need(key, str)
        if value not in allowed:
            raise JobError(f"{self.where}.{key} is {value!r}; it must be one of {', '.join(map(repr, allowed))}")
        return value

    def child(self, key: str, *, needed: bool = False) -> _Node:
        """The mapping under ``key``, empty if it is absent and not ``needed``."""
        self.known.add(key)
        if needed and key not in self.raw:
            raise JobError(f"{self.where} lacks the key {key!r}; see docs/how-to/bring-your-own-numbers.md")
        return _Node(f"{self.where}.{key}", self.raw.get(key, {}))

    def done(self) -> None:
        """JobError if the mapping has a key that was not read."""
        unknown = [str(key) for key in self.raw if key not in self.known]
        if unknown:
            raise JobError(f"{self.where} has the unknown key {unknown[0]!r}; known here: {', '.join(sorted(self.known))}")


def _words(kind: type | tuple[type, ...]) -> str:
    names = {str: "text", dict: "a set of keys", list: "a list", float: "a number", int: "a number", bool: "true or false"}
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(dict.fromkeys(names[k] for k in kinds))


def _media(node: _Node) -> tuple[tuple[Channel, ...], LongMedia | None, Missing]:
    shape = node.choice("shape", ("wide", "long"))
    missing: Missing = "zero" if node.choice("missing", ("error", "zero"), "error") == "zero" else "error"
    channels: list[Channel] = []
    long = None
    if shape == "wide":
        group = node.child("channels", needed=True)
        for name in group.raw:
            column = group.child(str(name))
            channels.append(Channel(str(name), column.need("spend", str), column.get("impressions", str)))
            column.done()
        if not channels:
            raise JobError(f"{group.where} names no channel; give at least one as `name: {{spend: column}}`")
    else:
        long = LongMedia(node.need("channel", str), node.need("spend", str), node.get("impressions", str))
    node.done()
    return tuple(channels), long, missing


def _outcome(node: _Node) -> tuple[str | None, tuple[str, ...]]:
    customers = node.get("new_customers", str)
    revenue = node.get("revenue", (str, dict))
    columns: tuple[str, ...] = ()
    if isinstance(revenue, str):
        columns = (revenue,)
    elif revenue is not None:
        product = _Node(f"{node.where}.revenue", revenue)
        columns = tuple(product.need("multiply", list))
        product.done()
        if len(columns) != 2 or not all(isinstance(column, str) for column in columns):
            raise JobError(f"{product.where}.multiply is {list(columns)!r}; it takes two column names, such as [orders, price]")
    node.done()
    if customers is None and not columns:
        raise JobError(f"{node.where} names neither new_customers nor revenue; a model needs an outcome to explain")
    return customers, columns


def _controls(node: _Node) -> tuple[Control, ...]:
    controls = []
    for name in node.raw:
        raw = node.get(str(name), (str, dict))
        if isinstance(raw, str):
            controls.append(Control(str(name), raw))
            continue
        spec = _Node(f"{node.where}.{name}", raw)
        column = spec.need("column", str)
        one_hot = spec.child("one_hot", needed=True)
        none = one_hot.need("none", list)
        one_hot.done()
        spec.done()
        controls.append(Control(str(name), column, tuple(str(value) for value in none)))
    return tuple(controls)


def _scale(node: _Node) -> tuple[float, float, float]:
    factors = [float(node.get(key, (int, float), 1)) for key in ("spend", "revenue", "new_customers")]
    node.done()
    if any(factor <= 0 for factor in factors):
        raise JobError(f"{node.where} must hold factors above zero, such as 1000 for figures given in thousands")
    return factors[0], factors[1], factors[2]


def _check_columns(where: str, spec: CsvMap) -> None:
    roles = [spec.date_column, spec.geo_column, spec.currency_column, *spec.ignore]
    roles += [column for c in spec.channels for column in (c.spend, c.impressions)]
    roles += [spec.long.channel, spec.long.spend, spec.long.impressions] if spec.long else []
    roles += [control.column for control in spec.controls]
    roles += [spec.new_customers] if spec.new_customers else []
    # A KPI may be its own count and a factor of revenue (conversions × revenue per conversion).
    roles += [column for column in spec.revenue if column != spec.new_customers]
    used = [role for role in roles if role]
    twice = sorted({role for role in used if used.count(role) > 1})
    if twice:
        raise JobError(f"{where} gives the column {twice[0]!r} two meanings; a column has one")
    if spec.new_customers is not None and spec.revenue == (spec.new_customers,):
        raise JobError(f"{where} gives the column {spec.new_customers!r} two meanings; a column has one")


def parse_map(where: str, raw: object) -> CsvMap:
    """The map from its parsed YAML; ``where`` names it in errors. JobError names key, value and what is allowed."""
    top = _Node(where, raw)
    top.get("description", str)
    source = top.need("source", str)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", source) or source in RESERVED_SOURCES:
        raise JobError(
            f"{where}.source is {source!r}; it must be lower-case letters, digits and _ and not {' or '.join(RESERVED_SOURCES)}"
        )
    period = top.choice("period", ("daily", "weekly"))
    date_node = top.child("date", needed=True)
    date_column, date_format = date_node.need("column", str), date_node.need("format", str)
    if "%" not in date_format:
        raise JobError(f"{date_node.where}.format is {date_format!r}; write it with strftime codes, for example '%d/%m/%Y'")
    date_node.done()
    channels, long, missing = _media(top.child("media", needed=True))
    new_customers, revenue = _outcome(top.child("outcome", needed=True))
    currency = top.need("currency", (str, dict))
    currency_column = None
    if isinstance(currency, dict):
        currency_node = _Node(f"{where}.currency", currency)
        currency, currency_column = None, currency_node.need("column", str)
        currency_node.done()
    elif not re.fullmatch(r"[A-Z]{3}", currency):
        raise JobError(f"{where}.currency is {currency!r}; write an ISO 4217 code such as EUR, or {{column: name}}")
    scale_spend, scale_revenue, scale_new_customers = _scale(top.child("scale"))
    file = top.child("file")
    separator = file.choice("separator", (",", ";", "\t", "|"), ",")
    decimal = file.choice("decimal", (".", ","), ".")
    file.done()
    controls = _controls(top.child("controls"))
    geo_column = top.get("geo", str)
    ignore = tuple(str(column) for column in top.get("ignore", list, []))
    top.done()
    spec = CsvMap(
        source=source,
        period="daily" if period == "daily" else "weekly",
        date_column=date_column,
        date_format=date_format,
        geo_column=geo_column,
        channels=channels,
        long=long,
        missing=missing,
        new_customers=new_customers,
        revenue=revenue,
        controls=controls,
        currency=currency,
        currency_column=currency_column,
        scale_spend=scale_spend,
        scale_revenue=scale_revenue,
        scale_new_customers=scale_new_customers,
        ignore=ignore,
        separator=separator,
        decimal=decimal,
    )
    _check_columns(where, spec)
    return spec


def shipped_maps() -> dict[str, str]:
    """Name → description of every map that comes with AELP2."""
    return {
        path.stem: str(yaml.safe_load(path.read_text(encoding="utf-8"))["description"]).strip()
        for path in sorted(MAPS.glob("*.yaml"))
    }


def load_map(name: str) -> CsvMap:
    """The map at path ``name``, or the shipped map of that name."""
    path = Path(name)
    if not path.is_file():
        path = MAPS / f"{name}.yaml"
        if "/" in name or not path.is_file():
            raise JobError(f"no map {name!r}: neither a file nor one of the shipped maps {', '.join(shipped_maps())}")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise JobError(f"{path.name} is not valid YAML: {' '.join(str(error).split())}") from error
    return parse_map(path.name, raw)
