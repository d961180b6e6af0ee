-- Spend of each channel over all platforms, campaigns of @remarketing_campaign_ids apart.
-- Grain: channel × is_remarketing × currency; more than one currency only while rates are missing.
-- Window: [@start_date, @end_date); the caller makes it whole weeks.
-- Why: the present mix, to be held against the model's, whose channels may be parts of one.
SELECT
  channel,
  campaign_id IN UNNEST(@remarketing_campaign_ids) AS is_remarketing,
  currency_code,
  CAST(SUM(cost_micros) AS INT64) AS spend_micros
FROM ads.business_spend_daily
WHERE date >= @start_date AND date < @end_date
GROUP BY channel, is_remarketing, currency_code
ORDER BY channel, is_remarketing, currency_code
