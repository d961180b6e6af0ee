-- GA4 sessions of one property: day of the start, what brought them, what came of them, one row per session and currency.
-- Grain: user_pseudo_id, session_id, currency_code. Window: sessions with an event on [@start_date, @end_date].
-- Why: the channel rules work on the first event that names a source; a session that runs over midnight belongs to its first day.
-- A conversion is a purchase; a purchase sent twice under one order id counts once.
WITH events AS (
  SELECT
    user_pseudo_id, session_id, event_date, event_at, event_name, event_id, source, medium, campaign_label, gclid, gbraid, wbraid,
    fbclid, ttclid, li_fat_id, session_number, is_session_engaged, is_intraday, value_micros,
    COALESCE(currency_code, 'XXX') AS currency, COALESCE(transaction_id_hash, event_id) AS order_key
  FROM ga4.ga4_events
  WHERE property_id = @property_id AND event_date >= @start_date AND event_date <= @end_date
    AND user_pseudo_id IS NOT NULL AND session_id IS NOT NULL
),
entries AS (
  SELECT
    user_pseudo_id, session_id, source, medium, campaign_label, gclid, gbraid, wbraid, fbclid, ttclid, li_fat_id,
    ROW_NUMBER() OVER (PARTITION BY user_pseudo_id, session_id ORDER BY event_at, event_id) AS place
  FROM events
  WHERE source IS NOT NULL OR medium IS NOT NULL OR gclid IS NOT NULL OR gbraid IS NOT NULL OR wbraid IS NOT NULL
    OR fbclid IS NOT NULL OR ttclid IS NOT NULL OR li_fat_id IS NOT NULL
),
orders AS (
  SELECT user_pseudo_id, session_id, order_key, MAX(currency) AS currency, MAX(COALESCE(value_micros, 0)) AS value_micros
  FROM events
  WHERE event_name = 'purchase'
  GROUP BY user_pseudo_id, session_id, order_key
),
bought AS (
  SELECT user_pseudo_id, session_id, currency, COUNT(*) AS conversions, CAST(SUM(value_micros) AS INT64) AS value_micros
  FROM orders
  GROUP BY user_pseudo_id, session_id, currency
),
sessions AS (
  SELECT
    user_pseudo_id, session_id, MIN(event_date) AS date, LOGICAL_OR(is_session_engaged) AS is_engaged,
    MIN(session_number) AS session_number, LOGICAL_OR(is_intraday) AS is_intraday
  FROM events
  GROUP BY user_pseudo_id, session_id
)
SELECT
  s.user_pseudo_id, s.session_id, s.date, s.is_engaged, s.session_number, s.is_intraday, e.source, e.medium, e.campaign_label, e.gclid,
  e.gbraid, e.wbraid, e.fbclid, e.ttclid, e.li_fat_id, COALESCE(b.currency, 'XXX') AS currency_code,
  COALESCE(b.conversions, 0) AS conversions, COALESCE(b.value_micros, 0) AS value_micros
FROM sessions AS s
LEFT JOIN entries AS e ON e.user_pseudo_id = s.user_pseudo_id AND e.session_id = s.session_id AND e.place = 1
LEFT JOIN bought AS b ON b.user_pseudo_id = s.user_pseudo_id AND b.session_id = s.session_id
