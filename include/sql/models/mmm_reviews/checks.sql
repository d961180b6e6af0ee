-- Checks of models.mmm_reviews for @source. Format: tasks/quality/checks_file.py.

#warn newest_run_failed
#remedy The newest model FAILed, so plans use the one before: read the named checks in models.mmm_reviews.
SELECT v.run_id, r.run_date, v.detail
FROM models.mmm_reviews AS v
JOIN models.mmm_runs AS r ON r.run_id = v.run_id
JOIN (SELECT MAX(run_date) AS run_date FROM models.mmm_runs WHERE source = @source AND run_date <= @run_date) AS newest
  ON newest.run_date = r.run_date
WHERE r.source = @source AND v.check = 'verdict' AND v.result = 'FAIL'
