-- The posteriors that the decisions of a day rest on.
-- Grain: arm × segment. Window: decisions of @run_date.
-- Why: restated data may have made a newer version since; a decision is repeated on the version it names.
SELECT
  p.platform, p.account_id, p.campaign_id, p.adgroup_id, p.arm_kind, p.arm_id, p.segment, p.posterior_version, p.arm_status,
  p.alpha, p.exposure_spend, p.cac_alpha, p.cac_exposure_spend, p.spend_micros, p.group_day_spend_micros, p.is_fatigued,
  p.currency_code
FROM models.bandit_posteriors AS p
JOIN (
  SELECT DISTINCT platform, account_id, campaign_id, adgroup_id, arm_kind, posterior_version
  FROM models.bandit_decisions
  WHERE run_date = @run_date
) AS d
  ON d.platform = p.platform AND d.account_id = p.account_id AND d.campaign_id = p.campaign_id AND d.adgroup_id = p.adgroup_id
  AND d.arm_kind = p.arm_kind AND d.posterior_version = p.posterior_version
WHERE p.run_date = @run_date
ORDER BY p.platform, p.account_id, p.campaign_id, p.adgroup_id, p.arm_kind, p.arm_id, p.segment
