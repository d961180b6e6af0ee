-- Checks of ads.ads_ad_performance. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date).

#fail written_before_the_day_was_over
#remedy The rows hold a day that was not over when they were loaded: look at the account's time zone, then load the day again.
SELECT platform, account_id, campaign_id, ad_id, date, loaded_at
FROM ads.ads_ad_performance
WHERE date >= @start_date AND date < @run_date
  AND DATE_DIFF(date, DATE(loaded_at), DAY) > 1

#fail clicks_above_impressions
#remedy Load the day again; if it stays, report it to the platform with the account and the day.
-- LinkedIn counts clicks on messages but no impressions of them, X every click on a post: there it is no defect.
SELECT platform, account_id, campaign_id, ad_id, date, impressions, clicks
FROM ads.ads_ad_performance
WHERE date >= @start_date AND date < @run_date AND clicks > impressions
  AND platform NOT IN ('linkedin', 'x')

#fail ads_above_campaign
#remedy Ads cannot cost more than their campaign: one of the two tables holds an older load or a page twice; load the days again.
-- Not the other way round: spend of removed ads and of campaigns without ads (PMax) is only on the campaign.
-- 0.1 % and one unit of currency of tolerance: both reports round on their own.
SELECT ads.platform, ads.account_id, ads.campaign_id, ads.date, ads.cost_micros AS ads_cost_micros, campaign.cost_micros
FROM (
  SELECT platform, account_id, campaign_id, date, SUM(cost_micros) AS cost_micros
  FROM ads.ads_ad_performance
  WHERE date >= @start_date AND date < @run_date
  GROUP BY platform, account_id, campaign_id, date
) AS ads
LEFT JOIN (
  SELECT platform, account_id, campaign_id, date, cost_micros
  FROM ads.ads_campaign_performance
  WHERE date >= @start_date AND date < @run_date
) AS campaign
  ON campaign.platform = ads.platform AND campaign.account_id = ads.account_id
  AND campaign.campaign_id = ads.campaign_id AND campaign.date = ads.date
WHERE ads.cost_micros > 1.001 * COALESCE(campaign.cost_micros, 0) + 1000000

#warn conversions_without_clicks
#remedy View-through conversions do this; anywhere else check the conversion settings.
SELECT platform, account_id, campaign_id, ad_id, SUM(conversions) AS all_conversions, SUM(clicks) AS all_clicks
FROM ads.ads_ad_performance
WHERE date >= @start_date AND date < @run_date
GROUP BY platform, account_id, campaign_id, ad_id
HAVING SUM(conversions) > 0 AND SUM(clicks) = 0
