-- Visits with the person they belong to.
-- Grain: property, cookie and session.
-- Window: events of @start_date up to, not including, @end_date.
-- Why: one pass over the events; what a visit came by and what it bought are read apart, because the first tag and each order once
-- cannot be told by an aggregate.
SELECT
  events.property_id, events.user_pseudo_id, events.session_id, nodes.person_id, nodes.excluded_reason,
  MIN(events.event_date) AS session_start_date, MIN(events.event_at) AS session_start_at,
  MAX(events.session_number) AS session_number, MAX(events.device_category) AS device_category, MAX(events.country) AS country,
  COUNT(*) AS events, SUM(events.engagement_seconds) AS engagement_seconds,
  COUNTIF(events.is_session_engaged) > 0 AS is_engaged, COUNTIF(NOT events.is_ads_consented) = 0 AS is_ads_consented
FROM ga4.ga4_events AS events
LEFT JOIN gaelp_users.identity_nodes AS nodes ON nodes.id_kind = 'user_pseudo_id' AND nodes.id = events.user_pseudo_id
WHERE events.event_date >= @start_date AND events.event_date < @end_date
  AND events.user_pseudo_id IS NOT NULL AND events.session_id IS NOT NULL
GROUP BY events.property_id, events.user_pseudo_id, events.session_id, nodes.person_id, nodes.excluded_reason
