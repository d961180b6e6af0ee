-- What the lift tests of one run measured and what its curves say of the same steps, for the review's checks.
-- Grain: experiment_id.
-- Window: the run @run_id.
-- Why: a model that was told of an experiment and still contradicts it has something wrong, the data or the test.
SELECT experiment_id, channel, delta_y, sigma, model_mean, model_sd
FROM models.mmm_lift_tests
WHERE run_id = @run_id
ORDER BY experiment_id
