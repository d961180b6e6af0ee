-- The bandit's state of a day: the newest version of each group.
-- Grain: arm × segment. Window: @run_date.
-- Why: restated data make a second version of a day; decisions name the one they rest on, new ones take the newest.
SELECT
  platform, account_id, campaign_id, adgroup_id, arm_kind, arm_id, segment, posterior_version, arm_status, alpha, exposure_spend,
  cac_alpha, cac_exposure_spend, spend_micros, group_day_spend_micros, is_fatigued, currency_code
FROM models.bandit_posteriors
WHERE run_date = @run_date
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY platform, account_id, campaign_id, adgroup_id, arm_kind, arm_id, segment ORDER BY loaded_at DESC, posterior_version
) = 1
ORDER BY platform, account_id, campaign_id, adgroup_id, arm_kind, arm_id, segment
