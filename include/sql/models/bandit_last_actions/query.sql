-- The newest decision on each arm before a day.
-- Grain: arm. Window: decisions before @run_date.
-- Why: a paused ad is taken up again only if the bandit had it paused; what a person paused stays paused.
SELECT platform, account_id, campaign_id, adgroup_id, arm_kind, arm_id, action
FROM models.bandit_decisions
WHERE run_date < @run_date
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY platform, account_id, campaign_id, adgroup_id, arm_kind, arm_id ORDER BY run_date DESC
) = 1
