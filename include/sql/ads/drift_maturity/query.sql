-- Share of the ad platforms' conversions that has arrived by each lag, an account's actions weighed by their conversions.
-- Grain: account_id, lag_days.
-- Window: the newest estimate up to @run_date.
-- Why: conversions of young days look like a fall that is none.
SELECT account_id, lag_days, SUM(share_mean * conversions) / SUM(conversions) AS share
FROM ga4.conversion_maturity
WHERE source = 'google_ads' AND channel_group = 'all' AND conversions > 0
  AND run_date = (SELECT MAX(run_date) FROM ga4.conversion_maturity WHERE source = 'google_ads' AND run_date <= @run_date)
GROUP BY account_id, lag_days
ORDER BY account_id, lag_days
