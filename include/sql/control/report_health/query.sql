-- How the loads and gates of the last days ended.
-- Grain: one line per load or gate check.
-- Window: @start_date to @run_date.
-- Why: a number is only as good as the load behind it.
SELECT
  run_date, CONCAT('load ', platform) AS step, account_id AS subject, status AS result, 0 AS failures,
  COALESCE(error, CONCAT(CAST(`rows` AS STRING), ' rows')) AS detail
FROM control.ingest_runs
WHERE run_date >= @start_date AND run_date <= @run_date
UNION ALL
SELECT
  run_date, CONCAT('gate before ', gate) AS step, CONCAT(table_name, ' / ', `check`) AS subject, severity AS result, failures,
  detail
FROM control.validation_results
WHERE run_date >= @start_date AND run_date <= @run_date AND failures > 0
ORDER BY run_date DESC, step, subject
