-- Spend of each channel, campaigns of @remarketing_campaign_ids apart, in periods counted back from the end of the window (period 0 is the newest).
-- Grain: platform × account × channel × is_remarketing × period × currency.
-- Window: start_date to the day before end_date; the caller makes it whole periods.
-- Spend of all platforms is in the currency of the outcomes, where a rate is known.
-- Why: the plan stays within the spend the model has seen, in periods as long as the model's own.
SELECT
  platform,
  account_id,
  channel,
  campaign_id IN UNNEST(@remarketing_campaign_ids) AS is_remarketing,
  currency_code,
  CAST(FLOOR((DATE_DIFF(@end_date, date, DAY) - 1) / @period_days) AS INT64) AS period,
  MAX(date) AS last_date,
  CAST(SUM(cost_micros) AS INT64) AS spend_micros
FROM ads.business_spend_daily
WHERE date >= @start_date AND date < @end_date
GROUP BY
  platform, account_id, channel, is_remarketing, currency_code, CAST(FLOOR((DATE_DIFF(@end_date, date, DAY) - 1) / @period_days) AS INT64)
ORDER BY platform, account_id, channel, is_remarketing, period
