-- Checks of ads.ads_criterion_performance. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date).

#fail written_before_the_day_was_over
#remedy The rows hold a day that was not over when they were loaded: look at the account's time zone, then load the day again.
SELECT platform, account_id, adgroup_id, criterion_kind, criterion_id, date, loaded_at
FROM ads.ads_criterion_performance
WHERE date >= @start_date AND date < @run_date
  AND DATE_DIFF(date, DATE(loaded_at), DAY) > 1

#fail clicks_above_impressions
#remedy Load the day again; if it stays, report it to the platform with the account and the day.
SELECT platform, account_id, adgroup_id, criterion_kind, criterion_id, date, impressions, clicks
FROM ads.ads_criterion_performance
WHERE date >= @start_date AND date < @run_date AND clicks > impressions

#fail keywords_above_campaign
#remedy Keywords cannot cost more than their campaign: one of the two tables holds an older load or a page twice; load the days again.
-- Not the other way round: what Google matches without keywords is only on the campaign. Not for audiences: whether somebody in
-- two of them counts once is the platform's to say.
-- 0.1 % and one unit of currency of tolerance: both reports round on their own.
SELECT keywords.platform, keywords.account_id, keywords.campaign_id, keywords.date,
  keywords.cost_micros AS keywords_cost_micros, campaign.cost_micros
FROM (
  SELECT platform, account_id, campaign_id, date, SUM(cost_micros) AS cost_micros
  FROM ads.ads_criterion_performance
  WHERE date >= @start_date AND date < @run_date AND criterion_kind = 'keyword'
  GROUP BY platform, account_id, campaign_id, date
) AS keywords
LEFT JOIN (
  SELECT platform, account_id, campaign_id, date, cost_micros
  FROM ads.ads_campaign_performance
  WHERE date >= @start_date AND date < @run_date
) AS campaign
  ON campaign.platform = keywords.platform AND campaign.account_id = keywords.account_id
  AND campaign.campaign_id = keywords.campaign_id AND campaign.date = keywords.date
WHERE keywords.cost_micros > 1.001 * COALESCE(campaign.cost_micros, 0) + 1000000

#warn match_type_of_a_kind
#remedy A keyword without a match type, or an audience with one: the two reports were mixed up; load the days again.
SELECT platform, account_id, criterion_kind, match_type, COUNT(*) AS times
FROM ads.ads_criterion_performance
WHERE date >= @start_date AND date < @run_date AND (criterion_kind = 'keyword') <> (match_type IS NOT NULL)
GROUP BY platform, account_id, criterion_kind, match_type
