-- How far back rates are needed, and for how many days of that they are stored.
-- Grain: one row for the first day of spend, then currency × reporting currency. Window: days before @before_date.
-- Why: a new account brings a currency and a history with it; its rates are then loaded back to the first day of spend.
WITH spend AS (
  SELECT MIN(date) AS date FROM ads.ads_campaign_performance
  UNION ALL
  SELECT MIN(date) AS date FROM ads.ads_ad_performance
),
beginning AS (
  SELECT MIN(date) AS first_date FROM spend
)
SELECT
  beginning.first_date, CAST(NULL AS STRING) AS currency_code, CAST(NULL AS STRING) AS reporting_currency_code, 0 AS days
FROM beginning
UNION ALL
SELECT beginning.first_date, rates.currency_code, rates.reporting_currency_code, COUNT(*) AS days
FROM ads.fx_rates_daily AS rates
JOIN beginning ON rates.date >= beginning.first_date
WHERE rates.date < @before_date
GROUP BY beginning.first_date, rates.currency_code, rates.reporting_currency_code
