-- What the bandits decided about ads on a day.
-- Grain: ad.
-- Window: the run date.
-- Why: only ads can be enabled and paused; what is decided about audiences and keywords is not carried out here.
SELECT
  platform,
  account_id,
  campaign_id,
  adgroup_id,
  arm_id AS ad_id,
  action,
  reason
FROM models.bandit_decisions
WHERE run_date = @run_date AND arm_kind = 'ad'
ORDER BY platform, account_id, adgroup_id, arm_id
