-- Newest day of each account that a load asked for and that landed.
-- Grain: platform × account.
-- Window: loads up to the run date.
-- Why: an account whose campaigns are all paused sends no rows; its data are as fresh as its last load, not as its last spend.
SELECT
  platform,
  account_id,
  MAX(end_date) AS landed_date
FROM control.ingest_runs
WHERE run_date <= @run_date AND end_date >= start_date
GROUP BY platform, account_id
ORDER BY platform, account_id
