-- How often what came lay inside the 90 % interval that was predicted of it, by the newest evaluation.
-- Grain: platform, account, basis, target.
-- Window: the newest run date of [@start_date, @run_date]; periods whose outcome is unknown are counted apart.
-- Why: the pairs are evaluate-fidelity's; for a given spend the outcome lies in its interval exactly when the CAC lies in its own.
SELECT
  v.run_date, v.platform, v.account_id, v.basis, v.target, v.detail,
  COUNT(p.realised) AS periods,
  COUNTIF(p.prediction_ref IS NOT NULL AND p.realised IS NULL) AS unknown_periods,
  COUNTIF(p.realised >= p.predicted_p05 AND p.realised <= p.predicted_p95) AS hits,
  SUM(IF(p.realised IS NULL, NULL, p.spend_micros)) AS spend_micros,
  SUM(IF(p.realised IS NULL, NULL, p.predicted_mean)) AS predicted,
  SUM(p.realised) AS realised,
  MIN(p.currency_code) AS currency_code,
  MIN(p.period_start_date) AS window_start_date,
  MAX(DATE_ADD(p.period_start_date, INTERVAL p.period_days - 1 DAY)) AS window_end_date
FROM control.fidelity_evaluations AS v
LEFT JOIN control.fidelity_periods AS p
  ON p.run_date = v.run_date AND p.platform = v.platform AND p.account_id = v.account_id AND p.basis = v.basis AND p.target = v.target
WHERE v.metric = 'verdict' AND v.run_date = (
  SELECT MAX(run_date) FROM control.fidelity_evaluations WHERE run_date >= @start_date AND run_date <= @run_date
)
GROUP BY v.run_date, v.platform, v.account_id, v.basis, v.target, v.detail
ORDER BY v.platform, v.account_id, v.basis, v.target
