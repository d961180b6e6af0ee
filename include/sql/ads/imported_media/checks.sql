-- Checks of ads.imported_media for @source. Format: tasks/quality/checks_file.py. An import is judged whole, without a window.

#fail import_is_whole
#remedy The import was cut off between two tables: run the same `aelp2 import-csv` again.
-- All rows of one import carry one loaded_at, in all three tables.
SELECT COUNT(DISTINCT loaded_at) AS imports, MIN(loaded_at) AS first_loaded_at, MAX(loaded_at) AS last_loaded_at
FROM (
  SELECT loaded_at FROM ads.imported_media WHERE source = @source
  UNION ALL
  SELECT loaded_at FROM ads.business_outcomes WHERE source = @source
  UNION ALL
  SELECT loaded_at FROM ads.business_controls WHERE source = @source
) AS stamps
HAVING COUNT(DISTINCT loaded_at) > 1

#fail media_and_outcome_differ_in_periods
#remedy Spend and outcome of one import must cover the same periods and regions: import the file again.
SELECT COALESCE(media.geo, outcome.geo) AS geo, media.period_start_date AS media_date, outcome.period_start_date AS outcome_date
FROM (SELECT DISTINCT geo, period_start_date FROM ads.imported_media WHERE source = @source) AS media
FULL OUTER JOIN (SELECT DISTINCT geo, period_start_date FROM ads.business_outcomes WHERE source = @source) AS outcome
  ON outcome.geo = media.geo AND outcome.period_start_date = media.period_start_date
WHERE media.geo IS NULL OR outcome.geo IS NULL

#warn channel_without_spend
#remedy A model can say nothing about a channel that never spent: leave it out of the map.
SELECT channel, SUM(spend_micros) AS all_spend_micros
FROM ads.imported_media
WHERE source = @source
GROUP BY channel
HAVING SUM(spend_micros) = 0
