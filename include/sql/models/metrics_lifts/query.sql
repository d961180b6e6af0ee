-- Lift tests of new customers on the ad platforms that are causal and usable.
-- Grain: experiment.
-- Window: ended on @start_date to the day before @run_date, measured up to @run_date.
-- Why: only where a lot decided does a step in spend tell what one more customer really cost.
SELECT experiment_id, channel, delta_x, delta_y, sigma, currency_code, test_start_date, test_end_date
FROM models.lift_tests
WHERE target = 'new_customers' AND COALESCE(source, 'platforms') = 'platforms' AND is_usable AND effect_kind = 'causal'
  AND run_date <= @run_date AND test_end_date >= @start_date AND test_end_date < @run_date
ORDER BY experiment_id
