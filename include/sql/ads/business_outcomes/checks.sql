-- Checks of ads.business_outcomes for @outcome_source. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date).

#fail written_before_the_period_was_over
#remedy The row holds a period that was not over when it was loaded: load it again when it is.
SELECT source, geo, period_start_date, period_days, loaded_at
FROM ads.business_outcomes
WHERE source = @outcome_source AND period_start_date >= @start_date AND period_start_date < @run_date
  AND DATE_DIFF(period_start_date, DATE(loaded_at), DAY) > 1

#fail missing_periods
#remedy Load the missing days or weeks; a model would read the gap as no sales.
SELECT source, geo, previous_date, period_start_date, period_days
FROM (
  SELECT
    source, geo, period_start_date, period_days,
    LAG(period_start_date) OVER (PARTITION BY source, geo ORDER BY period_start_date) AS previous_date
  FROM ads.business_outcomes
  WHERE source = @outcome_source AND period_start_date >= @start_date AND period_start_date < @run_date
) AS steps
WHERE DATE_DIFF(period_start_date, previous_date, DAY) <> period_days

#fail mixed_periods_or_currencies
#remedy One source has one period length and one currency: load it again whole.
SELECT source, COUNT(DISTINCT period_days) AS period_lengths, COUNT(DISTINCT currency_code) AS currencies
FROM ads.business_outcomes
WHERE source = @outcome_source AND period_start_date >= @start_date AND period_start_date < @run_date
GROUP BY source
HAVING COUNT(DISTINCT period_days) > 1 OR COUNT(DISTINCT currency_code) > 1

#fail geos_differ_in_periods
#remedy All regions need the same periods: load the missing ones or leave the region out.
SELECT geo, first_date, last_date, first_of_all, last_of_all
FROM (
  SELECT
    geo, first_date, last_date,
    MIN(first_date) OVER () AS first_of_all, MAX(last_date) OVER () AS last_of_all
  FROM (
    SELECT geo, MIN(period_start_date) AS first_date, MAX(period_start_date) AS last_date
    FROM ads.business_outcomes
    WHERE source = @outcome_source AND period_start_date >= @start_date AND period_start_date < @run_date
    GROUP BY geo
  ) AS spans
) AS compared
WHERE first_date <> first_of_all OR last_date <> last_of_all

#fail no_outcome_at_all
#remedy Neither new customers nor revenue is known in the whole window: there is nothing to explain; load the outcome.
SELECT source, COUNT(*) AS periods
FROM ads.business_outcomes
WHERE source = @outcome_source AND period_start_date >= @start_date AND period_start_date < @run_date
GROUP BY source
HAVING COALESCE(SUM(new_customers), 0) = 0 AND COALESCE(SUM(revenue_micros), 0) = 0

#warn outcome_is_zero
#remedy Check that the export was complete; a day without a single sale is a fact only if the shop was closed.
SELECT source, geo, period_start_date
FROM ads.business_outcomes
WHERE source = @outcome_source AND period_start_date >= @start_date AND period_start_date < @run_date
  AND COALESCE(new_customers, 0) = 0 AND COALESCE(revenue_micros, 0) = 0

#warn revenue_without_customers
#remedy Check the definition of new customers in the export: these periods have revenue and not one new customer.
SELECT source, geo, period_start_date, new_customers, revenue_micros
FROM ads.business_outcomes
WHERE source = @outcome_source AND period_start_date >= @start_date AND period_start_date < @run_date
  AND new_customers = 0 AND revenue_micros > 0
