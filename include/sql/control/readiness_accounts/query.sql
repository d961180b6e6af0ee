-- The newest day of delivery of each ad account, and of new customers of the business.
-- Grain: platform, account.
-- Window: days before @run_date.
-- Why: a change may not rest on data that stopped coming.
SELECT
  platform,
  account_id,
  MAX(date) AS newest_date,
  (
    SELECT MAX(DATE_ADD(period_start_date, INTERVAL period_days - 1 DAY))
    FROM ads.business_outcomes
    WHERE source = 'crm' AND period_start_date < @run_date
  ) AS newest_outcome_date
FROM ads.ads_campaign_performance
WHERE date < @run_date
GROUP BY platform, account_id
ORDER BY platform, account_id
