-- New customers and revenue per period and geo: what the marketing-mix model explains.
-- Grain: period_start_date, geo, currency_code, period_days.
-- Window: [@start_date, @run_date), complete Monday weeks; an import with weekly rows keeps its own weeks.
-- Why: the business's own count (source crm for the platforms), because platforms credit themselves. A sum with an unknown day is unknown.
WITH chosen AS (
  SELECT geo, period_start_date, period_days, currency_code, new_customers, revenue_micros
  FROM ads.business_outcomes
  WHERE source = IF(@source = 'platforms', 'crm', @source) AND period_start_date >= @start_date
),
daily AS (
  SELECT geo, period_start_date AS day, currency_code, new_customers, revenue_micros
  FROM chosen
  WHERE period_days = 1 AND period_start_date < DATE_TRUNC(@run_date, WEEK(MONDAY))
)
SELECT
  CAST(DATE_TRUNC(day, WEEK(MONDAY)) AS DATE) AS period_start_date,
  7 AS period_days,
  geo,
  currency_code,
  IF(COUNT(new_customers) = COUNT(*), SUM(new_customers), NULL) AS new_customers,
  IF(COUNT(revenue_micros) = COUNT(*), CAST(SUM(revenue_micros) AS INT64), NULL) AS revenue_micros,
  COUNT(DISTINCT day) AS days_seen
FROM daily
GROUP BY period_start_date, geo, currency_code
UNION ALL
SELECT period_start_date, period_days, geo, currency_code, new_customers, revenue_micros, period_days AS days_seen
FROM chosen
WHERE period_days > 1 AND DATE_ADD(period_start_date, INTERVAL period_days DAY) <= @run_date
