-- What the campaigns on each budget of the run date have spent.
-- Grain: account × budget.
-- Window: all days before end_date, the first day that is not complete in every account; an incomplete day would pull every mean
-- down.
-- Why: the highest day (M5) is looked for over all history, recent and month-to-date spend from their own first days on.
WITH members AS (
  SELECT budgets.platform, budgets.account_id, budgets.budget_id, campaign_id
  FROM ads.campaign_budgets AS budgets
  CROSS JOIN UNNEST(budgets.member_campaign_ids) AS campaign_id
  WHERE budgets.platform = @platform AND budgets.date = @run_date
),
daily AS (
  SELECT
    members.account_id,
    members.budget_id,
    performance.date,
    SUM(performance.cost_micros) AS cost_micros,
    AVG(performance.search_budget_lost_impression_share) AS budget_lost_share
  FROM members
  INNER JOIN ads.ads_campaign_performance AS performance
    ON performance.platform = members.platform
    AND performance.account_id = members.account_id
    AND performance.campaign_id = members.campaign_id
  WHERE performance.date < @end_date
  GROUP BY members.account_id, members.budget_id, performance.date
)
SELECT
  account_id,
  budget_id,
  CAST(MAX(cost_micros) AS INT64) AS highest_daily_spend_micros,
  CAST(SUM(IF(date >= @recent_start_date, cost_micros, 0)) AS INT64) AS recent_spend_micros,
  CAST(SUM(IF(date >= @month_start_date, cost_micros, 0)) AS INT64) AS month_to_date_micros,
  AVG(IF(date >= @recent_start_date, budget_lost_share, NULL)) AS budget_lost_share
FROM daily
GROUP BY account_id, budget_id
ORDER BY account_id, budget_id
