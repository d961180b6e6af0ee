-- Changes anybody made to budgets and campaigns.
-- Grain: change event.
-- Window: since_date up to and including the run date (a change made this morning counts).
-- Why: the learning phase and the rolling 24 h cap (M3) count what others changed too.
SELECT
  account_id,
  change_event_id,
  date,
  changed_at,
  resource_type,
  resource_id,
  operation,
  changed_fields,
  client_type,
  amount_before_micros,
  amount_after_micros
FROM ads.ads_change_events
WHERE platform = @platform AND date >= @since_date AND date <= @run_date
ORDER BY account_id, changed_at, change_event_id
