-- Delivery and rewards of arms by click day: ads, and the keywords and audiences of their ad groups.
-- Grain: kind of arm × arm × day. Window: days [@start_date, @run_date).
-- Why: the posterior weighs each day by its age and by the share of its conversions that has arrived, so days stay apart. Each kind
-- splits the same spend anew, so kinds stay apart too.
SELECT
  platform, account_id, arm_kind, campaign_id, adgroup_id, arm_id, date, channel, arm_status, impressions, clicks, cost_micros,
  conversions, revenue_micros, currency_code
FROM (
  SELECT
    platform, account_id, 'ad' AS arm_kind, campaign_id, adgroup_id, ad_id AS arm_id, date, channel, ad_status AS arm_status,
    impressions, clicks, cost_micros, conversions, revenue_micros, currency_code
  FROM ads.ads_ad_performance
  WHERE date >= @start_date AND date < @run_date
  UNION ALL
  SELECT
    platform, account_id, criterion_kind AS arm_kind, campaign_id, adgroup_id, criterion_id AS arm_id, date, channel,
    criterion_status AS arm_status, impressions, clicks, cost_micros, conversions, revenue_micros, currency_code
  FROM ads.ads_criterion_performance
  WHERE date >= @start_date AND date < @run_date
) AS days
ORDER BY platform, account_id, arm_kind, campaign_id, adgroup_id, arm_id, date
