-- Spend of all platforms and new customers of the business, day by day.
-- Grain: day.
-- Window: @start_date to the day before @run_date, complete days only.
-- Spend is in the currency of the outcomes; `currencies` above 1 says that a rate of the day is missing.
-- Why: blended CAC is spend of everything over customers of everything, whoever claims them.
WITH spend AS (
  SELECT
    date, CAST(SUM(cost_micros) AS INT64) AS cost_micros, MIN(currency_code) AS currency_code,
    COUNT(DISTINCT currency_code) AS currencies, MIN(timezone) AS timezone
  FROM ads.business_spend_daily
  WHERE date >= @start_date AND date < @run_date
  GROUP BY date
),
customers AS (
  SELECT period_start_date AS date, SUM(new_customers) AS new_customers
  FROM ads.business_outcomes
  WHERE source = 'crm' AND period_days = 1 AND period_start_date >= @start_date AND period_start_date < @run_date
  GROUP BY period_start_date
)
SELECT
  spend.date, spend.cost_micros, spend.currency_code, spend.currencies, spend.timezone, customers.new_customers
FROM spend
JOIN customers ON customers.date = spend.date
ORDER BY spend.date
