-- Changes in the accounts by others, and ours that the platform's log lacks; how many there are of each kind, ours too.
-- Grain: change; at most @most_rows of each account and origin, the newest, `alike` says how many there are.
-- Window: days from @start_date to @run_date.
-- Why: a change that is not ours must be seen by a person, with who made it as far as the log tells.
SELECT
  r.platform, r.account_id, r.event_key, r.date, r.origin, r.resource_type, r.resource_id, r.change_id, r.amount_before_micros,
  r.amount_after_micros, r.is_fighting, r.changed_at, r.status_before, r.status_after, e.client_type,
  e.actor_hash,
  COUNT(*) OVER (PARTITION BY r.platform, r.account_id, r.origin) AS alike
FROM control.change_reconciliation AS r
LEFT JOIN ads.ads_change_events AS e
  ON e.platform = r.platform AND e.account_id = r.account_id AND e.change_event_id = r.event_key AND e.date = r.date
WHERE r.date >= @start_date AND r.date <= @run_date
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY r.platform, r.account_id, r.origin ORDER BY r.is_fighting DESC, r.changed_at DESC, r.event_key
) <= IF(r.origin = 'ours', 1, @most_rows)
ORDER BY r.platform, r.account_id, r.is_fighting DESC, r.changed_at DESC, r.event_key
