-- Change sets proposed before a day whose time to decide reaches into it.
-- Grain: change set.
-- Window: @since_date to the day before @run_date.
-- Why: two proposals for one account must not be open at once.
SELECT platform, account_id, change_set_id
FROM control.change_sets
WHERE run_date >= @since_date AND run_date < @run_date AND mode = 'live' AND expires_at >= @day_starts_at
ORDER BY platform, account_id, change_set_id
