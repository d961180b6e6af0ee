-- Days of spend in another currency than the wanted one that no stored rate converts.
-- Grain: currency. Window: [@start_date, @end_date).
-- Why: an error must name the day and the currency whose rate is missing, not only that there are two currencies.
SELECT currency_code, MIN(date) AS first_date, COUNT(DISTINCT date) AS days
FROM ads.business_spend_daily
WHERE date >= @start_date AND date < @end_date AND currency_code <> @currency
GROUP BY currency_code
ORDER BY first_date, currency_code
