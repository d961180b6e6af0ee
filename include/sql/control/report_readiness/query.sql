-- The newest assessment of each account: every check, and the verdict.
-- Grain: platform, account_id, check.
-- Window: the newest run date of each account in [@start_date, @run_date].
-- Why: says whether the canary may touch an account, and if not, why.
SELECT platform, account_id, run_date, `check`, is_ready, detail, assessed_at
FROM control.readiness
WHERE run_date >= @start_date AND run_date <= @run_date
QUALIFY RANK() OVER (PARTITION BY platform, account_id ORDER BY run_date DESC) = 1
ORDER BY platform, account_id, `check`
