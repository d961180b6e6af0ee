-- Stored visits before a window that its journeys can reach back to.
-- Grain: property and visit.
-- Window: visits that began on @start_date up to, not including, @end_date.
-- Why: a journey that ends in the window may have begun before it.
SELECT
  property_id, person_id, user_pseudo_id, session_key, session_start_at, session_start_date, channel_group, conversions, value_micros,
  currency_code
FROM gaelp_users.journey_sessions
WHERE session_start_date >= @start_date AND session_start_date < @end_date
