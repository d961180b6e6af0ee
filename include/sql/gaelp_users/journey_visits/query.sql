-- Visits with the person they belong to.
-- Grain: property, cookie and session.
-- Window: events of @start_date up to, not including, @end_date.
-- Why: one pass over the events; what a visit came by and what it bought are read apart, because the first tag and each order once
-- cannot be told by an aggregate.
SELECT
  log.property_id, log.user_pseudo_id, log.session_id, nodes.person_id, nodes.excluded_reason,
  MIN(log.event_date) AS session_start_date, MIN(log.event_at) AS session_start_at,
  MAX(log.session_number) AS session_number, MAX(log.device_category) AS device_category, MAX(log.country) AS country,
  COUNT(*) AS events, SUM(log.engagement_seconds) AS engagement_seconds,
  COUNTIF(log.is_session_engaged) > 0 AS is_engaged, COUNTIF(NOT log.is_ads_consented) = 0 AS is_ads_consented
FROM ga4.ga4_events AS log
LEFT JOIN gaelp_users.identity_nodes AS nodes ON nodes.id_kind = 'user_pseudo_id' AND nodes.id = log.user_pseudo_id
WHERE log.event_date >= @start_date AND log.event_date < @end_date
  AND log.user_pseudo_id IS NOT NULL AND log.session_id IS NOT NULL
GROUP BY log.property_id, log.user_pseudo_id, log.session_id, nodes.person_id, nodes.excluded_reason
