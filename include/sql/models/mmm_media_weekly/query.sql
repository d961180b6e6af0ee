-- Spend per period, geo and channel: the media side of the marketing-mix model.
-- Grain: period_start_date, geo, channel, is_remarketing, currency_code, period_days.
-- Window: [@start_date, @run_date), complete Monday weeks; an import with weekly rows keeps its own weeks.
-- Why: a day's noise says nothing about carry-over; `days_seen` (over all channels) lets the caller leave out broken weeks.
-- Spend of the platforms comes in the currency of the outcome, where a rate is known.
-- Campaigns of @remarketing_campaign_ids are told apart, so that a channel can be split; brought numbers know no campaigns.
WITH daily AS (
  SELECT
    'national' AS geo, channel, campaign_id IN UNNEST(@remarketing_campaign_ids) AS is_remarketing, date AS day, currency_code,
    cost_micros AS spend_micros
  FROM ads.business_spend_daily
  WHERE @source = 'platforms' AND date >= @start_date AND date < DATE_TRUNC(@run_date, WEEK(MONDAY))
  UNION ALL
  SELECT geo, channel, FALSE AS is_remarketing, period_start_date AS day, currency_code, spend_micros
  FROM ads.imported_media
  WHERE source = @source AND period_days = 1
    AND period_start_date >= @start_date AND period_start_date < DATE_TRUNC(@run_date, WEEK(MONDAY))
),
days AS (
  SELECT CAST(DATE_TRUNC(day, WEEK(MONDAY)) AS DATE) AS period_start_date, COUNT(DISTINCT day) AS days_seen
  FROM daily
  GROUP BY period_start_date
),
weekly AS (
  SELECT CAST(DATE_TRUNC(day, WEEK(MONDAY)) AS DATE) AS period_start_date, geo, channel, is_remarketing, currency_code, CAST(SUM(spend_micros) AS INT64) AS spend_micros
  FROM daily
  GROUP BY period_start_date, geo, channel, is_remarketing, currency_code
)
SELECT
  weekly.period_start_date, 7 AS period_days, weekly.geo, weekly.channel, weekly.is_remarketing, weekly.currency_code,
  weekly.spend_micros, days.days_seen
FROM weekly
JOIN days ON days.period_start_date = weekly.period_start_date
UNION ALL
SELECT period_start_date, period_days, geo, channel, FALSE AS is_remarketing, currency_code, spend_micros, period_days AS days_seen
FROM ads.imported_media
WHERE source = @source AND period_days > 1
  AND period_start_date >= @start_date AND DATE_ADD(period_start_date, INTERVAL period_days DAY) <= @run_date
