-- Every budget's decision on the day of the newest plan, also the budgets that were left alone.
-- Grain: account and budget.
-- Window: the last day up to @run_date on which the source was planned.
-- Why: "why was this one not touched" is asked as often as "why was that one".
SELECT run_date, platform, account_id, budget_id, decision, `constraint`, detail
FROM control.plan_decisions
WHERE ((@source = 'platforms' AND platform != 'imported') OR (platform = 'imported' AND account_id = @source))
  AND run_date = (
    SELECT MAX(run_date)
    FROM control.plan_decisions
    WHERE run_date <= @run_date
      AND ((@source = 'platforms' AND platform != 'imported') OR (platform = 'imported' AND account_id = @source))
  )
ORDER BY account_id, decision, budget_id
