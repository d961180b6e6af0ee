-- Checks of ga4.ga4_lagged_daily. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date).

#fail conversion_before_click
#remedy Dates of clicks and conversions are crossed: load the days with ingest-ga4 again, then run estimate-maturity.
SELECT property_id, conversion_action_id, channel_group, click_date, conversion_date, lag_days
FROM ga4.ga4_lagged_daily
WHERE click_date >= @start_date AND click_date < @run_date
  AND (conversion_date < click_date OR lag_days != DATE_DIFF(conversion_date, click_date, DAY))

#warn recent_days_uncorrected
#remedy Too few conversions for a curve: recent click days count too low here; give estimate-maturity more history.
SELECT property_id, conversion_action_id, channel_group, SUM(conversions) AS counted_conversions
FROM ga4.ga4_lagged_daily
WHERE click_date >= DATE_SUB(@run_date, INTERVAL 7 DAY) AND click_date < @run_date AND channel_group != 'Direct'
GROUP BY property_id, conversion_action_id, channel_group
HAVING SUM(conversions) > 0 AND SUM(IF(is_expected, 1, 0)) = 0
