-- Lift tests of one target that fit-mmm may calibrate with, those included that it will leave out and name.
-- Grain: experiment_id.
-- Window: tests measured up to and including @run_date.
-- Why: a test of an import belongs to that import's model; rows from before tests had a source are of the platforms.
SELECT
  experiment_id, channel, design, effect_kind, x, delta_x, delta_y, sigma, period_days, currency_code, test_start_date,
  test_end_date, is_usable, withheld_reason
FROM models.lift_tests
WHERE target = @target AND COALESCE(source, 'platforms') = @source AND run_date <= @run_date
ORDER BY experiment_id
