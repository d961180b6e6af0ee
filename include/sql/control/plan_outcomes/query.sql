-- What the business counted: the base of the blended CAC.
-- Grain: geo × period.
-- Window: since_date to the day before the run date.
-- Why: platforms credit themselves, so what they attribute plays no part.
SELECT
  geo,
  period_start_date,
  period_days,
  new_customers,
  revenue_micros,
  currency_code
FROM ads.business_outcomes
WHERE source = @source AND period_start_date >= @since_date AND period_start_date < @run_date
ORDER BY period_start_date, geo
