-- Success metrics day by day.
-- Grain: run_date, platform, account_id, metric.
-- Window: [@start_date, @run_date].
-- Why: whether it works shows over time, not in one number.
SELECT run_date, platform, account_id, metric, value, low, high, unit, currency_code, detail
FROM control.success_metrics_daily
WHERE run_date >= @start_date AND run_date <= @run_date
ORDER BY metric, platform, account_id, run_date
