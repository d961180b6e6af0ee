-- Observed and predicted outcome per period of one marketing-mix run, summed over regions.
-- Grain: period.
-- Window: none; one run.
-- Why: fit and held-out periods.
SELECT period_start_date, observed, mean, p05, p95, is_holdout
FROM models.mmm_fit_weekly
WHERE run_id = @run_id AND geo = 'national' AND component = 'total'
ORDER BY period_start_date
