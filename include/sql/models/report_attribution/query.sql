-- Shares of conversions that attribution gives to each channel, by three methods, with 90 % intervals.
-- Grain: property, week, method, channel.
-- Window: weeks from @start_date on whose journeys ended before @run_date; the reader takes the newest.
-- Why: the picture of who was present before a conversion.
SELECT
  property_id, week_start_date, window_start_date, window_end_date, method, channel_group, conversions, share, share_p05, share_p95
FROM models.attribution_weekly
WHERE week_start_date >= @start_date AND window_end_date < @run_date AND method IN ('last', 'markov_1', 'shapley')
ORDER BY property_id, week_start_date, method, channel_group
