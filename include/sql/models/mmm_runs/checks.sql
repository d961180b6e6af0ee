-- Checks of models.mmm_runs for @source. Format: tasks/quality/checks_file.py.

#fail no_usable_run
#remedy A plan needs a fitted and reviewed model: run `aelp2 fit-mmm` and `aelp2 review-mmm`, and read models.mmm_reviews if it FAILs.
SELECT @source AS source, COUNT(*) AS runs
FROM models.mmm_runs AS r
JOIN models.mmm_reviews AS v ON v.run_id = r.run_id
WHERE r.source = @source AND r.run_date <= @run_date AND v.check = 'verdict' AND v.result IN ('PASS', 'REVIEW')
HAVING COUNT(*) = 0

#warn newest_run_is_old
#remedy The model is older than two weeks: see why mmm_weekly did not run or did not pass.
SELECT source, MAX(run_date) AS last_run_date
FROM models.mmm_runs
WHERE source = @source AND run_date <= @run_date
GROUP BY source
HAVING MAX(run_date) < DATE_SUB(@run_date, INTERVAL 14 DAY)
