-- Influences other than media per period and geo.
-- Grain: period_start_date, geo, control, period_days.
-- Window: [@start_date, @run_date), complete Monday weeks; an import with weekly rows keeps its own weeks.
-- Why: without them the model credits media for promotions. Daily values are averaged, so that a control keeps its own unit.
WITH chosen AS (
  SELECT geo, control, period_start_date, period_days, value
  FROM ads.business_controls
  WHERE source = IF(@source = 'platforms', 'crm', @source) AND period_start_date >= @start_date
),
daily AS (
  SELECT geo, control, period_start_date AS day, value
  FROM chosen
  WHERE period_days = 1 AND period_start_date < DATE_TRUNC(@run_date, WEEK(MONDAY))
)
SELECT CAST(DATE_TRUNC(day, WEEK(MONDAY)) AS DATE) AS period_start_date, 7 AS period_days, geo, control, AVG(value) AS value
FROM daily
GROUP BY period_start_date, geo, control
UNION ALL
SELECT period_start_date, period_days, geo, control, value
FROM chosen
WHERE period_days > 1 AND DATE_ADD(period_start_date, INTERVAL period_days DAY) <= @run_date
