-- Checks of gaelp_users.server_events. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date).

#fail day_of_the_event
#remedy The day is not that of the time: the rows were not written by ingest-events; delete them and load the file again.
SELECT event_id, event_date, event_at
FROM gaelp_users.server_events
WHERE event_date >= @start_date AND event_date < @run_date AND event_date <> DATE(event_at)

#fail value_and_currency_together
#remedy A value without a currency cannot be added up: load the file again with ingest-events.
SELECT event_id, value_micros, currency_code
FROM gaelp_users.server_events
WHERE event_date >= @start_date AND event_date < @run_date AND (value_micros IS NULL) <> (currency_code IS NULL)

#warn events_that_nobody_can_join
#remedy More than half of a day's events carry no id of a person or a click: ask the source to pass them on.
SELECT source, event_date, COUNT(*) AS events
FROM gaelp_users.server_events
WHERE event_date >= @start_date AND event_date < @run_date
GROUP BY source, event_date
HAVING COUNTIF(
  COALESCE(user_pseudo_id, user_id_hash, email_sha256, phone_sha256, gclid, gbraid, wbraid, fbclid, ttclid, li_fat_id) IS NULL
) * 2 > COUNT(*)
