-- The verdicts of a day on predictions against what came.
-- Grain: platform, account, basis; `all` for the model.
-- Window: @run_date.
-- Why: who predicted badly last month does not move money today.
SELECT platform, account_id, basis, result, detail
FROM control.fidelity_evaluations
WHERE run_date = @run_date AND metric = 'verdict' AND target = 'new_customers'
ORDER BY platform, account_id, basis
