-- Spend of all platforms' campaigns in the currency of the business's outcomes, by the rates of their own day.
-- Grain: platform, account_id, campaign_id, date. Window: all days.
-- Why: models, blended CAC and fidelity hold spend against outcomes, so both must be in one currency. An account that is billed in
-- it needs no rate, and nothing is nothing in any. Spend without a rate keeps its own currency and shows it: whoever sums refuses two currencies by itself.
WITH business AS (
  SELECT currency_code
  FROM ads.business_outcomes
  WHERE source = 'crm'
  ORDER BY period_start_date DESC, currency_code
  LIMIT 1
)
SELECT
  days.platform, days.account_id, days.date, days.campaign_id, days.channel,
  IF(theirs.rate IS NULL, days.cost_micros, CAST(ROUND(days.cost_micros * (own.rate / theirs.rate)) AS INT64)) AS cost_micros,
  IF(
    days.cost_micros > 0 AND theirs.rate IS NULL, days.currency_code, COALESCE(business.currency_code, days.currency_code)
  ) AS currency_code,
  days.timezone
FROM ads.ads_campaign_performance AS days
LEFT JOIN business ON days.currency_code <> business.currency_code
LEFT JOIN ads.fx_rates_daily AS own ON own.date = days.date AND own.currency_code = days.currency_code
LEFT JOIN ads.fx_rates_daily AS theirs
  ON theirs.date = own.date AND theirs.reporting_currency_code = own.reporting_currency_code
  AND theirs.currency_code = business.currency_code
