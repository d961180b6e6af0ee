-- Checks of ads.business_controls for @outcome_source. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date).

#fail missing_periods
#remedy A control needs a value in every period: load the missing ones, or leave the control out.
SELECT source, geo, control, previous_date, period_start_date, period_days
FROM (
  SELECT
    source, geo, control, period_start_date, period_days,
    LAG(period_start_date) OVER (PARTITION BY source, geo, control ORDER BY period_start_date) AS previous_date
  FROM ads.business_controls
  WHERE source = @outcome_source AND period_start_date >= @start_date AND period_start_date < @run_date
) AS steps
WHERE DATE_DIFF(period_start_date, previous_date, DAY) <> period_days

#warn control_never_changes
#remedy A constant explains nothing: leave the control out.
SELECT source, control, MIN(value) AS only_value
FROM ads.business_controls
WHERE source = @outcome_source AND period_start_date >= @start_date AND period_start_date < @run_date
GROUP BY source, control
HAVING MIN(value) = MAX(value)
