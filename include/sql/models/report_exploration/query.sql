-- Spend of decided groups by day, the reserve that the decisions named, and what really went to others than the leaders.
-- Grain: account × day. Window: decisions of [@start_date, @run_date).
-- Why: the policy's share for exploration is one of spend, so it is measured in spend, by the rule of bandit_exploration: groups
-- without a choice explore nothing and do not count, nor does what a dropped arm still spent.
SELECT
  d.platform, d.account_id, d.run_date, d.currency_code,
  SUM(p.cost_micros) AS spend_micros,
  SUM(p.cost_micros * (d.reserve_ppm / 1000000)) AS reserve_micros,
  SUM(IF(d.is_leader, 0, p.cost_micros)) AS explore_spend_micros
FROM models.bandit_decisions AS d
JOIN ads.ads_ad_performance AS p
  ON p.platform = d.platform AND p.account_id = d.account_id AND p.campaign_id = d.campaign_id
  AND p.adgroup_id = d.adgroup_id AND p.ad_id = d.arm_id AND p.date = d.run_date
WHERE d.run_date >= @start_date AND d.run_date < @run_date AND d.reserve_ppm > 0 AND d.arm_kind = 'ad'
GROUP BY d.platform, d.account_id, d.run_date, d.currency_code
ORDER BY d.platform, d.account_id, d.run_date
