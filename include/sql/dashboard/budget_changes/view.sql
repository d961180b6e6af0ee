-- Transitions of changes, for dashboards.
-- Grain: seq. Window: all.
-- Why: what was changed and when, for everybody; who decided it stands in the changefeed itself, which only the control tables' readers see.
SELECT
  changes.seq, changes.at, changes.platform, changes.account_id, changes.change_set_id, changes.change_id, changes.event,
  changes.budget_id, changes.amount_before_micros, changes.amount_after_micros, changes.ad_id, changes.status_before,
  changes.status_after, accounts.currency_code
FROM control.canary_changes AS changes
LEFT JOIN ads.ads_accounts AS accounts ON accounts.platform = changes.platform AND accounts.account_id = changes.account_id
