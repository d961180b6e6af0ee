-- Change sets of budgets that exist for the run date, with the decision on each.
-- Grain: change set.
-- Window: the run date.
-- Why: a run date is planned once; a second run reports what was proposed and how it was decided.
SELECT
  sets.change_set_id,
  sets.sha256,
  sets.account_id,
  sets.author,
  sets.mode,
  approvals.decision
FROM control.change_sets AS sets
LEFT JOIN control.approvals AS approvals
  ON approvals.change_set_id = sets.change_set_id
WHERE sets.platform = @platform AND sets.run_date = @run_date AND COALESCE(sets.kind, 'budgets') = 'budgets'
ORDER BY sets.change_set_id
