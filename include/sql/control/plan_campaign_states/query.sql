-- Newest known status of every campaign that delivered lately.
-- Grain: account × campaign.
-- Window: recent_start_date to the day before the run date.
-- Why: a budget whose campaigns are all paused cannot spend what it is given.
SELECT
  account_id,
  campaign_id,
  campaign_status
FROM ads.ads_campaign_performance
WHERE platform = @platform AND date >= @recent_start_date AND date < @run_date
QUALIFY ROW_NUMBER() OVER (PARTITION BY account_id, campaign_id ORDER BY date DESC) = 1
ORDER BY account_id, campaign_id
