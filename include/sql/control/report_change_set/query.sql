-- The newest change set up to the report's day, with its decision if there is one.
-- Grain: at most one row.
-- Window: change sets of @run_date and before, of one source (platform, or `imported` with the import's name as account).
-- Why: the report follows one change set from its proposal to its end.
SELECT
  sets.change_set_id, sets.sha256, sets.run_date, sets.platform, sets.account_id, sets.author, sets.mode, sets.created_at,
  sets.expires_at, approvals.decision, approvals.approver, approvals.approval_ref, approvals.decided_at,
  approvals.sha256 AS approved_sha256
FROM control.change_sets AS sets
LEFT JOIN control.approvals AS approvals ON approvals.change_set_id = sets.change_set_id
WHERE sets.run_date <= @run_date
  AND ((@source = 'platforms' AND sets.platform != 'imported') OR sets.account_id = @source)
ORDER BY sets.run_date DESC, sets.created_at DESC, sets.change_set_id
LIMIT 1
