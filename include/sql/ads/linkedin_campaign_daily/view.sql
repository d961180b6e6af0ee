-- Days of LinkedIn's campaigns, amounts in the currency of their account.
-- Grain: platform, account_id, campaign_id, date. Window: all days.
-- Why: one platform's numbers, as its own pages show them; ads_campaign_daily has all platforms in one currency.
SELECT
  platform, account_id, date, campaign_id, name_hash, channel, is_brand, campaign_status, budget_id, impressions, clicks,
  cost_micros, conversions, revenue_micros, video_views, video_completions, ctr, cvr, avg_cpc_micros, view_rate, vtr,
  search_impression_share, search_budget_lost_impression_share, search_rank_lost_impression_share, currency_code, timezone,
  attribution_window, loaded_at
FROM ads.ads_campaign_performance
WHERE platform = 'linkedin'
