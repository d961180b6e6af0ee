-- What the tagged events of visits say about where they came from.
-- Grain: event.
-- Window: events of @start_date up to, not including, @end_date.
-- Why: a visit's channel is that of its first tagged event.
SELECT
  property_id, user_pseudo_id, session_id, event_at, source, medium, campaign_label, gclid, gbraid, wbraid, fbclid, ttclid, li_fat_id
FROM ga4.ga4_events
WHERE event_date >= @start_date AND event_date < @end_date
  AND user_pseudo_id IS NOT NULL AND session_id IS NOT NULL
  AND COALESCE(source, medium, campaign_label, gclid, gbraid, wbraid, fbclid, ttclid, li_fat_id) IS NOT NULL
