-- Guardrails of one change set, day by day.
-- Grain: day and guardrail.
-- Window: up to and including @run_date.
-- Why: shows what the canary was judged by.
SELECT run_date, guardrail, value, threshold, result, detail
FROM control.canary_watch
WHERE change_set_id = @change_set_id AND run_date <= @run_date
ORDER BY run_date, guardrail
