-- Checks of ads.campaign_budgets. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date].

#fail no_budgets_of_the_run_date
#remedy A plan starts from the budgets as they stand: run `aelp2 ingest-ads` for the run date.
SELECT @run_date AS run_date, COUNT(*) AS budgets
FROM ads.campaign_budgets
WHERE date = @run_date
HAVING COUNT(*) = 0

#fail currency_differs
#remedy Budget and account must have one currency: load the account again.
SELECT b.platform, b.account_id, b.budget_id, b.date, b.currency_code, a.currency_code AS account_currency_code
FROM ads.campaign_budgets AS b
JOIN ads.ads_accounts AS a ON a.platform = b.platform AND a.account_id = b.account_id
WHERE b.date >= @start_date AND b.date <= @run_date AND a.currency_code <> b.currency_code

#fail members_are_incomplete
#remedy A shared budget counts with all of its campaigns: load again; a member may lie in an account that cannot be read.
SELECT platform, account_id, budget_id, date, reference_count, ARRAY_LENGTH(member_campaign_ids) AS members
FROM ads.campaign_budgets
WHERE date = @run_date AND reference_count > ARRAY_LENGTH(member_campaign_ids)

#warn amount_is_zero
#remedy Nothing can be moved in steps of a percentage from zero: set an amount in the platform or remove the budget.
SELECT platform, account_id, budget_id, date
FROM ads.campaign_budgets
WHERE date = @run_date AND amount_micros = 0 AND status = 'ENABLED'
