-- Delivery and rewards of ads by click day.
-- Grain: ad × day. Window: days [@start_date, @run_date).
-- Why: the posterior weighs each day by its age and by the share of its conversions that has arrived, so days stay apart.
SELECT
  platform, account_id, campaign_id, adgroup_id, ad_id AS arm_id, date, channel, ad_status AS arm_status, impressions, clicks,
  cost_micros, conversions, revenue_micros, currency_code
FROM ads.ads_ad_performance
WHERE date >= @start_date AND date < @run_date
ORDER BY platform, account_id, campaign_id, adgroup_id, ad_id, date
