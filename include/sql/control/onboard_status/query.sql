-- What has landed of each ad account and how its last load ended.
-- Grain: platform, account.
-- Window: all that is stored.
-- Why: `aelp2 onboard --status` shows people where data is missing.
SELECT
  a.platform,
  a.account_id,
  p.newest_date,
  COALESCE(p.stored_rows, 0) AS stored_rows,
  r.last_load_at,
  r.last_status
FROM ads.ads_accounts AS a
LEFT JOIN (
  SELECT platform, account_id, MAX(date) AS newest_date, COUNT(*) AS stored_rows
  FROM ads.ads_campaign_performance
  GROUP BY platform, account_id
) AS p ON p.platform = a.platform AND p.account_id = a.account_id
LEFT JOIN (
  SELECT
    platform,
    account_id,
    finished_at AS last_load_at,
    status AS last_status,
    ROW_NUMBER() OVER (PARTITION BY platform, account_id ORDER BY finished_at DESC) AS place
  FROM control.ingest_runs
) AS r ON r.platform = a.platform AND r.account_id = a.account_id AND r.place = 1
ORDER BY a.platform, a.account_id
