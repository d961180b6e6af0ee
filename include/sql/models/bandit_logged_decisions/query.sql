-- The bandit's decisions of a day.
-- Grain: arm. Window: decisions of @run_date.
-- Why: a day is decided once, and what was decided can be decided again from its seed and state.
SELECT
  platform, account_id, campaign_id, adgroup_id, arm_kind, arm_id, action, split_share_ppm, explore_share_ppm, is_chosen, p_best,
  context, seed, posterior_version
FROM models.bandit_decisions
WHERE run_date = @run_date
ORDER BY platform, account_id, campaign_id, adgroup_id, arm_kind, arm_id
