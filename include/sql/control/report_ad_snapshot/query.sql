-- Ads as they were read just before change sets were applied.
-- Grain: change set and ad.
-- Window: none; the change sets of @ids.
-- Why: shows that what was switched stood as the approval says.
SELECT change_set_id, change_id, ad_status, adgroup_status, campaign_status, snapshot_at
FROM control.canary_ads_snapshot
WHERE change_set_id IN UNNEST(@ids)
ORDER BY change_set_id, change_id
