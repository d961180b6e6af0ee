-- Units of each randomised experiment and how many of them converted, by variation.
-- Grain: experiment × variation. Window: units whose @outcome_days from the assignment on are over by @run_date.
-- Why: a unit counts once, and only when it had all of its days, so that looking early favours no variation.
SELECT
  experiment_id, variation, AVG(propensity) AS propensity, COUNT(*) AS exposures, COUNTIF(conversions > 0) AS converted,
  MIN(assigned_date) AS first_date, MAX(assigned_date) AS last_date
FROM (
  SELECT
    a.experiment_id, a.arm AS variation, a.unit_id_kind, a.unit_id, a.propensity, a.assigned_date,
    SUM(
      IF(
        COALESCE(s.session_start_at >= a.assigned_at, s.session_start_date >= a.assigned_date)
        AND DATE_DIFF(s.session_start_date, a.assigned_date, DAY) < @outcome_days,
        s.conversions,
        0
      )
    ) AS conversions
  FROM gaelp_users.experiment_assignments AS a
  LEFT JOIN gaelp_users.journey_sessions AS s
    ON IF(a.unit_id_kind = 'person_id', s.person_id, s.user_pseudo_id) = a.unit_id
  WHERE a.is_randomised AND a.propensity IS NOT NULL AND DATE_DIFF(@run_date, a.assigned_date, DAY) >= @outcome_days
  GROUP BY a.experiment_id, a.arm, a.unit_id_kind, a.unit_id, a.propensity, a.assigned_date
) AS units
GROUP BY experiment_id, variation
ORDER BY experiment_id, variation
