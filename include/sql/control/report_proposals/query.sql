-- What one change set proposes and why.
-- Grain: change.
-- Window: none; one change set.
-- Why: the table a person reads first.
SELECT
  change_id, budget_id, campaign_ids, channel, currency_code, amount_before_micros, amount_after_micros, optimum_micros,
  reason, binding_constraint, expected_new_customers_mean, expected_new_customers_p05, expected_new_customers_p95,
  set_new_customers_mean, set_new_customers_p05, set_new_customers_p95,
  marginal_cac_p50_micros, marginal_cac_p95_micros, target_cac_micros, p_cac_le_target, buffer_pct, is_extrapolated,
  data_through_date, mmm_run_id
FROM control.budget_proposals
WHERE change_set_id = @change_set_id
ORDER BY channel, budget_id
