-- Checks of ga4.ga4_events. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date).

#fail counts_do_not_add_up
#remedy The load lost or invented events: do not use the days; load them again and look at control.quarantine and control.ingest_runs.
SELECT account_id AS property_id, run_date, rows_read, `rows` AS rows_written, duplicates, quarantined, forgotten
FROM control.ingest_runs
WHERE platform = 'ga4' AND run_date >= @start_date AND run_date <= @run_date AND status = 'succeeded'
  AND rows_read != `rows` + duplicates + COALESCE(quarantined, 0) + COALESCE(forgotten, 0)

#fail value_without_currency
#remedy A value of unknown currency cannot be added up: load the day again, and report the row if it comes back.
SELECT property_id, event_date, event_id, value_micros
FROM ga4.ga4_events
WHERE event_date >= @start_date AND event_date < @run_date AND value_micros IS NOT NULL AND currency_code IS NULL

#fail day_written_before_it_was_over
#remedy The daily table was read before its day ended: look at the export's dates, then load the day again.
SELECT property_id, event_date, MIN(loaded_at) AS first_loaded_at, COUNT(*) AS row_count
FROM ga4.ga4_events
WHERE event_date >= @start_date AND event_date < @run_date AND DATE_DIFF(event_date, DATE(loaded_at), DAY) > 0
GROUP BY property_id, event_date

#warn preliminary_for_days
#remedy The daily table of a past day is missing: see in the GA4 property whether the daily export runs and stays below its limit.
SELECT property_id, event_date, COUNT(*) AS row_count
FROM ga4.ga4_events
WHERE event_date >= @start_date AND event_date < DATE_SUB(@run_date, INTERVAL 2 DAY) AND is_intraday
GROUP BY property_id, event_date

#warn many_quarantined
#remedy More than one event in a hundred was refused: read the reasons in control.quarantine, then mend the tagging.
SELECT account_id AS property_id, run_date, quarantined, rows_read
FROM control.ingest_runs
WHERE platform = 'ga4' AND run_date >= @start_date AND run_date <= @run_date AND quarantined > 0.01 * rows_read

#warn rows_dropped
#remedy The day has less than half the usual events: see whether the export is complete, then load the day again.
SELECT property_id, event_date, row_count, median_row_count
FROM (
  SELECT
    property_id, event_date, row_count,
    PERCENTILE_CONT(row_count, 0.5) OVER (PARTITION BY property_id) AS median_row_count
  FROM (
    SELECT property_id, event_date, COUNT(*) AS row_count
    FROM ga4.ga4_events
    WHERE event_date >= @start_date AND event_date < @run_date
    GROUP BY property_id, event_date
  ) AS daily
) AS compared
WHERE row_count < 0.5 * median_row_count
