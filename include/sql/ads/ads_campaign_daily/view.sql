-- Days of all platforms' campaigns in the reporting currency, by the rate of their own day.
-- Grain: platform, account_id, campaign_id, date. Window: all days.
-- Why: platforms compare in one currency only. Each row is rounded by itself, so that a sum of rows is what its rows show; a day
-- without a rate keeps its row and has no converted amount, since a sum that leaves it out silently would be wrong.
SELECT
  days.platform, days.account_id, days.date, days.campaign_id, days.name_hash, days.channel, days.is_brand,
  days.campaign_status, days.budget_id, days.impressions, days.clicks,
  CAST(ROUND(days.cost_micros * rates.rate) AS INT64) AS cost_micros, days.conversions,
  CAST(ROUND(days.revenue_micros * rates.rate) AS INT64) AS revenue_micros, days.video_views, days.video_completions,
  days.ctr, days.cvr, CAST(ROUND(days.avg_cpc_micros * rates.rate) AS INT64) AS avg_cpc_micros, days.view_rate, days.vtr,
  rates.reporting_currency_code AS currency_code, rates.rate AS fx_rate, days.cost_micros AS account_cost_micros,
  days.revenue_micros AS account_revenue_micros, days.currency_code AS account_currency_code, days.timezone,
  days.attribution_window, days.loaded_at
FROM ads.ads_campaign_performance AS days
LEFT JOIN ads.fx_rates_daily AS rates ON rates.date = days.date AND rates.currency_code = days.currency_code
