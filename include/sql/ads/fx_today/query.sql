-- What one unit of each currency is worth in the reporting currency on the newest day with rates.
-- Grain: currency.
-- Window: the newest day of rates up to @run_date.
-- Why: an amount of the policy is in the reporting currency; accounts pay in their own.
SELECT currency_code, rate
FROM ads.fx_rates_daily
WHERE date = (SELECT MAX(date) FROM ads.fx_rates_daily WHERE date <= @run_date)
