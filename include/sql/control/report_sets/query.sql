-- The change sets of budgets of the last weeks up to the report's day, newest first, each with its decision if there is one.
-- Grain: change set.
-- Window: run dates from @start_date to @run_date, of one source (`platforms`, or an import's name as account).
-- Why: the report follows the newest set from its proposal to its end and names the others, so that no account's plan hides. Sets of ads
-- have no amounts and a section of their own (report_ad_sets).
SELECT
  sets.change_set_id, sets.sha256, sets.run_date, sets.platform, sets.account_id, sets.author, sets.mode, sets.created_at,
  sets.expires_at, approvals.decision, approvals.approver, approvals.approval_ref, approvals.decided_at,
  approvals.sha256 AS approved_sha256
FROM control.change_sets AS sets
LEFT JOIN control.approvals AS approvals ON approvals.change_set_id = sets.change_set_id
WHERE COALESCE(sets.kind, 'budgets') = 'budgets'
  AND sets.run_date >= @start_date
  AND sets.run_date <= @run_date
  AND ((@source = 'platforms' AND sets.platform != 'imported') OR (sets.platform = 'imported' AND sets.account_id = @source))
ORDER BY sets.run_date DESC, sets.created_at DESC, sets.change_set_id
