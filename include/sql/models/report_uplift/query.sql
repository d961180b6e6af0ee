-- Qini curve of the learner whose scores are used, with its 90 % interval and the straight line of a random order.
-- Grain: run date, experiment, share of people treated.
-- Window: fits from @start_date to @run_date; the reader takes the newest of each experiment.
-- Why: the picture of whether treating the best people first wins more than treating any.
SELECT
  c.date, c.experiment_id, c.learner, c.effect_kind, c.share, c.gain, c.gain_p05, c.gain_p95, c.gain_random, l.qini_p05
FROM models.uplift_curves AS c
JOIN models.uplift_learners_daily AS l
  ON l.date = c.date AND l.experiment_id = c.experiment_id AND l.learner = c.learner
WHERE c.date >= @start_date AND c.date <= @run_date AND l.date >= @start_date AND l.date <= @run_date AND l.is_chosen
ORDER BY c.date, c.experiment_id, c.share
