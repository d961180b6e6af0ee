"""Money as integer micros. Every rounding here goes to the side that moves less money."""

import unicodedata
from decimal import Decimal
from fractions import Fraction

MICROS = 1_000_000
PLATFORM_UNIT_MICROS = 10_000  # the smallest step Google Ads takes: one hundredth of a currency unit
LARGEST_MICROS = 2**53 - 1  # the largest integer that every JSON reader keeps exact (RFC 8785 §3.2.2.3)


def check_micros(name: str, value: object) -> int:
    """``value`` if it is a whole, non-negative amount; TypeError on a float or bool, ValueError out of range."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); amounts are integer micros, never floats")
    if not 0 <= value <= LARGEST_MICROS:
        raise ValueError(f"{name} is {value}; an amount lies between 0 and {LARGEST_MICROS} micros")
    return value


def pct_floor(amount_micros: int, pct: Decimal) -> int:
    """Largest whole number of micros that is at most ``pct`` percent of ``amount_micros``, computed exactly."""
    return int(Fraction(amount_micros) * Fraction(pct) / 100 // 1)


def round_down(amount_micros: int, unit_micros: int) -> int:
    """Largest multiple of ``unit_micros`` that is at most the amount."""
    return amount_micros // unit_micros * unit_micros


def round_up(amount_micros: int, unit_micros: int) -> int:
    """Smallest multiple of ``unit_micros`` that is at least the amount."""
    return -(-amount_micros // unit_micros) * unit_micros


def format_micros(amount_micros: int, currency_code: str) -> str:
    """The amount for a person, for example ``1,234.56 USD``; digits beyond cents are shown only where there are some."""
    sign = "-" if amount_micros < 0 else ""
    whole, rest = divmod(abs(amount_micros), MICROS)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole:,}.{decimals} {currency_code}"


def same_person(one: str, other: str) -> bool:
    """True if two names mean one person: case, width, white space and invisible characters do not make another one."""

    def plain(name: str) -> str:
        visible = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
        return " ".join(visible.casefold().split())

    return plain(one) == plain(other)
