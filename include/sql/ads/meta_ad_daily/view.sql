-- Days of Meta's ads, amounts in the currency of their account.
-- Grain: platform, account_id, campaign_id, adgroup_id, ad_id, date. Window: all days.
-- Why: one platform's numbers, as its own pages show them; ads_campaign_daily has all platforms in one currency.
SELECT
  platform, account_id, date, campaign_id, adgroup_id, ad_id, creative_id, name_hash, channel, is_brand, ad_status,
  impressions, clicks, cost_micros, conversions, revenue_micros, video_views, video_completions, ctr, cvr, avg_cpc_micros,
  view_rate, vtr, currency_code, timezone, attribution_window, loaded_at
FROM ads.ads_ad_performance
WHERE platform = 'meta'
