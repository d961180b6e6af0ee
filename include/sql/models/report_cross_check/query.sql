-- Shares among the paid channels by the marketing-mix model, by Markov and by last touch, and where they disagree.
-- Grain: property, week, method, channel.
-- Window: weeks from @start_date to before @run_date; the reader takes the week of the attribution it stands beside.
-- Why: sets who was present beside who caused.
SELECT property_id, week_start_date, method, channel_group, share, share_p05, share_p95, is_disagreeing, detail
FROM models.attribution_cross_check
WHERE week_start_date >= @start_date AND week_start_date < @run_date
ORDER BY property_id, week_start_date, channel_group, method
