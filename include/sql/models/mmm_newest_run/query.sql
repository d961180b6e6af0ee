-- The newest marketing-mix run, reviewed or not: the one review-mmm judges.
-- Grain: at most one row.
-- Window: runs fitted up to and including @run_date.
-- Why: a run is judged right after it was fitted; by then it is not live.
SELECT
  run_id, run_date, source, target, currency_code, model, trust, window_start_date, window_end_date, period_days,
  periods, channels, geos, data_sha256, config_sha256, config_json, seed, versions_json, r_hat_max, ess_min, divergences,
  r2, holdout_periods, holdout_mape, holdout_coverage, seconds, fitted_at
FROM models.mmm_runs
WHERE source = @source AND target = @target AND run_date <= @run_date
ORDER BY run_date DESC, fitted_at DESC, run_id
LIMIT 1
