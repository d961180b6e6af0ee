-- Which ids the business's own systems saw together, of people who consented to measurement.
-- Grain: day and set of ids.
-- Window: [@start_date, @end_date).
-- Why: an order or a call joins the click to the person; without consent it joins nothing.
SELECT
  event_date, user_pseudo_id, user_id_hash, email_sha256, phone_sha256, gclid, fbclid, ttclid, li_fat_id,
  MIN(event_at) AS first_seen_at, MAX(event_at) AS last_seen_at, COUNT(*) AS event_count
FROM gaelp_users.server_events
WHERE event_date >= @start_date AND event_date < @end_date AND is_analytics_consented
GROUP BY event_date, user_pseudo_id, user_id_hash, email_sha256, phone_sha256, gclid, fbclid, ttclid, li_fat_id
