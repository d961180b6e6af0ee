-- Outcome per unit of spend of each channel in an MMM run, with its interval.
-- Grain: channel. Window: the run.
-- Why: above a campaign stands what is causal of its channel, where that is known.
SELECT channel, roas_mean, roas_p03, roas_p97
FROM models.mmm_allocations
WHERE run_id = @run_id
ORDER BY channel
