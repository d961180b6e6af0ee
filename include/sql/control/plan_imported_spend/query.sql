-- Spend of an import by channel and period, summed over regions.
-- Grain: channel × period × currency.
-- Window: all periods that began before the run date.
-- Why: brought numbers have no budgets, so the plan of an import starts from what each channel spent.
SELECT
  channel,
  period_start_date,
  period_days,
  currency_code,
  CAST(SUM(spend_micros) AS INT64) AS spend_micros
FROM ads.imported_media
WHERE source = @source AND period_start_date < @run_date
GROUP BY channel, period_start_date, period_days, currency_code
ORDER BY channel, period_start_date
