-- Response curves of one marketing-mix run with their 90 % intervals, summed over regions.
-- Grain: channel and spend per period.
-- Window: none; one run.
-- Why: the pictures of what each channel brings.
SELECT channel, spend_micros, outcome_mean, outcome_p05, outcome_p95, is_extrapolated
FROM models.mmm_curves
WHERE run_id = @run_id AND geo = 'national'
ORDER BY channel, spend_micros
