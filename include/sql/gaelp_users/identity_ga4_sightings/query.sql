-- Which ids GA4 saw together. gbraid and wbraid are left out: many people share one on purpose.
-- Grain: day, set of ids and consent.
-- Window: [@start_date, @end_date).
-- Why: edges come from sets of ids, of which there are far fewer than events.
SELECT
  event_date, is_analytics_consented, user_pseudo_id, user_id_hash, gclid, fbclid, ttclid, li_fat_id,
  MIN(event_at) AS first_seen_at, MAX(event_at) AS last_seen_at, COUNT(*) AS event_count
FROM ga4.ga4_events
WHERE event_date >= @start_date AND event_date < @end_date
GROUP BY event_date, is_analytics_consented, user_pseudo_id, user_id_hash, gclid, fbclid, ttclid, li_fat_id
