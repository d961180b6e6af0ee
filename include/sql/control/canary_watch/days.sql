-- Spend and new customers of the whole business per day, spend per budget of one account, and per account the newest day that landed.
-- Grain: date, scope, budget_id, currency_code; for scope `landed` the account, named in budget_id. Window: start_date included, end_date excluded; only complete days are asked for.
-- Why: the watch compares blended CAC before and after a change. New customers come from the business's own count, never from
-- a platform's attribution, so spend is taken over all accounts too. Accounts end their days at different hours: a day on which one
-- of them has not landed yet would make CAC look low. Spend of all accounts is in the currency of the outcomes, by the day's rate.
SELECT
  date,
  'business' AS scope,
  '' AS budget_id,
  currency_code,
  CAST(SUM(cost_micros) AS INT64) AS cost_micros,
  CAST(NULL AS FLOAT64) AS new_customers
FROM ads.business_spend_daily
WHERE date >= @start_date AND date < @end_date
GROUP BY date, currency_code
UNION ALL
SELECT
  date,
  'budget' AS scope,
  COALESCE(budget_id, '') AS budget_id,
  currency_code,
  CAST(SUM(cost_micros) AS INT64) AS cost_micros,
  CAST(NULL AS FLOAT64) AS new_customers
FROM ads.ads_campaign_performance
WHERE date >= @start_date AND date < @end_date AND platform = @platform AND account_id = @account_id
GROUP BY date, COALESCE(budget_id, ''), currency_code
UNION ALL
SELECT
  MAX(date) AS date,
  'landed' AS scope,
  CONCAT(platform, ':', account_id) AS budget_id,
  currency_code,
  CAST(NULL AS INT64) AS cost_micros,
  CAST(NULL AS FLOAT64) AS new_customers
FROM ads.business_spend_daily
WHERE date >= @start_date AND date < @end_date
GROUP BY platform, account_id, currency_code
UNION ALL
SELECT
  period_start_date AS date,
  'outcome' AS scope,
  '' AS budget_id,
  currency_code,
  CAST(NULL AS INT64) AS cost_micros,
  SUM(new_customers) AS new_customers
FROM ads.business_outcomes
WHERE period_start_date >= @start_date AND period_start_date < @end_date AND source = 'crm' AND period_days = 1
GROUP BY period_start_date, currency_code
