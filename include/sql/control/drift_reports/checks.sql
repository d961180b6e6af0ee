-- Checks of control.drift_reports. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date].

#fail not_checked_today
#remedy Run `aelp2 check-drift` for the run date: a plan is not made on data that nobody has compared.
SELECT MAX(run_date) AS last_run_date
FROM control.drift_reports
WHERE run_date >= @start_date AND run_date <= @run_date
HAVING MAX(run_date) < @run_date

#fail critical_drift
#remedy Look at the drift report. If the change is real and wanted: `aelp2 check-drift --run-date … --acknowledge platform:account --why "…"`; else mend the source.
SELECT d.platform, d.account_id, d.dataset, d.segment, d.column_name, MIN(d.detail) AS detail
FROM control.drift_reports AS d
LEFT JOIN control.drift_acknowledgements AS a
  ON a.platform = d.platform AND a.account_id = d.account_id AND a.dataset = d.dataset AND a.segment = d.segment
  AND a.column_name = d.column_name AND a.run_date <= @run_date AND a.until_date >= @run_date
WHERE d.run_date = @run_date AND d.verdict = 'critical' AND a.acknowledgement_id IS NULL
  -- The spend of an account whose budgets are not moved enters the plan through the model, whose own drift stops it.
  AND NOT (
    d.dataset = 'ads_facts' AND EXISTS (SELECT 1 FROM ads.campaign_budgets)
    AND NOT EXISTS (SELECT 1 FROM ads.campaign_budgets AS b WHERE b.platform = d.platform AND b.account_id = d.account_id)
  )
GROUP BY d.platform, d.account_id, d.dataset, d.segment, d.column_name

#warn critical_drift_without_budgets
#remedy The account's budgets are not moved, so no plan is stopped; its ads are held. Look at the drift report.
SELECT d.platform, d.account_id, d.dataset, d.segment, d.column_name, MIN(d.detail) AS detail
FROM control.drift_reports AS d
WHERE d.run_date = @run_date AND d.verdict = 'critical' AND d.dataset = 'ads_facts' AND d.run_date >= @start_date
  AND NOT EXISTS (SELECT 1 FROM ads.campaign_budgets AS b WHERE b.platform = d.platform AND b.account_id = d.account_id)
GROUP BY d.platform, d.account_id, d.dataset, d.segment, d.column_name

#warn drift
#remedy No plan is stopped by it; look at the drift report before you approve.
SELECT platform, account_id, dataset, segment, column_name, MIN(detail) AS detail
FROM control.drift_reports
WHERE run_date = @run_date AND verdict = 'warning' AND run_date >= @start_date
GROUP BY platform, account_id, dataset, segment, column_name
