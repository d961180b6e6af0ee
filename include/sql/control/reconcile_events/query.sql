-- Changes of budget amounts and of ads' statuses by anybody, as the platforms log them.
-- Grain: change event.
-- Window: @start_date up to and including @run_date.
-- Why: each is either in our ledger or was made by somebody else.
SELECT
  platform,
  account_id,
  change_event_id,
  date,
  resource_type,
  resource_id,
  amount_before_micros,
  amount_after_micros,
  status_before,
  status_after,
  changed_at
FROM ads.ads_change_events
WHERE date >= @start_date
  AND date <= @run_date
  AND (
    (resource_type = 'CAMPAIGN_BUDGET' AND (amount_before_micros IS NOT NULL OR amount_after_micros IS NOT NULL))
    OR (resource_type = 'AD_GROUP_AD' AND (status_before IS NOT NULL OR status_after IS NOT NULL))
  )
ORDER BY platform, account_id, changed_at, change_event_id
