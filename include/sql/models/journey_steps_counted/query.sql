-- Steps between channels by the day their journeys ended, from (start) to (conversion) or (null).
-- Grain: property, day, channel before and channel after.
-- Window: journeys that ended on @start_date up to, not including, @end_date; their touches from @context_date on.
-- Why: the chain of order 1 that attribution fits, for people to look at.
WITH touches AS (
  SELECT
    property_id, journey_end_date, channel_group,
    COALESCE(LAG(channel_group) OVER (PARTITION BY property_id, journey_id ORDER BY touch_number), '(start)') AS before_channel,
    is_last_touch, conversions
  FROM gaelp_users.persistent_touchpoints
  WHERE touch_date >= @context_date AND journey_end_date >= @start_date AND journey_end_date < @end_date
),
steps AS (
  SELECT property_id, journey_end_date AS date, before_channel AS from_channel, channel_group AS to_channel
  FROM touches
  UNION ALL
  SELECT
    property_id, journey_end_date AS date, channel_group AS from_channel,
    IF(conversions > 0, '(conversion)', '(null)') AS to_channel
  FROM touches
  WHERE is_last_touch
)
SELECT
  property_id, date, from_channel, to_channel, COUNT(*) AS steps,
  COUNT(*) / SUM(COUNT(*)) OVER (PARTITION BY property_id, date, from_channel) AS probability
FROM steps
GROUP BY property_id, date, from_channel, to_channel
