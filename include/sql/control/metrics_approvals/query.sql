-- What people approved, by hash.
-- Grain: change set.
-- Window: none; a change is held against its approval however old it is.
-- Why: an approval is a person's answer in this table and a row of the ledger; a change needs both before it.
SELECT change_set_id, sha256, decided_at, expires_at
FROM control.approvals
WHERE decision = 'approved'
ORDER BY change_set_id
