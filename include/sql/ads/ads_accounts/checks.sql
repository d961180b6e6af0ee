-- Checks of ads.ads_accounts. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date).

#fail account_is_unknown
#remedy Performance of an account without its row: currency and time zone are unproven; run `aelp2 ingest-ads` again.
SELECT DISTINCT p.platform, p.account_id
FROM ads.ads_campaign_performance AS p
LEFT JOIN ads.ads_accounts AS a ON a.platform = p.platform AND a.account_id = p.account_id
WHERE p.date >= @start_date AND p.date < @run_date AND a.account_id IS NULL

#fail currency_differs
#remedy The account's currency and that of its rows must be one: load the account again; a changed currency needs a new account id.
SELECT DISTINCT p.platform, p.account_id, p.currency_code, a.currency_code AS account_currency_code
FROM ads.ads_campaign_performance AS p
JOIN ads.ads_accounts AS a ON a.platform = p.platform AND a.account_id = p.account_id
WHERE p.date >= @start_date AND p.date < @run_date AND a.currency_code <> p.currency_code
