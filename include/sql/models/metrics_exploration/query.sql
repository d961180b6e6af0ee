-- What exploration cost and brought, day by day, beside the leaders of the same groups.
-- Grain: account × day × currency.
-- Window: mature decisions of [@start_date, @run_date).
-- Why: only rewards whose conversions have arrived; a group that explored nothing on the day has nothing to compare.
WITH explored AS (
  SELECT
    run_date, platform, account_id, currency_code, explore_spend_micros, spend_micros, conversions, revenue_micros,
    SUM(explore_spend_micros) OVER (PARTITION BY run_date, platform, account_id, campaign_id, adgroup_id, arm_kind) AS group_explore_micros
  FROM models.bandit_rewards
  WHERE run_date >= @start_date AND run_date < @run_date AND matured_date <= @run_date
)
SELECT
  platform,
  account_id,
  run_date,
  currency_code,
  CAST(SUM(explore_spend_micros) AS INT64) AS explore_spend_micros,
  CAST(SUM(IF(explore_spend_micros > 0, revenue_micros, 0)) AS INT64) AS explore_revenue_micros,
  SUM(IF(explore_spend_micros > 0, conversions, 0.0)) AS explore_conversions,
  CAST(SUM(IF(explore_spend_micros > 0, 0, spend_micros)) AS INT64) AS other_spend_micros,
  CAST(SUM(IF(explore_spend_micros > 0, 0, revenue_micros)) AS INT64) AS other_revenue_micros
FROM explored
WHERE group_explore_micros > 0
GROUP BY platform, account_id, run_date, currency_code
ORDER BY platform, account_id, run_date, currency_code
