"""Meta's amounts of budgets: whole minor units, hundredths in most currencies, whole units in some."""

from __future__ import annotations

from tasks.core.errors import JobError

# https://developers.facebook.com/docs/marketing-api/currencies: those with offset 1. HUF, IDR, TWD and others have hundredths
# elsewhere.
_WHOLE = frozenset({"CLP", "COP", "CRC", "HUF", "ISK", "IDR", "JPY", "KRW", "PYG", "TWD", "VND"})
MICROS = 1_000_000


def micros_of(minor: int, currency: str) -> int:
    """Micros of an amount that Meta gave."""
    return minor * _unit(currency)


def minor_of(micros: int, currency: str) -> int:
    """The amount as Meta takes it; JobError if it is no whole number of minor units."""
    whole, rest = divmod(micros, _unit(currency))
    if rest:
        unit = f"{_unit(currency) / MICROS:g} {currency}"
        raise JobError(f"a budget of {micros / MICROS:g} {currency} is no multiple of {unit}, Meta's unit; give a rounder amount")
    return whole


def _unit(currency: str) -> int:
    return MICROS if currency in _WHOLE else MICROS // 100
