-- Spend per ad group and day of one account.
-- Grain: date, adgroup_id. Window: start_date included, end_date excluded; only complete days are asked for.
-- Why: an ad group that spent before one of its ads was paused must go on spending through the others.
SELECT
  date,
  adgroup_id,
  CAST(SUM(cost_micros) AS INT64) AS cost_micros
FROM ads.ads_ad_performance
WHERE date >= @start_date AND date < @end_date AND platform = @platform AND account_id = @account_id
GROUP BY date, adgroup_id
