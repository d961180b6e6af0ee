-- Posterior draws of one MMM run.
-- Grain: geo × channel × draw.
-- Window: the run.
-- Why: P(marginal CAC ≤ target) is counted over joint draws; means would hide the tail (M4).
SELECT
  run_id,
  geo,
  channel,
  draw,
  form,
  adstock_alpha,
  saturation_lam,
  outcome_beta,
  spend_scale,
  spend_share
FROM models.mmm_draws
WHERE run_id = @run_id
ORDER BY channel, draw, geo
