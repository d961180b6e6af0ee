-- Parts, totals and held-out predictions of one marketing-mix run.
-- Grain: period_start_date, component.
-- Window: all periods of run @run_id, national.
-- Why: what the run says of weeks it was not shown, and of what to start from for the next one.
SELECT period_start_date, component, observed, mean, p05, p95, is_holdout
FROM models.mmm_fit_weekly
WHERE run_id = @run_id AND geo = 'national'
ORDER BY period_start_date, component
