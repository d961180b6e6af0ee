-- Delivery and attributed results per account, channel and day.
-- Grain: platform, account_id, channel, date.
-- Window: [@start_date, @run_date).
-- Why: the columns that drift is looked for in; a day without rows is missing, not zero.
SELECT
  platform, account_id, channel, date, CAST(SUM(cost_micros) AS INT64) AS cost_micros,
  CAST(SUM(impressions) AS INT64) AS impressions, CAST(SUM(clicks) AS INT64) AS clicks, SUM(conversions) AS conversions
FROM ads.ads_campaign_performance
WHERE date >= @start_date AND date < @run_date
GROUP BY platform, account_id, channel, date
