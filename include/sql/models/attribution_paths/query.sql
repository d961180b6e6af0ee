-- Distinct paths of the journeys that ended in a window.
-- Grain: property, path and currency.
-- Window: @start_date up to, not including, @end_date.
-- Why: every attribution method works on counted paths, so counting is done once, where the data are.
SELECT
  property_id, path, currency_code,
  SUM(conversions) AS conversions, SUM(value_micros) AS value_micros, SUM(null_journeys) AS null_journeys
FROM models.journey_paths_daily
WHERE date >= @start_date AND date < @end_date
GROUP BY property_id, path, currency_code
ORDER BY property_id, path, currency_code
