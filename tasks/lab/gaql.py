"""A small parser of the Google Ads Query Language: enough to run a query, strict enough to refuse what the API refuses."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NoReturn

from tasks.lab.api_errors import query_error

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")"
    r"|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<word>[A-Za-z_][\w.]*)"
    r"|(?P<symbol>!=|>=|<=|=|>|<|\(|\)|,))"
)
_CLAUSES = {"SELECT", "FROM", "WHERE", "ORDER", "LIMIT", "PARAMETERS"}
Value = str | float | tuple[str, ...]


@dataclass(frozen=True)
class Condition:
    """``field operator value``; lists and BETWEEN bounds are tuples of text."""

    field: str
    operator: str  # = != > >= < <= IN, NOT IN, LIKE, NOT LIKE, BETWEEN, DURING, IS NULL, IS NOT NULL
    value: Value


@dataclass(frozen=True)
class Query:
    """A parsed query; nothing has been checked against the catalogue yet."""

    fields: tuple[str, ...]
    resource: str
    conditions: tuple[Condition, ...]
    order_by: tuple[tuple[str, bool], ...]  # field, descending
    limit: int | None


class _Tokens:
    def __init__(self, text: str) -> None:
        self.items: list[tuple[str, str]] = []
        position, end = 0, len(text.rstrip().rstrip(";"))
        while position < end:
            match = _TOKEN.match(text, position, end)
            if match is None:
                rest = text[position:end].lstrip()
                if rest[:1] in "'\"":
                    raise query_error("STRING_NOT_TERMINATED", f"Error in query: string not terminated: {rest[:40]}")
                raise query_error("BAD_SYMBOL", f"Error in query: unexpected symbol {rest[:1]!r}.")
            kind = match.lastgroup or ""
            self.items.append((kind, match.group(kind)))
            position = match.end()
        self.at = 0

    def peek(self) -> tuple[str, str]:
        return self.items[self.at] if self.at < len(self.items) else ("end", "")

    def next(self) -> tuple[str, str]:
        item = self.peek()
        if item[0] == "end":
            raise query_error("UNEXPECTED_END_OF_QUERY", "Error in query: unexpected end of query.")
        self.at += 1
        return item

    def is_word(self, *words: str) -> bool:
        kind, text = self.peek()
        return kind == "word" and text.upper() in words

    def take_word(self, *words: str) -> bool:
        found = self.is_word(*words)
        self.at += found
        return found

    def take_symbol(self, symbol: str) -> bool:
        found = self.peek() == ("symbol", symbol)
        self.at += found
        return found


def _refuse(tokens: _Tokens, code: str = "UNEXPECTED_INPUT") -> NoReturn:
    kind, text = tokens.peek()
    if kind == "end":
        raise query_error("UNEXPECTED_END_OF_QUERY", "Error in query: unexpected end of query.")
    raise query_error(code, f"Error in query: unexpected input {text}.")


def parse(text: str) -> Query:
    """The query in ``text``.

    Raises:
        ApiError: a ``QueryError`` with the code that the API gives for the mistake.
    """
    tokens = _Tokens(text)
    if not tokens.take_word("SELECT"):
        raise query_error("EXPECTED_SELECT", "Error in query: query must start with SELECT.")
    fields = [_field(tokens)]
    while tokens.take_symbol(","):
        fields.append(_field(tokens))
    if not tokens.take_word("FROM"):
        raise query_error("EXPECTED_FROM", "Error in query: expected FROM after the fields.")
    resource = _field(tokens)
    conditions: list[Condition] = []
    if tokens.take_word("WHERE"):
        conditions.append(_condition(tokens))
        while tokens.take_word("AND"):
            conditions.append(_condition(tokens))
    order_by: list[tuple[str, bool]] = []
    if tokens.take_word("ORDER"):
        if not tokens.take_word("BY"):
            raise query_error("EXPECTED_BY", "Error in query: expected BY after ORDER.")
        order_by.append(_ordering(tokens))
        while tokens.take_symbol(","):
            order_by.append(_ordering(tokens))
    limit = None
    if tokens.take_word("LIMIT"):
        kind, number = tokens.next()
        if kind != "number" or not number.isdigit():
            raise query_error("BAD_LIMIT_VALUE", f"Error in query: LIMIT must be a whole number, not {number}.")
        if (limit := int(number)) < 1:
            raise query_error("LIMIT_VALUE_TOO_LOW", "Error in query: LIMIT must be at least 1.")
    if tokens.take_word("PARAMETERS"):
        _parameters(tokens)
    if tokens.peek()[0] != "end":
        _refuse(tokens)
    return Query(tuple(fields), resource, tuple(conditions), tuple(order_by), limit)


def _field(tokens: _Tokens) -> str:
    kind, text = tokens.peek()
    if kind != "word" or text.upper() in _CLAUSES:
        _refuse(tokens, "BAD_FIELD_NAME")
    tokens.at += 1
    return text


def _ordering(tokens: _Tokens) -> tuple[str, bool]:
    name = _field(tokens)
    if tokens.take_word("DESC"):
        return name, True
    tokens.take_word("ASC")
    return name, False


def _parameters(tokens: _Tokens) -> None:
    known = {"include_drafts", "omit_unselected_resource_names"}
    while True:
        name = _field(tokens)
        if name not in known:
            raise query_error("BAD_PARAMETER_NAME", f"Error in query: no parameter {name}.")
        if not tokens.take_symbol("=") or not tokens.take_word("TRUE", "FALSE"):
            raise query_error("BAD_PARAMETER_VALUE", f"Error in query: parameter {name} must be true or false.")
        if not tokens.take_symbol(","):
            return


def _literal(tokens: _Tokens) -> str | float:
    kind, text = tokens.next()
    if kind == "string":
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if kind == "number":
        return float(text)
    if kind == "word" and text.upper() not in _CLAUSES:
        return text
    raise query_error("BAD_VALUE", f"Error in query: {text} is no value.")


def _list(tokens: _Tokens) -> tuple[str, ...]:
    if not tokens.take_symbol("("):
        raise query_error("EXPECTED_LIST", "Error in query: expected a list in parentheses.")
    if tokens.take_symbol(")"):
        raise query_error("PROHIBITED_EMPTY_LIST_IN_CONDITION", "Error in query: the list is empty.")
    values = [as_text(_literal(tokens))]
    while tokens.take_symbol(","):
        values.append(as_text(_literal(tokens)))
    if not tokens.take_symbol(")"):
        _refuse(tokens)
    return tuple(values)


def _condition(tokens: _Tokens) -> Condition:
    name = _field(tokens)
    kind, text = tokens.next()
    if kind == "symbol" and text in {"=", "!=", ">", ">=", "<", "<="}:
        return Condition(name, text, _literal(tokens))
    operator = text.upper()
    if operator == "IS":
        negated = tokens.take_word("NOT")
        if not tokens.take_word("NULL"):
            _refuse(tokens)
        return Condition(name, "IS NOT NULL" if negated else "IS NULL", "")
    if operator == "NOT":
        operator = f"NOT {tokens.next()[1].upper()}"
    if operator in {"IN", "NOT IN"}:
        return Condition(name, operator, _list(tokens))
    if operator in {"LIKE", "NOT LIKE", "DURING"}:
        return Condition(name, operator, as_text(_literal(tokens)))
    if operator == "BETWEEN":
        low = as_text(_literal(tokens))
        if not tokens.take_word("AND"):
            raise query_error("EXPECTED_AND", "Error in query: expected AND in BETWEEN.")
        return Condition(name, operator, (low, as_text(_literal(tokens))))
    raise query_error("BAD_OPERATOR", f"Error in query: {text} is no operator.")


def as_text(value: object) -> str:
    """A literal as the text it was written as; whole numbers without a fraction."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def during(name: str, today: date) -> tuple[date, date]:
    """First and last day of a date range literal, both included, seen from ``today``."""
    yesterday = today - timedelta(days=1)
    monday = today - timedelta(days=today.weekday())
    month = today.replace(day=1)
    last_month_end = month - timedelta(days=1)
    ranges = {
        "TODAY": (today, today),
        "YESTERDAY": (yesterday, yesterday),
        "LAST_7_DAYS": (today - timedelta(days=7), yesterday),
        "LAST_14_DAYS": (today - timedelta(days=14), yesterday),
        "LAST_30_DAYS": (today - timedelta(days=30), yesterday),
        "THIS_MONTH": (month, today),
        "LAST_MONTH": (last_month_end.replace(day=1), last_month_end),
        "THIS_WEEK_MON_TODAY": (monday, today),
        "LAST_WEEK_MON_SUN": (monday - timedelta(days=7), monday - timedelta(days=1)),
    }
    if name.upper() not in ranges:
        raise query_error("INVALID_VALUE_WITH_DURING_OPERATOR", f"Error in query: {name} is no date range.")
    return ranges[name.upper()]
