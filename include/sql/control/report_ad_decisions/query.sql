-- What the newest plan for ads made of the bandits' decisions: how many went which way, and the first of each way.
-- Grain: ad; at most @most_rows of each account, decision and constraint, `alike` says how many there are.
-- Window: the newest run date of each account in [@start_date, @run_date].
-- Why: "why was this one not touched" is asked as often as "why was that one".
WITH newest AS (
  SELECT platform, account_id, MAX(run_date) AS run_date
  FROM control.ad_decisions
  WHERE run_date >= @start_date AND run_date <= @run_date
  GROUP BY platform, account_id
)
SELECT
  d.run_date, d.platform, d.account_id, d.adgroup_id, d.ad_id, d.decision, d.`constraint`, d.detail,
  COUNT(*) OVER (PARTITION BY d.platform, d.account_id, d.decision, d.`constraint`) AS alike
FROM control.ad_decisions AS d
JOIN newest AS n ON n.platform = d.platform AND n.account_id = d.account_id AND n.run_date = d.run_date
WHERE d.run_date >= @start_date AND d.run_date <= @run_date
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY d.platform, d.account_id, d.decision, d.`constraint` ORDER BY d.adgroup_id, d.ad_id
) <= @most_rows
ORDER BY d.platform, d.account_id, d.decision, d.`constraint`, d.adgroup_id, d.ad_id
