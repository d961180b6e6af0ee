-- Decisions whose reward is not written yet, with what their arms spent and won on the day.
-- Grain: decision × arm. Window: decisions of [@start_date, @before_date).
-- Why: a reward is written once, when the click day is mature; an arm that did not deliver won nothing.
SELECT
  d.run_date, d.platform, d.account_id, d.campaign_id, d.adgroup_id, d.arm_kind, d.arm_id, d.propensity, d.posterior_version,
  d.currency_code, COALESCE(p.cost_micros, 0) AS spend_micros,
  IF(d.is_leader OR d.reserve_ppm = 0, 0, COALESCE(p.cost_micros, 0)) AS explore_spend_micros,
  COALESCE(p.conversions, 0.0) AS conversions, COALESCE(p.revenue_micros, 0) AS revenue_micros
FROM models.bandit_decisions AS d
LEFT JOIN ads.ads_ad_performance AS p
  ON p.platform = d.platform AND p.account_id = d.account_id AND p.campaign_id = d.campaign_id
  AND p.adgroup_id = d.adgroup_id AND p.ad_id = d.arm_id AND p.date = d.run_date
LEFT JOIN models.bandit_rewards AS r
  ON r.run_date = d.run_date AND r.platform = d.platform AND r.account_id = d.account_id AND r.campaign_id = d.campaign_id
  AND r.adgroup_id = d.adgroup_id AND r.arm_kind = d.arm_kind AND r.arm_id = d.arm_id
WHERE d.run_date >= @start_date AND d.run_date < @before_date AND d.arm_kind = 'ad' AND r.arm_id IS NULL
ORDER BY d.run_date, d.platform, d.account_id, d.campaign_id, d.adgroup_id, d.arm_id
