-- Marketing-mix runs that a review let pass, and when the first of all was fitted.
-- Grain: run.
-- Window: runs fitted and reviewed up to and including @run_date.
-- Why: a week is held against the newest run that had not seen it.
SELECT
  runs.run_id, runs.run_date, runs.window_end_date, runs.period_days, runs.currency_code, runs.config_json, runs.split_channels,
  runs.remarketing_campaign_ids,
  (
    SELECT MIN(f.run_date) FROM models.mmm_runs AS f WHERE f.source = @source AND f.target = @target AND f.run_date <= @run_date
  ) AS first_fit_date
FROM models.mmm_runs AS runs
JOIN models.mmm_reviews AS reviews ON reviews.run_id = runs.run_id
WHERE runs.source = @source AND runs.target = @target AND reviews.`check` = 'verdict' AND reviews.result IN ('PASS', 'REVIEW')
  AND runs.run_date <= @run_date AND reviews.run_date <= @run_date
ORDER BY runs.window_end_date DESC, runs.fitted_at DESC, runs.run_id
