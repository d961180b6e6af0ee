-- The health checks of one marketing-mix run, `verdict` among them.
-- Grain: check.
-- Window: none; one run.
-- Why: says how far the curves may be trusted.
SELECT `check`, result, value, threshold, detail
FROM models.mmm_reviews
WHERE run_id = @run_id
ORDER BY `check`
