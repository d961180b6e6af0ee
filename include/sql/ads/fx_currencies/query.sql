-- The currencies that amounts are in: of ad accounts, and of what the business counts.
-- Grain: kind × currency. Window: none, the tables hold what is true now.
-- Why: rates are kept for these and no other; the accounts' own decide what amounts are reported in.
SELECT 'account' AS kind, currency_code
FROM ads.ads_accounts
GROUP BY currency_code
UNION ALL
SELECT 'outcome' AS kind, currency_code
FROM ads.business_outcomes
WHERE source = 'crm'
GROUP BY currency_code
