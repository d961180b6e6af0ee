"""Channel of a session by the rule table ``channel_groups.yaml``: one Polars expression, the same for every reader.

Campaign names are hashed in the warehouse, so what a rule asks of a name is derived before hashing (``campaign_label``), as
brand and non-brand are for ad campaigns.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.errors import JobError

if TYPE_CHECKING:
    import polars as pl

FILE = Path(__file__).with_suffix(".yaml")
CLICK_IDS = ("gclid", "gbraid", "wbraid", "ttclid", "li_fat_id", "fbclid")
# What a campaign's clear name says that a rule asks for: the label kept beside its hash, and the words that set it.
CAMPAIGN_LABELS = {"cross-network": "cross-network", "shopping": "^(.*(([^a-df-z]|^)shop|shopping).*)$"}
_KEYS = {"source_is", "source_list", "medium_is", "medium_matches", "campaign_matches"}


@dataclass(frozen=True)
class Rule:
    """``channel`` fits if all conditions of one alternative do."""

    channel: str
    alternatives: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class RuleTable:
    """The rules in order, the site lists as regular expressions, what each click id means."""

    rules: tuple[Rule, ...]
    sites: dict[str, str]
    click_ids: dict[str, tuple[str, str]]
    unmatched: str

    @property
    def channels(self) -> tuple[str, ...]:
        """Every channel a session can get."""
        return (*(rule.channel for rule in self.rules), self.unmatched)


def _rules(raw: dict[str, Any], lists: dict[str, Any]) -> Iterator[Rule]:
    for rule in raw["rules"]:
        for alternative in rule["any"]:
            unknown = set(alternative) - _KEYS
            if unknown or alternative.get("source_list", next(iter(lists))) not in lists:
                raise JobError(f"{FILE.name}: rule {rule['channel']!r} uses unknown keys {sorted(unknown)} or an unknown list")
            asked = alternative.get("campaign_matches")
            if asked is not None and asked not in CAMPAIGN_LABELS.values():
                raise JobError(
                    f"{FILE.name}: rule {rule['channel']!r} asks {asked!r} of a name, which has no label before hashing"
                )
        yield Rule(rule["channel"], tuple(rule["any"]))


@functools.cache
def load_rules() -> RuleTable:
    """The rule table; JobError on an unknown condition or list."""
    import yaml

    raw = yaml.load(FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    lists = raw["lists"]
    sites = {name: rf"(^|\.)({'|'.join(re.escape(str(site)) for site in values)})(\.|$)" for name, values in lists.items()}
    clicks = {name: (str(to["source"]), str(to["medium"])) for name, to in raw["click_ids"].items()}
    if tuple(clicks) != CLICK_IDS:
        raise JobError(f"{FILE.name}: click_ids must be {', '.join(CLICK_IDS)}, in this order")
    return RuleTable(tuple(_rules(raw, lists)), sites, clicks, str(raw["unmatched"]))


def campaign_label(name: pl.Expr) -> pl.Expr:
    """The labels a clear campaign name earns, separated by commas; null if none. Taken before the name is hashed."""
    import polars as pl

    lower = name.str.to_lowercase()
    found = [pl.when(lower.str.contains(words)).then(pl.lit(label)) for label, words in CAMPAIGN_LABELS.items()]
    joined = pl.concat_str(found, separator=",", ignore_nulls=True)
    return pl.when(joined != "").then(joined)


def source_and_medium() -> tuple[pl.Expr, pl.Expr]:
    """Columns source and medium as the rules see them: what a click id says where both are absent, else (direct) and (none)."""
    import polars as pl

    known = pl.col("source").is_not_null() | pl.col("medium").is_not_null()
    clicks = load_rules().click_ids
    parts = []
    for column, place, nothing in (("source", 0, "(direct)"), ("medium", 1, "(none)")):
        by_click = [pl.when(~known & pl.col(name).is_not_null()).then(pl.lit(says[place])) for name, says in clicks.items()]
        parts.append(pl.coalesce(pl.col(column).str.to_lowercase(), *by_click, pl.lit(nothing)))
    return parts[0], parts[1]


def channel_group() -> pl.Expr:
    """Channel from the columns source, medium, campaign_label and the click ids (all STRING, null where absent)."""
    import polars as pl

    table = load_rules()
    source, medium = source_and_medium()
    labels = pl.col("campaign_label").fill_null("").str.split(",")
    label_of = {words: label for label, words in CAMPAIGN_LABELS.items()}

    def condition(key: str, value: Any) -> pl.Expr:
        subject = source if key.startswith("source") else medium
        if key == "campaign_matches":
            return labels.list.contains(label_of[value])
        if key == "source_list":
            return subject.str.contains(table.sites[value])
        return subject.is_in(value) if key.endswith("_is") else subject.str.contains(value)

    result: Any = pl
    for rule in table.rules:
        fits = [pl.all_horizontal(condition(k, v) for k, v in alternative.items()) for alternative in rule.alternatives]
        result = result.when(pl.any_horizontal(fits)).then(pl.lit(rule.channel))
    expression: pl.Expr = result.otherwise(pl.lit(table.unmatched))
    return expression
