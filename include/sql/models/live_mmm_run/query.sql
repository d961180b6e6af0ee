-- The marketing-mix run in force: the one whose review last let it pass.
-- Grain: at most one row.
-- Window: runs fitted and reviewed up to and including @run_date.
-- Why: every reader asks here, so that a failed fit leaves the curves of the week before in force.
SELECT
  runs.run_id, runs.run_date, runs.source, runs.target, runs.currency_code, runs.model, runs.trust, runs.window_start_date,
  runs.window_end_date, runs.period_days, runs.periods, runs.channels, runs.split_channels,
  runs.remarketing_campaign_ids, runs.geos, runs.fitted_at,
  reviews.result AS verdict, reviews.detail AS verdict_detail, reviews.run_date AS review_date, reviews.reviewed_at
FROM models.mmm_runs AS runs
JOIN models.mmm_reviews AS reviews ON reviews.run_id = runs.run_id
WHERE runs.source = @source
  AND runs.target = @target
  AND reviews.`check` = 'verdict'
  AND reviews.result IN ('PASS', 'REVIEW')
  AND runs.run_date <= @run_date
  AND reviews.run_date <= @run_date
ORDER BY reviews.run_date DESC, reviews.reviewed_at DESC, runs.run_id
LIMIT 1
