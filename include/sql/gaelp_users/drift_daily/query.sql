-- Visits and their results per property, channel group and day.
-- Grain: property_id, channel_group, date.
-- Window: [@start_date, @run_date); the caller leaves out the days that GA4 may still add to.
-- Why: the columns of the website that drift is looked for in.
SELECT
  property_id, channel_group, session_start_date AS date, COUNT(*) AS sessions, COUNTIF(is_engaged) AS engaged_sessions,
  SUM(conversions) AS conversions
FROM gaelp_users.journey_sessions
WHERE session_start_date >= @start_date AND session_start_date < @run_date
GROUP BY property_id, channel_group, session_start_date
