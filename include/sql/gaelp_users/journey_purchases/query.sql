-- Purchases of visits, each order as often as it was sent.
-- Grain: event.
-- Window: events of @start_date up to, not including, @end_date.
-- Why: a reloaded thank-you page sends an order again, sometimes on another day; the job keeps the first.
SELECT
  property_id, user_pseudo_id, session_id, IF(is_analytics_consented, user_id_hash, NULL) AS signed_in_hash, event_at,
  COALESCE(transaction_id_hash, event_id) AS order_key, value_micros, currency_code
FROM ga4.ga4_events
WHERE event_date >= @start_date AND event_date < @end_date
  AND event_name = 'purchase' AND user_pseudo_id IS NOT NULL AND session_id IS NOT NULL
