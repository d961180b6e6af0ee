-- Verdicts of the newest drift check, its most notable columns first.
-- Grain: platform, account_id, dataset, segment, column_name, method.
-- Window: the newest run date in [@start_date, @run_date].
-- Why: what a person looks at before trusting a plan.
SELECT
  d.run_date, d.platform, d.account_id, d.dataset, d.segment, d.column_name, d.method, d.value, d.critical_value, d.q_value, d.verdict, d.detail,
  EXISTS (
    SELECT 1 FROM control.drift_acknowledgements AS a
    WHERE a.platform = d.platform AND a.account_id = d.account_id AND a.dataset = d.dataset AND a.segment = d.segment
      AND a.column_name = d.column_name AND a.run_date <= @run_date AND a.until_date >= @run_date
  ) AS is_acknowledged
FROM control.drift_reports AS d
WHERE d.run_date = (SELECT MAX(run_date) FROM control.drift_reports WHERE run_date >= @start_date AND run_date <= @run_date)
ORDER BY d.platform, d.account_id, d.dataset, d.segment, d.column_name, d.method
