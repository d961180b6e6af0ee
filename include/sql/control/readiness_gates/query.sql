-- How the gates of a day ended.
-- Grain: gate.
-- Window: @run_date.
-- Why: a gate that did not run is no gate that passed.
SELECT
  gate,
  COUNT(*) AS checks,
  COUNTIF(severity = 'critical' AND failures > 0) AS failed,
  MIN(IF(severity = 'critical' AND failures > 0, CONCAT(table_name, ' / ', `check`, ': ', detail), NULL)) AS first_failure
FROM control.validation_results
WHERE run_date = @run_date
GROUP BY gate
ORDER BY gate
