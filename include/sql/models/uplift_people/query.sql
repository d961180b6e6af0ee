-- Everybody seen lately, with the same features as the units of an experiment.
-- Grain: person.
-- Window: visits of the @lookback_days before @run_date, of people seen in the last @active_days.
-- Why: the model scores people as they are on the run date; consent counts only if every visit of the window gave it.
SELECT
  person_id,
  COUNT(*) AS sessions,
  COUNTIF(is_engaged) AS engaged_sessions,
  SUM(engagement_seconds) AS engagement_seconds,
  SUM(conversions) AS conversions_before,
  DATE_DIFF(@run_date, MAX(session_start_date), DAY) AS days_since,
  COUNTIF(STARTS_WITH(channel_group, 'Paid') OR channel_group IN ('Cross-network', 'Display')) AS paid_sessions,
  COUNTIF(device_category = 'mobile') AS mobile_sessions,
  COUNTIF(NOT is_ads_consented) = 0 AS is_ads_consented
FROM gaelp_users.journey_sessions
WHERE session_start_date < @run_date AND DATE_DIFF(@run_date, session_start_date, DAY) <= @lookback_days
GROUP BY person_id
HAVING DATE_DIFF(@run_date, MAX(session_start_date), DAY) <= @active_days
ORDER BY person_id
