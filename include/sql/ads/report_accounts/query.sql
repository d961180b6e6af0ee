-- The ad accounts with their currency.
-- Grain: account.
-- Window: none.
-- Why: an account that nobody has assessed is named too, and amounts of a change log have no currency of their own.
SELECT platform, account_id, currency_code, status
FROM ads.ads_accounts
ORDER BY platform, account_id
