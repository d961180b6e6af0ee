-- Returns per channel of one run, for the review's checks.
-- Grain: channel.
-- Window: the run @run_id.
-- Why: an implausible return, or a curve that is only the prior's, shows here.
SELECT channel, current_spend_micros, outcome_current_mean, roas_mean, prior_contraction
FROM models.mmm_allocations
WHERE run_id = @run_id
