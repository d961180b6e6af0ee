-- Checks of models.mmm_draws for @source. Format: tasks/quality/checks_file.py.

#fail reviewed_run_without_draws
#remedy The model cannot be planned with: run `aelp2 fit-mmm` again for its run date.
SELECT r.run_id, r.run_date
FROM models.mmm_runs AS r
JOIN models.mmm_reviews AS v ON v.run_id = r.run_id AND v.check = 'verdict' AND v.result IN ('PASS', 'REVIEW')
LEFT JOIN models.mmm_draws AS d ON d.run_id = r.run_id
WHERE r.source = @source AND r.run_date <= @run_date AND d.run_id IS NULL
