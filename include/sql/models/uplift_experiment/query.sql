-- An experiment as it was imported, and as its assignments stand.
-- Grain: one row, none for an unknown experiment.
-- Window: all days.
-- Why: fit-uplift refuses an import that broke off, and needs to know what was assigned before it joins visits.
SELECT
  e.experiment_id,
  e.is_randomised,
  e.units,
  e.channel,
  e.treatment_spend_micros,
  e.control_spend_micros,
  e.currency_code,
  e.spend_days,
  e.coverage_ratio,
  COUNT(a.unit_id) AS assigned,
  COUNTIF(a.loaded_at <> e.loaded_at) AS of_other_import,
  MIN(a.unit_id_kind) AS unit_id_kind,
  MIN(a.assigned_date) AS first_assigned_date,
  MAX(a.assigned_date) AS last_assigned_date
FROM gaelp_users.experiments AS e
LEFT JOIN gaelp_users.experiment_assignments AS a ON a.experiment_id = e.experiment_id
WHERE e.experiment_id = @experiment_id
GROUP BY
  e.experiment_id, e.is_randomised, e.units, e.channel, e.treatment_spend_micros, e.control_spend_micros, e.currency_code,
  e.spend_days, e.coverage_ratio
