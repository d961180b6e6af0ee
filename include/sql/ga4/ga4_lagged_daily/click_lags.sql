-- GA4 conversions with the last visit of known source before each: click day, conversion day and what brought the visit.
-- Grain: click_date, conversion_date, source, medium, campaign_label, kinds of click id, currency_code.
-- Window: clicks on [@start_date, @run_date), at most 29 days before their conversion.
-- Why: the triangle of click day and lag; a conversion without such a visit has no click day.
-- An order sent twice counts once, on its first day. Click ids are reduced to whether there is one.
WITH touches AS (
  SELECT
    user_pseudo_id, event_id, event_at, event_date, source, medium, campaign_label, gclid, gbraid, wbraid, fbclid, ttclid, li_fat_id
  FROM ga4.ga4_events
  WHERE property_id = @property_id AND event_date >= @start_date AND event_date < @run_date AND user_pseudo_id IS NOT NULL
    AND (source IS NOT NULL OR medium IS NOT NULL OR gclid IS NOT NULL OR gbraid IS NOT NULL OR wbraid IS NOT NULL
      OR fbclid IS NOT NULL OR ttclid IS NOT NULL OR li_fat_id IS NOT NULL)
),
orders AS (
  SELECT
    user_pseudo_id, COALESCE(transaction_id_hash, event_id) AS order_key, MIN(event_at) AS ordered_at,
    MIN(event_date) AS conversion_date, MAX(value_micros) AS value_micros, MAX(currency_code) AS currency_code
  FROM ga4.ga4_events
  WHERE property_id = @property_id AND event_date >= @start_date AND event_date < @run_date AND event_name = @conversion_event
    AND user_pseudo_id IS NOT NULL
  GROUP BY user_pseudo_id, COALESCE(transaction_id_hash, event_id)
),
paired AS (
  SELECT
    o.conversion_date, o.value_micros, o.currency_code, t.event_date AS click_date, t.source, t.medium, t.campaign_label,
    IF(t.gclid IS NULL, NULL, 'yes') AS gclid, IF(t.gbraid IS NULL, NULL, 'yes') AS gbraid,
    IF(t.wbraid IS NULL, NULL, 'yes') AS wbraid, IF(t.fbclid IS NULL, NULL, 'yes') AS fbclid,
    IF(t.ttclid IS NULL, NULL, 'yes') AS ttclid, IF(t.li_fat_id IS NULL, NULL, 'yes') AS li_fat_id,
    ROW_NUMBER() OVER (PARTITION BY o.user_pseudo_id, o.order_key ORDER BY t.event_at DESC, t.event_id) AS place
  FROM orders AS o
  LEFT JOIN touches AS t
    ON t.user_pseudo_id = o.user_pseudo_id AND t.event_at <= o.ordered_at
    AND t.event_date > DATE_SUB(o.conversion_date, INTERVAL 30 DAY)
)
SELECT
  click_date, conversion_date, source, medium, campaign_label, gclid, gbraid, wbraid, fbclid, ttclid, li_fat_id,
  COALESCE(currency_code, 'XXX') AS currency_code, COUNT(*) AS conversions,
  CAST(SUM(COALESCE(value_micros, 0)) AS INT64) AS value_micros
FROM paired
WHERE place = 1
GROUP BY
  click_date, conversion_date, source, medium, campaign_label, gclid, gbraid, wbraid, fbclid, ttclid, li_fat_id,
  COALESCE(currency_code, 'XXX')
