"""The dialect layer gives what Google's reference evaluator gives, expression by expression and query by query."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from sql.zetasql_analyser import evaluate

from tasks.core.warehouse.dialect import to_duckdb

pytestmark = pytest.mark.slow

# One table of awkward values: nulls, negatives, halves, year ends, leap days, text that is nearly a number.
TABLE = """
WITH t AS (
  SELECT 1 AS k, 7 AS i, 2 AS j, 2.5 AS x, 1.25 AS y, 'Alpha' AS s, '12' AS n, DATE '2024-02-29' AS d, DATE '2023-12-31' AS e,
    TIMESTAMP '2024-02-29 23:59:59.999999+00' AS u, TIMESTAMP '2024-02-28 22:00:00+00' AS v, TRUE AS b, [3, 1, 2] AS a,
    '{"a": {"b": [1, "x"]}, "c": null, "d": 1.50, "e": true}' AS z
  UNION ALL SELECT 2, -7, 2, -2.5, 3.0, 'beta, Gamma', ' -5 ', DATE '2026-01-01', DATE '2026-01-05',
    TIMESTAMP '2026-01-01 00:00:00+00', TIMESTAMP '2026-01-01 00:59:59+00', FALSE, [5], '{"a": {"b": []}}'
  UNION ALL SELECT 3, NULL, 3, NULL, -0.5, NULL, NULL, NULL, DATE '2025-03-30',
    NULL, TIMESTAMP '2025-03-30 01:30:00+00', NULL, [0, 0], 'not json'
  UNION ALL SELECT 4, 0, -3, 0.5, 1e300, '', '0x1F', DATE '2021-01-03', DATE '2020-12-28',
    TIMESTAMP '1969-12-31 23:00:00.5+00', TIMESTAMP '1970-01-01 00:00:00+00', TRUE, [9, 8, 7, 6], '[]'
)
"""

EXPRESSIONS = """
i + j
i - j * 3
i * x
x * 1.1
0.1 + 0.2
1.1 * 1.1
i / j
x / y
SAFE_DIVIDE(i, j - 2)
SAFE_DIVIDE(x, y)
DIV(i, j)
MOD(i, j)
MOD(i + 1, j - 9)
-i
ABS(x)
ABS(i)
ROUND(x)
ROUND(x, 1)
ROUND(y * 100.5, 2)
ROUND(i)
CEIL(x)
FLOOR(x)
FLOOR(i)
TRUNC(x)
SQRT(ABS(x))
LN(ABS(x) + 1)
EXP(x)
POW(x, 2)
POW(ABS(x), 0.5)
GREATEST(i, j)
LEAST(i, j, 1)
CAST(x AS INT64)
CAST(i AS STRING)
CAST(d AS STRING)
CAST(b AS STRING)
CAST(i AS FLOAT64)
CAST(n AS INT64)
CAST(b AS INT64)
SAFE_CAST(n AS INT64)
SAFE_CAST(s AS INT64)
SAFE_CAST('12.7' AS INT64)
SAFE_CAST('yes' AS BOOL)
SAFE_CAST('TRUE' AS BOOL)
SAFE_CAST('' AS INT64)
SAFE_CAST(s AS FLOAT64)
SAFE_CAST('2026-13-01' AS DATE)
SAFE_CAST('2026-1-5' AS DATE)
CAST('2026-01-05' AS DATE)
CAST('0xff' AS INT64)
MOD(CAST(CONCAT('0x', SUBSTR(TO_HEX(MD5(s)), 1, 8)) AS INT64), 100)
IF(b, i, j)
IFNULL(i, -1)
COALESCE(i, j, 0)
NULLIF(j, 2)
CASE WHEN x > 1 THEN 'big' WHEN x IS NULL THEN 'none' ELSE 'small' END
CASE j WHEN 2 THEN 'two' ELSE 'other' END
i = 7 OR b
NOT b
b AND i > 0
x BETWEEN 0 AND 2.5
i IN (7, 0)
i NOT IN (7, 0)
i IN (7, NULL)
j IN UNNEST(a)
i IN UNNEST([7, NULL])
i IS DISTINCT FROM j
s LIKE '%a'
CONCAT(s, '-', n)
s || n
UPPER(s)
LOWER(s)
LENGTH(s)
SUBSTR(s, 2, 3)
SUBSTR(s, 3)
REPLACE(s, 'a', 'o')
STARTS_WITH(s, 'Al')
ENDS_WITH(s, 'a')
SPLIT(s, ',')
REGEXP_CONTAINS(s, r'^[A-Z]')
REGEXP_CONTAINS(s, 'et')
TO_HEX(SHA256(s))
TO_HEX(MD5(s))
JSON_VALUE(z, '$.a.b[1]')
JSON_VALUE(z, '$.a')
JSON_VALUE(z, '$.c')
JSON_VALUE(z, '$.e')
a[SAFE_OFFSET(0)]
a[SAFE_OFFSET(3)]
a[SAFE_ORDINAL(1)]
ARRAY_LENGTH(a)
ARRAY(SELECT q * 2 FROM UNNEST(a) AS q ORDER BY q)
EXISTS(SELECT 1 FROM UNNEST(a) AS q WHERE q > 5)
(SELECT SUM(q) FROM UNNEST(a) AS q)
GENERATE_ARRAY(1, ABS(j))
GENERATE_DATE_ARRAY(DATE '2026-01-30', DATE '2026-02-02')
GENERATE_DATE_ARRAY(DATE '2026-01-01', DATE '2026-02-02', INTERVAL 1 WEEK)
GENERATE_DATE_ARRAY(d, DATE_ADD(d, INTERVAL 2 DAY))
DATE_TRUNC(d, MONTH)
DATE_TRUNC(d, WEEK(MONDAY))
DATE_TRUNC(d, ISOWEEK)
DATE_TRUNC(d, QUARTER)
DATE_TRUNC(d, YEAR)
DATE_ADD(d, INTERVAL 1 DAY)
DATE_ADD(d, INTERVAL j MONTH)
DATE_ADD(d, INTERVAL -1 YEAR)
DATE_ADD(d, INTERVAL 1 QUARTER)
DATE_SUB(d, INTERVAL 2 WEEK)
DATE_SUB(d, INTERVAL j - 1 DAY)
DATE_DIFF(d, e, DAY)
DATE_DIFF(d, e, WEEK(MONDAY))
DATE_DIFF(d, e, ISOWEEK)
DATE_DIFF(d, e, MONTH)
DATE_DIFF(d, e, QUARTER)
DATE_DIFF(d, e, YEAR)
LAST_DAY(d)
LAST_DAY(d, MONTH)
EXTRACT(DAYOFWEEK FROM d)
EXTRACT(ISOWEEK FROM d)
EXTRACT(ISOYEAR FROM d)
EXTRACT(DAYOFYEAR FROM d)
EXTRACT(QUARTER FROM d)
EXTRACT(DAY FROM d)
EXTRACT(HOUR FROM u)
EXTRACT(SECOND FROM u)
EXTRACT(DATE FROM u)
DATE(u)
DATE(u, 'Europe/Berlin')
DATE(v, 'America/New_York')
DATE(2026, 2, 3)
UNIX_DATE(d)
UNIX_MICROS(u)
UNIX_MICROS(TIMESTAMP_MICROS(UNIX_MICROS(u)))
UNIX_MICROS(TIMESTAMP_SECONDS(1000 + k))
UNIX_MICROS(TIMESTAMP_MILLIS(1500))
TIMESTAMP_DIFF(u, v, HOUR)
TIMESTAMP_DIFF(v, u, HOUR)
TIMESTAMP_DIFF(u, v, DAY)
TIMESTAMP_DIFF(u, v, SECOND)
TIMESTAMP_DIFF(u, v, MICROSECOND)
UNIX_MICROS(TIMESTAMP_ADD(u, INTERVAL 90 MINUTE))
UNIX_MICROS(TIMESTAMP_ADD(u, INTERVAL 1 DAY))
UNIX_MICROS(TIMESTAMP_SUB(u, INTERVAL j SECOND))
UNIX_MICROS(TIMESTAMP_SUB(u, INTERVAL 5 MILLISECOND))
UNIX_MICROS(TIMESTAMP_TRUNC(u, HOUR))
UNIX_MICROS(TIMESTAMP_TRUNC(u, DAY))
UNIX_MICROS(TIMESTAMP_TRUNC(u, MONTH))
PARSE_DATE('%Y-%m-%d', '2026-1-5')
PARSE_DATE('%Y%m%d', '20260105')
FORMAT_DATE('%Y-%m', d)
FORMAT_DATE('%d.%m.%Y', d)
STRUCT(i AS p, s AS q)
IS_NAN(x)
SUM(i) OVER (ORDER BY k)
AVG(x) OVER (ORDER BY k ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
SUM(y) OVER (ORDER BY UNIX_DATE(e) RANGE BETWEEN 400 PRECEDING AND CURRENT ROW)
ROW_NUMBER() OVER (ORDER BY i DESC)
RANK() OVER (ORDER BY j)
DENSE_RANK() OVER (ORDER BY j DESC)
NTILE(2) OVER (ORDER BY k)
PERCENT_RANK() OVER (ORDER BY k)
CUME_DIST() OVER (ORDER BY j)
LAG(i) OVER (ORDER BY k)
LEAD(i, 2, 99) OVER (ORDER BY k)
FIRST_VALUE(i) OVER (ORDER BY x)
FIRST_VALUE(i IGNORE NULLS) OVER (ORDER BY x)
LAST_VALUE(i IGNORE NULLS) OVER (ORDER BY k)
PERCENTILE_CONT(x, 0.5) OVER ()
PERCENTILE_CONT(y, 0.9) OVER (PARTITION BY j)
""".strip().splitlines()

QUERIES = """
SELECT SUM(i) AS v, SUM(x) AS w, AVG(i) AS a, COUNT(*) AS c, COUNT(i) AS n, COUNT(DISTINCT j) AS q FROM t
SELECT COUNTIF(i > 0) AS p, MIN(d) AS lo, MAX(s) AS hi FROM t
SELECT SUM(i) AS v, COUNT(*) AS c, MAX(x) AS m, COUNTIF(b) AS f FROM t WHERE k > 99
SELECT j, SUM(i) AS v FROM t GROUP BY j ORDER BY v
SELECT j, SUM(i) AS v FROM t GROUP BY j ORDER BY v DESC
SELECT j, COUNT(*) AS n FROM t GROUP BY j HAVING COUNT(*) > 1
SELECT LOGICAL_OR(b) AS p, LOGICAL_AND(b) AS q FROM t
SELECT STDDEV(y) AS a, STDDEV_SAMP(x) AS b, STDDEV_POP(x) AS c, VARIANCE(x) AS d FROM t WHERE k < 4
SELECT STDDEV_SAMP(x) AS b FROM t WHERE k = 1
SELECT STRING_AGG(s, '|' ORDER BY k DESC) AS v, STRING_AGG(DISTINCT n, ',' ORDER BY n) AS w FROM t
SELECT ARRAY_AGG(j ORDER BY k) AS v, ARRAY_AGG(i IGNORE NULLS) AS w FROM t WHERE k IN (1, 3)
SELECT ARRAY_AGG(STRUCT(k AS k, s AS s) ORDER BY i DESC) AS v FROM t
SELECT k, i FROM t ORDER BY i
SELECT k, i FROM t ORDER BY i DESC
SELECT k FROM t WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY j ORDER BY k DESC) = 1 ORDER BY k
SELECT k, q FROM t, UNNEST(a) AS q ORDER BY k, q
SELECT k, q FROM t LEFT JOIN UNNEST(IF(k = 2, [], a)) AS q ORDER BY k, q
SELECT DATE_TRUNC(d, MONTH) AS m, COUNT(*) AS n FROM t GROUP BY m ORDER BY m
SELECT day FROM UNNEST(GENERATE_DATE_ARRAY(DATE '2026-02-27', DATE '2026-03-01')) AS day ORDER BY day
SELECT k FROM t UNION ALL SELECT j FROM t ORDER BY 1
SELECT j FROM t UNION DISTINCT SELECT 2 ORDER BY 1
SELECT j FROM t EXCEPT DISTINCT SELECT 2 ORDER BY 1
SELECT l.k, r.k AS o FROM t AS l LEFT JOIN t AS r ON l.k = r.i ORDER BY l.k
SELECT l.k, r.k AS o FROM t AS l FULL JOIN (SELECT k + 2 AS k FROM t) AS r USING (k) ORDER BY l.k
SELECT (SELECT MAX(k) FROM t) AS m
SELECT k FROM t AS o WHERE EXISTS (SELECT 1 FROM t AS p WHERE p.j = o.i) ORDER BY k
SELECT DISTINCT j FROM t ORDER BY j LIMIT 2 OFFSET 1
SELECT SUM(IF(b, x, 0)) AS v, SUM(CAST(b AS INT64)) AS w FROM t
SELECT ANY_VALUE(j) AS v FROM t WHERE j = 2
SELECT ANY_VALUE(s HAVING MIN x) AS v, ANY_VALUE(s HAVING MAX k) AS w, ANY_VALUE(n HAVING MIN IF(k > 2, k, NULL)) AS u FROM t
SELECT ANY_VALUE(STRUCT(k AS k, s AS s) HAVING MIN IF(j = 2, -k, NULL)) AS v FROM t
SELECT j, ANY_VALUE(k HAVING MIN i) AS v, ANY_VALUE(STRUCT(k AS k) HAVING MAX x) AS w FROM t GROUP BY j ORDER BY j
SELECT k, SUM(SUM(j)) OVER (ORDER BY k) AS running FROM t GROUP BY k ORDER BY k
SELECT COUNT(DISTINCT IF(j > 0, j, NULL)) AS v FROM t
""".strip().splitlines()


def plain(value: Any) -> Any:
    """DuckDB's structs as tuples, so that they compare with ZetaSQL's."""
    if isinstance(value, dict):
        return tuple(plain(field) for field in value.values())
    if isinstance(value, list):
        return [plain(element) for element in value]
    return value


def same(left: Any, right: Any) -> bool:
    """Equal in value and kind; floats to twelve digits, since the order of a sum is free."""
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-12)
    return type(left) is type(right) and left == right


def on_duckdb(sql: str) -> list[tuple[Any, ...]]:
    """Rows by the project's own path, on an empty database."""
    from tasks.core.warehouse.duckdb import DuckDBWarehouse

    frame = DuckDBWarehouse(Path(on_duckdb.path)).query(sql)  # type: ignore[attr-defined]
    return [tuple(plain(value) for value in row) for row in frame.rows()]


@pytest.fixture(autouse=True, scope="module")
def _database(tmp_path_factory: pytest.TempPathFactory) -> None:
    on_duckdb.path = tmp_path_factory.mktemp("dialect") / "w.duckdb"  # type: ignore[attr-defined]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression(expression: str) -> None:
    """The expression has the same value and type in every row of the awkward table."""
    sql = f"{TABLE} SELECT k, {expression} AS v FROM t ORDER BY k"
    expected, actual = evaluate(sql), on_duckdb(sql)
    assert same(expected, actual), f"ZetaSQL {expected}\nDuckDB  {actual}\n{to_duckdb(sql).sql}"


@pytest.mark.parametrize("query", QUERIES)
def test_query(query: str) -> None:
    """The query gives the same rows in the same order."""
    sql = f"{TABLE} {query}"
    expected, actual = evaluate(sql), on_duckdb(sql)
    assert same(expected, actual), f"ZetaSQL {expected}\nDuckDB  {actual}\n{to_duckdb(sql).sql}"
