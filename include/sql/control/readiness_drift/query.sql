-- How the drift check of a day ended, without what a person has acknowledged.
-- Grain: platform, account; `all` for the model.
-- Window: @run_date.
-- Why: a model says nothing about data unlike that it learned from.
SELECT
  d.platform,
  d.account_id,
  COUNTIF(d.verdict = 'critical' AND a.acknowledgement_id IS NULL) AS critical,
  MIN(IF(d.verdict = 'critical' AND a.acknowledgement_id IS NULL, CONCAT(d.segment, ' ', d.column_name, ': ', d.detail), NULL)) AS first_critical
FROM control.drift_reports AS d
LEFT JOIN control.drift_acknowledgements AS a
  ON a.platform = d.platform AND a.account_id = d.account_id AND a.dataset = d.dataset AND a.segment = d.segment
  AND a.column_name = d.column_name AND a.run_date <= @run_date AND a.until_date >= @run_date
WHERE d.run_date = @run_date
GROUP BY d.platform, d.account_id
ORDER BY d.platform, d.account_id
