-- Spend of all platforms, new customers and revenue of the business, day by day.
-- Grain: day.
-- Window: @start_date to the day before @run_date.
-- Spend is in the currency of the outcomes; `currencies` above 1 says that a rate of the day is missing.
-- Why: what came, whoever claims it. A day without an outcome stays, with nothing in it: a gap is no zero.
WITH spend AS (
  SELECT
    date, CAST(SUM(cost_micros) AS INT64) AS cost_micros, MIN(currency_code) AS currency_code,
    COUNT(DISTINCT currency_code) AS currencies
  FROM ads.business_spend_daily
  WHERE date >= @start_date AND date < @run_date
  GROUP BY date
),
outcome AS (
  SELECT
    period_start_date AS date, IF(COUNT(new_customers) = COUNT(*), SUM(new_customers), NULL) AS new_customers,
    IF(COUNT(revenue_micros) = COUNT(*), CAST(SUM(revenue_micros) AS INT64), NULL) AS revenue_micros
  FROM ads.business_outcomes
  WHERE source = 'crm' AND period_days = 1 AND period_start_date >= @start_date AND period_start_date < @run_date
  GROUP BY period_start_date
)
SELECT spend.date, spend.cost_micros, spend.currency_code, spend.currencies, outcome.new_customers, outcome.revenue_micros
FROM spend
LEFT JOIN outcome ON outcome.date = spend.date
ORDER BY spend.date
