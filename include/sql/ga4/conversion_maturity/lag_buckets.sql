-- Conversions of the ad platforms by click day and the platform's own lag bucket.
-- Grain: platform, account_id, conversion_action_id, click_date, lag_bucket. Window: click days in [@start_date, @run_date).
-- Why: the triangle of click day and lag from which the share that has arrived is estimated.
SELECT
  platform, account_id, conversion_action_id, date AS click_date, lag_bucket, SUM(conversions) AS conversions,
  MAX(loaded_at) AS loaded_at
FROM ads.ads_conversion_action_stats
WHERE date >= @start_date AND date < @run_date
GROUP BY platform, account_id, conversion_action_id, date, lag_bucket
