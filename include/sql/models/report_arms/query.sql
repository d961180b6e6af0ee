-- Arms of the ad groups that spend most: posterior, today's decision, and how the ad stood that morning.
-- Grain: arm; of each account and kind the @most_groups groups with the highest spend a day, `account_groups` says how many there
-- are of all kinds.
-- Window: the newest run date with posteriors of each account in [@start_date, @run_date].
-- Why: the posterior is the version that the decision rests on; where restated data made a second one, that one was not decided by.
WITH newest AS (
  SELECT platform, account_id, MAX(run_date) AS run_date
  FROM models.bandit_posteriors
  WHERE run_date >= @start_date AND run_date <= @run_date
  GROUP BY platform, account_id
),
decided AS (
  SELECT run_date, platform, account_id, campaign_id, adgroup_id, arm_kind, MIN(posterior_version) AS posterior_version
  FROM models.bandit_decisions
  WHERE run_date >= @start_date AND run_date <= @run_date
  GROUP BY run_date, platform, account_id, campaign_id, adgroup_id, arm_kind
),
arms AS (
  SELECT
    p.run_date, p.platform, p.account_id, p.campaign_id, p.adgroup_id, p.arm_kind, p.arm_id, p.posterior_version, p.channel,
    p.arm_status, p.spend_micros, p.group_day_spend_micros, p.conversions, p.arrived_share, p.first_date, p.last_date,
    p.cac_p05_micros, p.cac_p50_micros, p.cac_p95_micros, p.is_fatigued, p.fatigue_reason, p.currency_code
  FROM models.bandit_posteriors AS p
  JOIN newest AS n ON n.platform = p.platform AND n.account_id = p.account_id AND n.run_date = p.run_date
  LEFT JOIN decided AS v
    ON v.run_date = p.run_date AND v.platform = p.platform AND v.account_id = p.account_id AND v.campaign_id = p.campaign_id
    AND v.adgroup_id = p.adgroup_id AND v.arm_kind = p.arm_kind
  WHERE p.run_date >= @start_date AND p.run_date <= @run_date AND p.segment = 'all'
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY p.platform, p.account_id, p.campaign_id, p.adgroup_id, p.arm_kind, p.arm_id
    ORDER BY IF(p.posterior_version = v.posterior_version, 0, 1), p.loaded_at DESC, p.posterior_version
  ) = 1
),
sums AS (
  SELECT
    platform, account_id, campaign_id, adgroup_id, arm_kind, MAX(group_day_spend_micros) AS day_spend_micros,
    SUM(spend_micros) AS spend_micros
  FROM arms
  GROUP BY platform, account_id, campaign_id, adgroup_id, arm_kind
),
ranked AS (
  SELECT
    platform, account_id, campaign_id, adgroup_id, arm_kind,
    ROW_NUMBER() OVER (
      PARTITION BY platform, account_id, arm_kind ORDER BY day_spend_micros DESC, spend_micros DESC, campaign_id, adgroup_id
    ) AS group_rank,
    COUNT(*) OVER (PARTITION BY platform, account_id) AS account_groups
  FROM sums
),
statuses AS (
  SELECT platform, account_id, date, adgroup_id, ad_id, ad_status, adgroup_status, campaign_status
  FROM ads.ad_statuses
  WHERE date >= @start_date AND date <= @run_date
  QUALIFY RANK() OVER (PARTITION BY platform, account_id ORDER BY date DESC) = 1
)
SELECT
  a.run_date, a.platform, a.account_id, a.campaign_id, a.adgroup_id, a.arm_kind, a.arm_id, a.posterior_version, a.channel,
  a.arm_status, a.spend_micros, a.group_day_spend_micros, a.conversions, a.arrived_share, a.first_date, a.last_date,
  a.cac_p05_micros, a.cac_p50_micros, a.cac_p95_micros, a.is_fatigued, a.fatigue_reason, a.currency_code,
  g.group_rank, g.account_groups, s.date AS status_date, s.ad_status, s.adgroup_status, s.campaign_status, d.action,
  d.split_share_ppm, d.reserve_ppm, d.p_best, d.p_cac_above_cap, d.cac_cap_micros, d.is_leader, d.reason, d.policy, d.context,
  d.seed
FROM arms AS a
JOIN ranked AS g
  ON g.platform = a.platform AND g.account_id = a.account_id AND g.campaign_id = a.campaign_id AND g.adgroup_id = a.adgroup_id
  AND g.arm_kind = a.arm_kind
LEFT JOIN models.bandit_decisions AS d
  ON d.run_date = a.run_date AND d.platform = a.platform AND d.account_id = a.account_id AND d.campaign_id = a.campaign_id
  AND d.adgroup_id = a.adgroup_id AND d.arm_kind = a.arm_kind AND d.arm_id = a.arm_id
LEFT JOIN statuses AS s
  ON s.platform = a.platform AND s.account_id = a.account_id AND s.adgroup_id = a.adgroup_id AND s.ad_id = a.arm_id
  AND a.arm_kind = 'ad'
WHERE g.group_rank <= @most_groups
ORDER BY a.platform, a.account_id, a.arm_kind, g.group_rank, a.spend_micros DESC, a.arm_id
