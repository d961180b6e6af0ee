-- Checks of ga4.ga4_daily. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date).

#fail conversions_differ_from_events
#remedy The day's aggregate was not made from the events as they stand: run ingest-ga4 again for the day.
-- The first day of the window is left out: the gate may not see all sessions that began on it.
SELECT events.property_id, events.conversions AS event_conversions, daily.conversions AS daily_conversions
FROM (
  SELECT property_id, COUNT(DISTINCT CONCAT(user_pseudo_id, '|', session_id, '|', COALESCE(transaction_id_hash, event_id))) AS conversions
  FROM ga4.ga4_events
  WHERE event_date > @start_date AND event_date < @run_date AND event_name = 'purchase'
    AND user_pseudo_id IS NOT NULL AND session_id IS NOT NULL
  GROUP BY property_id
) AS events
LEFT JOIN (
  SELECT property_id, SUM(conversions) AS conversions
  FROM ga4.ga4_daily
  WHERE date > @start_date AND date < @run_date
  GROUP BY property_id
) AS daily ON daily.property_id = events.property_id
WHERE ABS(events.conversions - COALESCE(daily.conversions, 0)) > 0.01 * events.conversions + 1

#fail engaged_above_sessions
#remedy A count is wrong in itself: run ingest-ga4 again for the day, and report the row if it comes back.
SELECT property_id, date, channel_group, source, medium, sessions, engaged_sessions, new_visitors
FROM ga4.ga4_daily
WHERE date >= @start_date AND date < @run_date AND (engaged_sessions > sessions OR new_visitors > sessions)

#warn mostly_unassigned
#remedy More than a tenth of the sessions fit no channel rule: mend the utm tags, or add a rule to tasks/core/channel_groups.yaml.
SELECT property_id, SUM(IF(channel_group = 'Unassigned', sessions, 0)) AS unassigned_sessions, SUM(sessions) AS all_sessions
FROM ga4.ga4_daily
WHERE date >= @start_date AND date < @run_date
GROUP BY property_id
HAVING SUM(IF(channel_group = 'Unassigned', sessions, 0)) > 0.1 * SUM(sessions)
