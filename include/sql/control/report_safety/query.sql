-- Safety events of the last days, newest first.
-- Grain: event.
-- Window: @start_date to @run_date.
-- Why: nothing critical may pass unseen.
SELECT run_date, kind, severity, platform, account_id, detail, happened_at
FROM control.safety_events
WHERE run_date >= @start_date AND run_date <= @run_date
ORDER BY happened_at DESC, event_id
