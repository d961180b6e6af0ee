-- Success metrics, for dashboards.
-- Grain: run_date, platform, account_id, metric. Window: all days.
-- Why: the question of the whole product, does it work, answered without access to its control tables.
SELECT run_date, platform, account_id, metric, value, low, high, unit, observations, currency_code, detail
FROM control.success_metrics_daily
