-- How many groups and arms each account decided on its newest day, and what became of the arms.
-- Grain: account and kind of arm.
-- Window: the newest run date with decisions of each account in [@start_date, @run_date].
-- Why: the page shows the largest groups only; the sums are of all.
WITH newest AS (
  SELECT platform, account_id, MAX(run_date) AS run_date
  FROM models.bandit_decisions
  WHERE run_date >= @start_date AND run_date <= @run_date
  GROUP BY platform, account_id
)
SELECT
  d.platform, d.account_id, d.run_date, d.arm_kind,
  COUNT(DISTINCT CONCAT(d.campaign_id, '/', d.adgroup_id)) AS decided_groups,
  COUNT(*) AS decided_arms,
  COUNTIF(d.action = 'pause') AS dropped_arms,
  COUNTIF(d.action = 'enable') AS enabled_arms
FROM models.bandit_decisions AS d
JOIN newest AS n ON n.platform = d.platform AND n.account_id = d.account_id AND n.run_date = d.run_date
WHERE d.run_date >= @start_date AND d.run_date <= @run_date
GROUP BY d.platform, d.account_id, d.run_date, d.arm_kind
ORDER BY d.platform, d.account_id, d.arm_kind
