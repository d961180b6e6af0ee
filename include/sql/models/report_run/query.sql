-- One marketing-mix run: what went in, how it was fitted, how its test forecast did.
-- Grain: one row.
-- Window: none; one run.
-- Why: the page says of every number which run it comes from.
SELECT
  run_id, run_date, source, target, currency_code, model, trust, window_start_date, window_end_date, period_days, periods,
  channels, left_out_channels, geos, data_sha256, config_sha256, seed, holdout_periods, holdout_mape, holdout_coverage, seconds, fitted_at
FROM models.mmm_runs
WHERE run_id = @run_id
