"""The parser accepts what the API accepts and names mistakes by the API's own codes."""

from datetime import date

import pytest

from tasks.lab.api_errors import ApiError
from tasks.lab.checks import matches
from tasks.lab.gaql import Condition, during, parse


def test_a_query_with_every_clause() -> None:
    query = parse(
        """SELECT campaign.id, metrics.clicks FROM campaign
        WHERE segments.date BETWEEN '2025-01-01' AND '2025-01-31' AND campaign.status IN ('ENABLED', PAUSED)
          AND metrics.clicks >= 10 AND campaign.name NOT LIKE '%Brand%' AND campaign.name IS NOT NULL
        ORDER BY metrics.clicks DESC, campaign.id LIMIT 5 PARAMETERS omit_unselected_resource_names = true"""
    )
    assert query.fields == ("campaign.id", "metrics.clicks")
    assert query.resource == "campaign"
    assert query.conditions == (
        Condition("segments.date", "BETWEEN", ("2025-01-01", "2025-01-31")),
        Condition("campaign.status", "IN", ("ENABLED", "PAUSED")),
        Condition("metrics.clicks", ">=", 10.0),
        Condition("campaign.name", "NOT LIKE", "%Brand%"),
        Condition("campaign.name", "IS NOT NULL", ""),
    )
    assert query.order_by == (("metrics.clicks", True), ("campaign.id", False))
    assert query.limit == 5


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FROM campaign", "EXPECTED_SELECT"),
        ("SELECT campaign.id", "EXPECTED_FROM"),
        ("SELECT campaign.id, FROM campaign", "BAD_FIELD_NAME"),
        ("SELECT campaign.id FROM campaign WHERE", "UNEXPECTED_END_OF_QUERY"),
        ("SELECT campaign.id FROM campaign WHERE campaign.id ~ 3", "BAD_SYMBOL"),
        ("SELECT campaign.id FROM campaign WHERE campaign.id NEAR 3", "BAD_OPERATOR"),
        ("SELECT campaign.id FROM campaign WHERE campaign.name = 'open", "STRING_NOT_TERMINATED"),
        ("SELECT campaign.id FROM campaign WHERE campaign.id IN ()", "PROHIBITED_EMPTY_LIST_IN_CONDITION"),
        ("SELECT campaign.id FROM campaign WHERE campaign.id IN 3", "EXPECTED_LIST"),
        ("SELECT campaign.id FROM campaign WHERE campaign.id BETWEEN 1 3", "EXPECTED_AND"),
        ("SELECT campaign.id FROM campaign ORDER campaign.id", "EXPECTED_BY"),
        ("SELECT campaign.id FROM campaign LIMIT many", "BAD_LIMIT_VALUE"),
        ("SELECT campaign.id FROM campaign LIMIT 0", "LIMIT_VALUE_TOO_LOW"),
        ("SELECT campaign.id FROM campaign PARAMETERS nonsense = true", "BAD_PARAMETER_NAME"),
        ("SELECT campaign.id FROM campaign GROUP BY campaign.id", "UNEXPECTED_INPUT"),
    ],
)
def test_a_mistake_has_the_code_of_the_api(text: str, code: str) -> None:
    with pytest.raises(ApiError) as error:
        parse(text)
    assert [p.code for p in error.value.problems] == [code]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("YESTERDAY", (date(2026, 2, 25), date(2026, 2, 25))),
        ("LAST_7_DAYS", (date(2026, 2, 19), date(2026, 2, 25))),
        ("LAST_30_DAYS", (date(2026, 1, 27), date(2026, 2, 25))),
        ("THIS_MONTH", (date(2026, 2, 1), date(2026, 2, 26))),
        ("LAST_MONTH", (date(2026, 1, 1), date(2026, 1, 31))),
        ("LAST_WEEK_MON_SUN", (date(2026, 2, 16), date(2026, 2, 22))),
    ],
)
def test_date_ranges_exclude_today_unless_they_say_so(name: str, expected: tuple[date, date]) -> None:
    assert during(name, date(2026, 2, 26)) == expected


@pytest.mark.parametrize(
    ("value", "condition", "expected"),
    [
        ("US | Search | Brand", Condition("x", "LIKE", "%brand%"), True),
        ("50% off", Condition("x", "LIKE", "50[%]%"), True),
        ("505 off", Condition("x", "LIKE", "50[%]%"), False),
        (True, Condition("x", "=", "TRUE"), True),
        (False, Condition("x", "!=", "false"), False),
        (True, Condition("x", "IN", ("true",)), True),
        (7006, Condition("x", "IN", ("7005", "7006")), True),
        (7006, Condition("x", "BETWEEN", ("7000", "7005")), False),
        (None, Condition("x", ">", 1.0), False),
        ("", Condition("x", "IS NULL", ""), True),
    ],
)
def test_conditions_compare_as_the_field_s_type(value: object, condition: Condition, expected: bool) -> None:
    assert matches(value, condition) is expected
