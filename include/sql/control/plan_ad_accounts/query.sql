-- Currency of each account and the last day of its ads' delivery before the run date.
-- Grain: account.
-- Window: before the run date.
-- Why: a change set says on what data it rests; what is too old is not applied.
SELECT
  accounts.platform,
  accounts.account_id,
  accounts.currency_code,
  MAX(days.date) AS data_through_date
FROM ads.ads_accounts AS accounts
INNER JOIN ads.ads_ad_performance AS days
  ON days.platform = accounts.platform AND days.account_id = accounts.account_id
WHERE days.date < @run_date
GROUP BY accounts.platform, accounts.account_id, accounts.currency_code
ORDER BY accounts.platform, accounts.account_id
