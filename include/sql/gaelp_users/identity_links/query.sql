-- All that is known of each id and each pair of ids.
-- Grain: pair of ids; an id with itself is the id.
-- Window: [@start_date, @run_date).
-- Why: who is who is told from all days together, so that the order in which they came does not matter.
SELECT
  left_id_kind, left_id, right_id_kind, right_id,
  MIN(first_seen_at) AS first_seen_at, MAX(last_seen_at) AS last_seen_at, MAX(denied_at) AS denied_at,
  SUM(event_count) AS event_count, MAX(event_count) AS busiest_day_count
FROM gaelp_users.identity_edges
WHERE event_date >= @start_date AND event_date < @run_date
GROUP BY left_id_kind, left_id, right_id_kind, right_id
