-- The change sets that enable and pause ads, newest first, each with its bytes and its decision if there is one.
-- Grain: change set.
-- Window: run dates from @start_date to @run_date.
-- Why: what is proposed and why stands in the hashed bytes themselves, so the page shows what a person was asked.
SELECT
  sets.change_set_id, sets.sha256, sets.canonical_json, sets.run_date, sets.platform, sets.account_id, sets.author, sets.mode,
  sets.created_at, sets.expires_at, approvals.decision, approvals.approver, approvals.approval_ref, approvals.decided_at,
  approvals.sha256 AS approved_sha256
FROM control.change_sets AS sets
LEFT JOIN control.approvals AS approvals ON approvals.change_set_id = sets.change_set_id
WHERE sets.kind = 'ad_status' AND sets.run_date >= @start_date AND sets.run_date <= @run_date
ORDER BY sets.run_date DESC, sets.created_at DESC, sets.change_set_id
