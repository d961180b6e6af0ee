-- Share of the final conversions that has arrived by the end of each day after the click, with its 90 % interval.
-- Grain: run date, source, account, conversion action, lag day.
-- Window: estimates from @start_date to @run_date; the reader takes the newest of each source.
-- Why: the picture of how long to wait before a click day is judged.
SELECT run_date, source, account_id, conversion_action_id, lag_days, share_mean, share_p05, share_p95, conversions
FROM ga4.conversion_maturity
WHERE run_date >= @start_date AND run_date <= @run_date AND channel_group = 'all'
ORDER BY run_date, source, account_id, conversion_action_id, lag_days
