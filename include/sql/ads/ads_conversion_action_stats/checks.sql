-- Checks of ads.ads_conversion_action_stats. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date).

#fail written_before_the_day_was_over
#remedy The rows hold a day that was not over when they were loaded: look at the account's time zone, then load the day again.
SELECT platform, account_id, campaign_id, conversion_action_id, date, loaded_at
FROM ads.ads_conversion_action_stats
WHERE date >= @start_date AND date < @run_date
  AND DATE_DIFF(date, DATE(loaded_at), DAY) > 1

#warn actions_differ_from_campaign
#remedy Both reports count the same conversions: a gap means that they were loaded at different times; load the days again.
-- 1 % and one conversion of tolerance: data-driven attribution restates both all the time.
SELECT actions.platform, actions.account_id, actions.campaign_id, actions.conversions, campaign.conversions AS campaign_conversions
FROM (
  SELECT platform, account_id, campaign_id, SUM(conversions) AS conversions
  FROM ads.ads_conversion_action_stats
  WHERE date >= @start_date AND date < @run_date
  GROUP BY platform, account_id, campaign_id
) AS actions
JOIN (
  SELECT platform, account_id, campaign_id, SUM(conversions) AS conversions
  FROM ads.ads_campaign_performance
  WHERE date >= @start_date AND date < @run_date
  GROUP BY platform, account_id, campaign_id
) AS campaign
  ON campaign.platform = actions.platform AND campaign.account_id = actions.account_id
  AND campaign.campaign_id = actions.campaign_id
WHERE ABS(actions.conversions - campaign.conversions) > 0.01 * campaign.conversions + 1
