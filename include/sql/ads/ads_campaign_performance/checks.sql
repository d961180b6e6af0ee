-- Checks of ads.ads_campaign_performance. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date).

#fail written_before_the_day_was_over
#remedy The rows hold a day that was not over when they were loaded: look at the account's time zone, then load the day again.
-- A day ends at most 12 hours after it ends in UTC, so a row may be at most one day ahead of its load.
SELECT platform, account_id, campaign_id, date, loaded_at
FROM ads.ads_campaign_performance
WHERE date >= @start_date AND date < @run_date
  AND DATE_DIFF(date, DATE(loaded_at), DAY) > 1

#fail missing_days
#remedy Load them with `aelp2 ingest-ads --start-date`; a model would read the gap as no spend.
-- A platform sends no row for a day without delivery (a paused account, a business that rests at week-ends). A day that a load
-- asked for and that landed is such a day; only a day no load covers is missing.
WITH delivered AS (
  SELECT DISTINCT platform, account_id, date
  FROM ads.ads_campaign_performance
  WHERE date >= @start_date AND date < @run_date
),
calendar AS (
  SELECT spans.platform, spans.account_id, date
  FROM (
    SELECT platform, account_id, MIN(date) AS first_date, MAX(date) AS last_date
    FROM delivered
    GROUP BY platform, account_id
  ) AS spans
  CROSS JOIN UNNEST(GENERATE_DATE_ARRAY(spans.first_date, spans.last_date)) AS date
),
landed AS (
  SELECT DISTINCT runs.platform, runs.account_id, date
  FROM control.ingest_runs AS runs
  CROSS JOIN UNNEST(GENERATE_DATE_ARRAY(runs.start_date, runs.end_date)) AS date
  WHERE runs.end_date >= runs.start_date
)
SELECT calendar.platform, calendar.account_id, calendar.date
FROM calendar
LEFT JOIN delivered
  ON delivered.platform = calendar.platform AND delivered.account_id = calendar.account_id AND delivered.date = calendar.date
LEFT JOIN landed
  ON landed.platform = calendar.platform AND landed.account_id = calendar.account_id AND landed.date = calendar.date
WHERE delivered.date IS NULL AND landed.date IS NULL

#warn rows_dropped
#remedy Less than half the usual campaigns came in for the newest day: were campaigns paused? If not, see control.ingest_runs and load the day again.
SELECT platform, account_id, date, row_count, median_row_count
FROM (
  SELECT
    platform, account_id, date, row_count,
    PERCENTILE_CONT(row_count, 0.5) OVER (PARTITION BY platform, account_id) AS median_row_count
  FROM (
    SELECT platform, account_id, date, COUNT(*) AS row_count
    FROM ads.ads_campaign_performance
    WHERE date >= DATE_SUB(@run_date, INTERVAL 29 DAY) AND date < @run_date
    GROUP BY platform, account_id, date
  ) AS daily
) AS compared
WHERE date = DATE_SUB(@run_date, INTERVAL 1 DAY) AND row_count < 0.5 * median_row_count

#fail clicks_above_impressions
#remedy Load the day again; if it stays, report it to the platform with the account and the day.
-- LinkedIn counts clicks on messages but no impressions of them, X every click on a post: there it is no defect.
SELECT platform, account_id, campaign_id, date, impressions, clicks
FROM ads.ads_campaign_performance
WHERE date >= @start_date AND date < @run_date AND clicks > impressions
  AND platform NOT IN ('linkedin', 'x')

#fail currency_changes
#remedy One account has one currency: compare with ads.ads_accounts and load the account again.
SELECT p.platform, p.account_id, MIN(p.currency_code) AS first_currency, MAX(p.currency_code) AS last_currency
FROM ads.ads_campaign_performance AS p
WHERE p.date >= @start_date AND p.date < @run_date
GROUP BY p.platform, p.account_id
HAVING COUNT(DISTINCT p.currency_code) > 1

#warn account_is_stale
#remedy Other accounts are newer: see the account's row in control.ingest_runs.
-- The freshness of the whole table is checked against its contract; this finds the one account that stands still.
SELECT platform, account_id, MAX(date) AS last_date
FROM ads.ads_campaign_performance
WHERE date >= @start_date AND date < @run_date
GROUP BY platform, account_id
HAVING MAX(date) < DATE_SUB(@run_date, INTERVAL 2 DAY)

#warn cost_outlier
#remedy Ask who changed what on that day (ads.ads_change_events); a real event belongs into the controls of the model.
-- Robust z: distance from the median of the same weekday in ten weeks over 1.4826 × MAD, at least 10 % of the median
-- so that a campaign with perfectly even spend does not report noise. Only the last seven days are judged.
WITH days AS (
  SELECT platform, account_id, campaign_id, date, cost_micros, MOD(DATE_DIFF(date, DATE '1970-01-01', DAY), 7) AS weekday
  FROM ads.ads_campaign_performance
  WHERE date >= DATE_SUB(@run_date, INTERVAL 70 DAY) AND date < @run_date
),
centred AS (
  SELECT
    platform, account_id, campaign_id, date, weekday, cost_micros,
    PERCENTILE_CONT(cost_micros, 0.5) OVER (PARTITION BY platform, account_id, campaign_id, weekday) AS median_cost_micros
  FROM days
),
spread AS (
  SELECT
    platform, account_id, campaign_id, date, cost_micros, median_cost_micros,
    PERCENTILE_CONT(ABS(cost_micros - median_cost_micros), 0.5)
      OVER (PARTITION BY platform, account_id, campaign_id, weekday) AS mad_micros
  FROM centred
)
SELECT platform, account_id, campaign_id, date, cost_micros, median_cost_micros
FROM spread
WHERE date >= DATE_SUB(@run_date, INTERVAL 7 DAY)
  AND ABS(cost_micros - median_cost_micros) > 8 * GREATEST(1.4826 * mad_micros, 0.1 * median_cost_micros)

#warn conversions_without_clicks
#remedy View-through conversions do this; anywhere else check the conversion settings of the campaign.
SELECT platform, account_id, campaign_id, SUM(conversions) AS all_conversions, SUM(clicks) AS all_clicks
FROM ads.ads_campaign_performance
WHERE date >= @start_date AND date < @run_date
GROUP BY platform, account_id, campaign_id
HAVING SUM(conversions) > 0 AND SUM(clicks) = 0
