-- Metrics and verdicts of the newest fidelity evaluation.
-- Grain: platform, account_id, basis, target, metric.
-- Window: the newest run date in [@start_date, @run_date].
-- Why: how far predictions may be trusted.
SELECT run_date, platform, account_id, basis, target, metric, result, value, threshold, periods, window_start_date, window_end_date, detail
FROM control.fidelity_evaluations
WHERE run_date = (SELECT MAX(run_date) FROM control.fidelity_evaluations WHERE run_date >= @start_date AND run_date <= @run_date)
ORDER BY platform, account_id, basis, target, metric
