-- Observed and predicted outcome of one run with its parts, for the review's checks.
-- Grain: period_start_date, component.
-- Window: all periods of run @run_id, national.
-- Why: baseline, coverage and media share are judged on the published rows, not on numbers nobody else can see.
SELECT period_start_date, component, observed, mean, p05, p95, is_holdout
FROM models.mmm_fit_weekly
WHERE run_id = @run_id AND geo = 'national'
