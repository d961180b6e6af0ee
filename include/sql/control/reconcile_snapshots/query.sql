-- The status of every ad at each look, beside its status at the look before.
-- Grain: platform, account_id, adgroup_id, ad_id, date.
-- Window: @start_date up to and including @run_date; the first look of the window has none before it.
-- Why: @platforms keep no change log that their API tells of; what moved between two looks is all that can be known.
SELECT
  platform,
  account_id,
  date,
  adgroup_id,
  ad_id,
  ad_status AS status_after,
  loaded_at AS changed_at,
  LAG(ad_status) OVER (PARTITION BY platform, account_id, adgroup_id, ad_id ORDER BY date) AS status_before,
  LAG(loaded_at) OVER (PARTITION BY platform, account_id, adgroup_id, ad_id ORDER BY date) AS began_at
FROM ads.ad_statuses
WHERE platform IN UNNEST(@platforms) AND date >= @start_date AND date <= @run_date
ORDER BY platform, account_id, date, adgroup_id, ad_id
