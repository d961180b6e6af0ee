-- Checks of ga4.conversion_maturity. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date].

#fail share_falls
#remedy A share that has arrived cannot leave again: run estimate-maturity again, and report it if the check fails again.
SELECT run_date, source, account_id, conversion_action_id, channel_group, lag_days, share_mean, previous_share
FROM (
  SELECT
    run_date, source, account_id, conversion_action_id, channel_group, lag_days, share_mean,
    LAG(share_mean) OVER (
      PARTITION BY run_date, source, account_id, conversion_action_id, channel_group ORDER BY lag_days
    ) AS previous_share
  FROM ga4.conversion_maturity
  WHERE run_date >= @start_date AND run_date <= @run_date
) AS steps
WHERE share_mean < previous_share - 0.000001

#warn interval_is_wide
#remedy Fewer conversions than a curve needs: read corrected days of this action with care, or give it more history.
SELECT run_date, source, account_id, conversion_action_id, channel_group, share_mean, share_p05, share_p95
FROM ga4.conversion_maturity
WHERE run_date >= @start_date AND run_date <= @run_date AND lag_days = 7 AND share_p95 - share_p05 > 0.3
