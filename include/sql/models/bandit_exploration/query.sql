-- What exploration really cost: spend of decided groups, and the part of it that went to others than the leader.
-- Grain: account. Window: decisions of [@start_date, @run_date); week_spend_micros is that of the last seven days.
-- Why: the policy's share for exploration is one of spend, and delivery never follows a split exactly; the next reserve makes up
-- for it. Groups without a choice explore nothing and do not count, nor does what a dropped arm still spent. Ads only:
-- a keyword or an audience splits the same spend anew, and nobody carries out what is decided about it.
SELECT
  d.platform,
  d.account_id,
  SUM(p.cost_micros) AS spend_micros,
  SUM(IF(DATE_DIFF(@run_date, d.run_date, DAY) <= 7, p.cost_micros, 0)) AS week_spend_micros,
  SUM(IF(d.is_leader, 0, p.cost_micros)) AS explore_spend_micros,
  COUNT(DISTINCT d.run_date) AS decided_days
FROM models.bandit_decisions AS d
JOIN ads.ads_ad_performance AS p
  ON p.platform = d.platform AND p.account_id = d.account_id AND p.campaign_id = d.campaign_id
  AND p.adgroup_id = d.adgroup_id AND p.ad_id = d.arm_id AND p.date = d.run_date
WHERE d.run_date >= @start_date AND d.run_date < @run_date AND d.reserve_ppm > 0 AND d.arm_kind = 'ad'
GROUP BY d.platform, d.account_id
ORDER BY d.platform, d.account_id
