-- Budgets as they stood on the morning of the run date.
-- Grain: account × budget.
-- Window: the run date only.
-- Why: a load that did not happen then shows as no rows instead of as old amounts.
SELECT
  platform,
  account_id,
  budget_id,
  amount_micros,
  is_explicitly_shared,
  reference_count,
  member_campaign_ids,
  enabled_campaign_ids,
  channels,
  status,
  currency_code
FROM ads.campaign_budgets
WHERE platform = @platform AND date = @run_date
ORDER BY account_id, budget_id
