-- Decisions whose reward is not written yet, with what their arms spent and won on the day.
-- Grain: decision × arm. Window: decisions of [@start_date, @before_date).
-- Why: a reward is written once, when the click day is mature; an arm that did not deliver won nothing. Only what is decided about
-- ads is carried out, so only ads explore by decision.
SELECT
  d.run_date, d.platform, d.account_id, d.campaign_id, d.adgroup_id, d.arm_kind, d.arm_id, d.propensity, d.posterior_version,
  d.currency_code, COALESCE(p.cost_micros, 0) AS spend_micros,
  IF(d.arm_kind <> 'ad' OR d.is_leader OR d.reserve_ppm = 0, 0, COALESCE(p.cost_micros, 0)) AS explore_spend_micros,
  COALESCE(p.conversions, 0.0) AS conversions, COALESCE(p.revenue_micros, 0) AS revenue_micros
FROM models.bandit_decisions AS d
LEFT JOIN (
  SELECT
    platform, account_id, 'ad' AS arm_kind, campaign_id, adgroup_id, ad_id AS arm_id, date, cost_micros, conversions, revenue_micros
  FROM ads.ads_ad_performance
  WHERE date >= @start_date AND date < @before_date
  UNION ALL
  SELECT
    platform, account_id, criterion_kind AS arm_kind, campaign_id, adgroup_id, criterion_id AS arm_id, date, cost_micros,
    conversions, revenue_micros
  FROM ads.ads_criterion_performance
  WHERE date >= @start_date AND date < @before_date
) AS p
  ON p.platform = d.platform AND p.account_id = d.account_id AND p.arm_kind = d.arm_kind AND p.campaign_id = d.campaign_id
  AND p.adgroup_id = d.adgroup_id AND p.arm_id = d.arm_id AND p.date = d.run_date
LEFT JOIN models.bandit_rewards AS r
  ON r.run_date = d.run_date AND r.platform = d.platform AND r.account_id = d.account_id AND r.campaign_id = d.campaign_id
  AND r.adgroup_id = d.adgroup_id AND r.arm_kind = d.arm_kind AND r.arm_id = d.arm_id
WHERE d.run_date >= @start_date AND d.run_date < @before_date AND r.arm_id IS NULL
ORDER BY d.run_date, d.platform, d.account_id, d.campaign_id, d.adgroup_id, d.arm_kind, d.arm_id
