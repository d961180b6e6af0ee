-- When each day's events were loaded last, and when its edges were made.
-- Grain: one row per day.
-- Window: [@start_date, @run_date).
-- Why: only days with events newer than their edges are stitched again, however late the events came.
SELECT event_date, MAX(events_at) AS events_at, MIN(edges_at) AS edges_at
FROM (
  SELECT event_date, loaded_at AS events_at, CAST(NULL AS TIMESTAMP) AS edges_at
  FROM ga4.ga4_events
  WHERE event_date >= @start_date AND event_date < @run_date
  UNION ALL
  SELECT event_date, loaded_at AS events_at, CAST(NULL AS TIMESTAMP) AS edges_at
  FROM gaelp_users.server_events
  WHERE event_date >= @start_date AND event_date < @run_date
  UNION ALL
  SELECT event_date, CAST(NULL AS TIMESTAMP) AS events_at, loaded_at AS edges_at
  FROM gaelp_users.identity_edges
  WHERE event_date >= @start_date AND event_date < @run_date
) AS stamps
GROUP BY event_date
ORDER BY event_date
