-- Switches of ads in the accounts' own change logs.
-- Grain: change event.
-- Window: since a moment, up to the newest that was loaded.
-- Why: the day's cap counts what others switched, and an ad that somebody paused again after us is theirs.
SELECT
  platform,
  account_id,
  resource_id,
  changed_at,
  status_before,
  status_after
FROM ads.ads_change_events
WHERE resource_type = 'AD_GROUP_AD' AND changed_at >= @since AND status_after IS NOT NULL
ORDER BY changed_at, change_event_id
