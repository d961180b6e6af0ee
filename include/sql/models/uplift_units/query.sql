-- Units of an experiment: what was known of them before they were assigned, and whether they converted after.
-- Grain: unit.
-- Window: visits of @lookback_days before the assignment and of @outcome_days from it on; units whose days after are over by @run_date.
-- Why: a feature from after the assignment could be caused by the treatment, and then adjusting for it hides the effect.
WITH visits AS (
  SELECT
    a.unit_id,
    a.arm,
    a.propensity,
    a.segment,
    a.assigned_date,
    s.session_start_date,
    s.is_engaged,
    s.engagement_seconds,
    s.conversions,
    STARTS_WITH(s.channel_group, 'Paid') OR s.channel_group IN ('Cross-network', 'Display') AS is_paid,
    s.device_category = 'mobile' AS is_mobile,
    COALESCE(s.session_start_at < a.assigned_at, s.session_start_date < a.assigned_date)
      AND DATE_DIFF(a.assigned_date, s.session_start_date, DAY) <= @lookback_days AS is_before,
    COALESCE(s.session_start_at >= a.assigned_at, s.session_start_date >= a.assigned_date)
      AND DATE_DIFF(s.session_start_date, a.assigned_date, DAY) < @outcome_days AS is_after
  FROM gaelp_users.experiment_assignments AS a
  LEFT JOIN gaelp_users.journey_sessions AS s
    ON IF(@unit_id_kind = 'person_id', s.person_id, s.user_pseudo_id) = a.unit_id
  WHERE a.experiment_id = @experiment_id
    AND DATE_DIFF(@run_date, a.assigned_date, DAY) >= @outcome_days
)
SELECT
  unit_id,
  arm,
  propensity,
  segment,
  COUNTIF(is_before) AS sessions,
  COUNTIF(is_before AND is_engaged) AS engaged_sessions,
  SUM(IF(is_before, engagement_seconds, 0)) AS engagement_seconds,
  SUM(IF(is_before, conversions, 0)) AS conversions_before,
  DATE_DIFF(assigned_date, MAX(IF(is_before, session_start_date, NULL)), DAY) AS days_since,
  COUNTIF(is_before AND is_paid) AS paid_sessions,
  COUNTIF(is_before AND is_mobile) AS mobile_sessions,
  SUM(IF(is_after, conversions, 0)) AS conversions_after
FROM visits
GROUP BY unit_id, arm, propensity, segment, assigned_date
ORDER BY unit_id
