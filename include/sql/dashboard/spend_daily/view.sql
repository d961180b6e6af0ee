-- Days of all platforms' channels, for dashboards.
-- Grain: platform, account_id, channel, date. Window: all days.
-- Why: who reads a dashboard sees spend and results without access to campaigns. A day has one rate for all campaigns of an
-- account; without it the converted amount is missing and not too small.
SELECT
  days.platform, days.account_id, days.date, days.channel, CAST(SUM(days.impressions) AS INT64) AS impressions,
  CAST(SUM(days.clicks) AS INT64) AS clicks, SUM(days.conversions) AS conversions,
  CAST(SUM(days.cost_micros) AS INT64) AS cost_micros, days.currency_code,
  CAST(ROUND(SUM(days.cost_micros) * rates.rate) AS INT64) AS reporting_cost_micros, rates.reporting_currency_code
FROM ads.ads_campaign_performance AS days
LEFT JOIN ads.fx_rates_daily AS rates ON rates.date = days.date AND rates.currency_code = days.currency_code
GROUP BY
  days.platform, days.account_id, days.date, days.channel, days.currency_code, rates.rate, rates.reporting_currency_code
