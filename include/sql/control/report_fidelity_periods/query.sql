-- Predicted and realised outcome of the newest fidelity evaluation of the model.
-- Grain: target, period_start_date.
-- Window: the newest run date in [@start_date, @run_date].
-- Why: the picture behind the metrics.
SELECT target, period_start_date, period_days, kind, predicted_mean, predicted_p05, predicted_p95, realised
FROM control.fidelity_periods
WHERE basis = 'model'
  AND run_date = (SELECT MAX(run_date) FROM control.fidelity_periods WHERE run_date >= @start_date AND run_date <= @run_date)
ORDER BY target, period_start_date
