-- Distinct paths by the day their journeys ended.
-- Grain: property, day and path.
-- Window: journeys that ended on @start_date up to, not including, @end_date; their touches from @context_date on.
-- Why: attribution works on counted paths; counting where the data are moves a thousandth of the rows. Most journeys have one touch
-- and need no grouping, which halves the work.
WITH journeys AS (
  SELECT property_id, journey_end_date, channel_group AS path, 1 AS touches, conversions, value_micros
  FROM gaelp_users.persistent_touchpoints
  WHERE touch_date >= @context_date AND journey_end_date >= @start_date AND journey_end_date < @end_date
    AND is_first_touch AND is_last_touch
  UNION ALL
  SELECT
    property_id, journey_end_date, STRING_AGG(channel_group, ' > ' ORDER BY touch_number) AS path, COUNT(*) AS touches,
    MAX(conversions) AS conversions, MAX(value_micros) AS value_micros
  FROM gaelp_users.persistent_touchpoints
  WHERE touch_date >= @context_date AND journey_end_date >= @start_date AND journey_end_date < @end_date
    AND NOT (is_first_touch AND is_last_touch)
  GROUP BY property_id, journey_end_date, journey_id
)
SELECT
  property_id, journey_end_date AS date, path, MAX(touches) AS touches,
  CAST(COUNTIF(conversions > 0) AS FLOAT64) AS conversions, SUM(value_micros) AS value_micros, COUNTIF(conversions = 0) AS null_journeys
FROM journeys
GROUP BY property_id, journey_end_date, path
