-- Residuals of a marketing-mix run: what was observed less the parts of the main fit, which has seen every period.
-- Grain: period_start_date.
-- Window: all periods of run @run_id, national.
-- Why: a model that no longer explains the newest weeks as it explained the others must not plan. Not `total`, whose newest periods
-- come from a fit that was not shown them: their errors are larger by nature.
SELECT
  period_start_date, MAX(IF(component = 'total', observed, NULL)) - SUM(IF(component = 'total', 0.0, mean)) AS residual
FROM models.mmm_fit_weekly
WHERE run_id = @run_id AND geo = 'national'
GROUP BY period_start_date
ORDER BY period_start_date
