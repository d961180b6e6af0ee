-- Every transition of a change with the budget it is about, oldest first.
-- Grain: ledger row. Window: all of it; an open canary counts however old it is. An event of a whole set has no change and no budget.
SELECT
  ledger.seq,
  ledger.change_set_id,
  ledger.change_id,
  ledger.account_id,
  proposals.budget_id,
  ledger.event,
  ledger.amount_before_micros,
  ledger.amount_after_micros,
  ledger.at
FROM control.canary_changes AS ledger
LEFT JOIN control.budget_proposals AS proposals
  ON proposals.change_set_id = ledger.change_set_id AND proposals.change_id = ledger.change_id
WHERE ledger.platform = @platform
ORDER BY ledger.seq
