-- Changes that were reconciled before, with what was found.
-- Grain: change event.
-- Window: @start_date on.
-- Why: what a person was told already is not told every day, and an account that was thawed is not frozen again for the same event.
SELECT platform, account_id, event_key, origin, is_fighting
FROM control.change_reconciliation
WHERE date >= @start_date
ORDER BY platform, account_id, event_key
