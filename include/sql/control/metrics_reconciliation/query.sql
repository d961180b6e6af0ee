-- Changes of budgets and ads of each account by whose they are.
-- Grain: account.
-- Window: changes of [@start_date, @run_date], in days of the account.
-- Why: completeness of the changefeed is what is ours and matched over all that happened, as reconcile-changes counts it.
SELECT
  platform,
  account_id,
  COUNT(*) AS changes,
  COUNTIF(origin = 'ours') AS ours,
  COUNTIF(origin = 'out_of_band') AS out_of_band,
  COUNTIF(origin = 'not_in_log') AS not_in_log
FROM control.change_reconciliation
WHERE date >= @start_date AND date <= @run_date
GROUP BY platform, account_id
ORDER BY platform, account_id
