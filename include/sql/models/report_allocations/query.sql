-- Current and optimal spend per channel of one marketing-mix run, and what the move is worth.
-- Grain: channel.
-- Window: none; one run.
-- Why: current against optimal spend.
SELECT
  channel, current_spend_micros, optimal_spend_micros, binding_bound, roas_mean, roas_p03, roas_p97, outcome_current_mean,
  outcome_optimal_mean, outcome_gain_p05, outcome_gain_p95, marginal_cac_current_micros, p_cac_le_target, target_cac_micros,
  risk_measure
FROM models.mmm_allocations
WHERE run_id = @run_id
ORDER BY current_spend_micros DESC, channel
