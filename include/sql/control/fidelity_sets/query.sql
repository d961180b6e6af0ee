-- Change sets whose budgets were changed, what the plan expected of them, and when they ended if they were rolled back.
-- Grain: change_set_id.
-- Window: applied on @start_date to the day before @run_date.
-- Why: only what was really changed can be held against what came.
WITH applied AS (
  SELECT change_set_id, MIN(DATE(`at`)) AS applied_date
  FROM control.canary_changes
  WHERE event = 'applied' AND change_id = ''
  GROUP BY change_set_id
),
undone AS (
  SELECT change_set_id, MIN(DATE(`at`)) AS ended_date
  FROM control.canary_changes
  WHERE event = 'rolled_back' AND change_id = ''
  GROUP BY change_set_id
)
SELECT
  proposals.change_set_id, proposals.platform, proposals.account_id, MAX(runs.target) AS target, applied.applied_date, undone.ended_date,
  MAX(proposals.set_new_customers_mean) AS expected_mean, MAX(proposals.set_new_customers_p05) AS expected_p05,
  MAX(proposals.set_new_customers_p95) AS expected_p95,
  CAST(SUM(proposals.amount_after_micros - proposals.amount_before_micros) AS INT64) AS step_micros
FROM control.budget_proposals AS proposals
JOIN applied ON applied.change_set_id = proposals.change_set_id
JOIN models.mmm_runs AS runs ON runs.run_id = proposals.mmm_run_id
LEFT JOIN undone ON undone.change_set_id = proposals.change_set_id
WHERE applied.applied_date >= @start_date AND applied.applied_date < @run_date
GROUP BY proposals.change_set_id, proposals.platform, proposals.account_id, applied.applied_date, undone.ended_date
ORDER BY applied.applied_date, proposals.change_set_id
