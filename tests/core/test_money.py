"""Money as integer micros: exact percentages, roundings that move less, who is one person."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.money import LARGEST_MICROS, check_micros, format_micros, pct_floor, round_down, round_up, same_person

AMOUNTS = st.integers(0, LARGEST_MICROS)
PERCENT = st.decimals(0, 200, allow_nan=False, allow_infinity=False, places=6)


@given(AMOUNTS, PERCENT)
def test_a_percentage_is_exact_and_never_more(amount: int, pct: Decimal) -> None:
    """The result is the largest whole number within the percentage: one more micro would pass it (M2, M3)."""
    exact = Fraction(amount) * Fraction(pct) / 100
    assert pct_floor(amount, pct) <= exact < pct_floor(amount, pct) + 1


def test_floats_would_be_wrong_here() -> None:
    """At the upper end of amounts a float product is a micro too much; the exact one is not."""
    amount = 8_999_999_999_999_999
    assert pct_floor(amount, Decimal(7)) == amount * 7 // 100
    assert int(amount * 0.07) != amount * 7 // 100


@given(AMOUNTS, st.sampled_from([1, 10_000, 1_000_000]))
def test_roundings_bracket_the_amount(amount: int, unit: int) -> None:
    """Down and up are the neighbouring multiples of the unit, equal only for a multiple."""
    low, high = round_down(amount, unit), round_up(amount, unit)
    assert low <= amount <= high
    assert (low % unit, high % unit) == (0, 0)
    assert high - low == (0 if amount % unit == 0 else unit)


@pytest.mark.parametrize("value", [1.0, True, "1", None, Decimal(1)])
def test_only_whole_numbers_are_amounts(value: object) -> None:
    """A float, a bool or a text is no amount, also where its value is whole."""
    with pytest.raises(TypeError, match="integer micros"):
        check_micros("amount", value)


@pytest.mark.parametrize("value", [-1, LARGEST_MICROS + 1])
def test_amounts_lie_in_the_range_that_json_keeps(value: int) -> None:
    """Negative amounts and such beyond 2^53 − 1 are refused."""
    with pytest.raises(ValueError, match="lies between"):
        check_micros("amount", value)


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (1_234_560_000, "1,234.56 USD"),
        (0, "0.00 USD"),
        (-5_000_000, "-5.00 USD"),
        (10_000, "0.01 USD"),
        (1, "0.000001 USD"),
        (-1_500_001, "-1.500001 USD"),
    ],
)
def test_amounts_for_a_person(micros: int, text: str) -> None:
    """Cents always, finer digits only where there are some, the sign in front."""
    assert format_micros(micros, "USD") == text


@pytest.mark.parametrize(
    "other",
    [
        "maria lopez",
        "MARIA  LOPEZ",
        " Maria\tLopez\n",
        "\uff2daria Lopez",
        "Maria\u200b Lopez",
        "\u202eMaria Lopez",
        "Ma\u00adria Lopez",
    ],
)
def test_one_person_however_the_name_is_written(other: str) -> None:
    """Case, width, white space and invisible characters make no second person who could approve the first one's proposal."""
    assert same_person("Maria Lopez", other)


def test_other_names_are_other_people() -> None:
    """And a name of invisible characters is no name."""
    assert not same_person("maria", "mario")
    assert same_person("\u200b \u2060", "")
