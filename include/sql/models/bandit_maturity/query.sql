-- Share of the conversions of an ad account that has arrived by each lag day, over its conversion actions.
-- Grain: account × lag day. Window: the newest estimate of each account in [@since_date, @run_date].
-- Why: the ads' rows count all actions together, so the curve is their mean weighted by conversions.
SELECT
  m.source AS platform, m.account_id, m.lag_days, SAFE_DIVIDE(SUM(m.share_mean * m.conversions), SUM(m.conversions)) AS share
FROM ga4.conversion_maturity AS m
JOIN (
  SELECT source, account_id, MAX(run_date) AS run_date
  FROM ga4.conversion_maturity
  WHERE run_date >= @since_date AND run_date <= @run_date AND source <> 'ga4'
  GROUP BY source, account_id
) AS newest ON newest.source = m.source AND newest.account_id = m.account_id AND newest.run_date = m.run_date
WHERE m.channel_group = 'all'
GROUP BY m.source, m.account_id, m.lag_days
ORDER BY platform, account_id, lag_days
