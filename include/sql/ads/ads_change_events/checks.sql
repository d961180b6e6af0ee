-- Checks of ads.ads_change_events. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date).

#fail changed_after_it_was_loaded
#remedy A change cannot be newer than its load: compare the clocks of this machine and of the platform, then load again.
-- Five minutes of tolerance for clocks that differ.
SELECT platform, account_id, change_event_id, changed_at, loaded_at
FROM ads.ads_change_events
WHERE date >= @start_date AND date < @run_date
  AND TIMESTAMP_DIFF(changed_at, loaded_at, SECOND) > 300
