-- Distinct paths of the journeys that ended in a window, and how they ended.
-- Grain: property and path.
-- Window: @start_date up to, not including, @run_date.
-- Why: the picture of the ways people take; paths are counted, so no person can be told from them.
SELECT property_id, path, SUM(conversions) AS conversions, SUM(null_journeys) AS null_journeys
FROM models.journey_paths_daily
WHERE date >= @start_date AND date < @run_date
GROUP BY property_id, path
ORDER BY property_id, path
