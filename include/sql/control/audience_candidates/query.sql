-- The newest scores of an experiment's model with the ids that platforms match on.
-- Grain: person and id; one row without id for a person who has none.
-- Window: scores of the newest day from @since_date to @run_date.
-- Why: ids that several people share, or that came without consent, are excluded where they were stitched; they name nobody here.
SELECT
  s.date AS scored_date,
  s.person_id,
  s.uplift,
  s.effect_kind,
  s.withheld_reason,
  s.is_ads_consented,
  s.model_version,
  n.id_kind,
  n.id
FROM models.segment_scores_daily AS s
LEFT JOIN (
  SELECT person_id, id_kind, id
  FROM gaelp_users.identity_nodes
  WHERE excluded_reason IS NULL AND person_id IS NOT NULL AND id_kind IN ('email_sha256', 'phone_sha256', 'user_pseudo_id')
) AS n ON n.person_id = s.person_id
WHERE s.experiment_id = @experiment_id
  AND s.date = (
    SELECT MAX(date) FROM models.segment_scores_daily
    WHERE experiment_id = @experiment_id AND date <= @run_date AND date >= @since_date
  )
ORDER BY s.person_id, n.id_kind, n.id
