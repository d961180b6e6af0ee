-- One flat row per row of a GA4 export table; the parameters that the system uses become columns.
-- Grain: row of the export. Window: the one table that the caller puts in the place of `export_table`.
-- Why: everything after it works on flat rows; `event_id` makes the same event exported twice recognisable (the load tells
-- apart events that share one and differ elsewhere).
-- `export_table` is no table of the warehouse: tasks/ingest/ga4_source.py lays one day's export under that name. Each parameter is
-- looked up the way Google documents it; on DuckDB the same file turns those lookups into list functions, which read 2 M events
-- in 2.7 s of processor time, where one GROUP BY over the unnested parameters takes 4.8 s and scalar subqueries minutes.
SELECT
  TO_HEX(MD5(CONCAT(
    COALESCE(e.user_pseudo_id, ''), COALESCE(e.event_name, ''), COALESCE(CAST(e.event_timestamp AS STRING), ''),
    COALESCE(CAST(e.event_bundle_sequence_id AS STRING), ''), '|', COALESCE(CAST(e.batch_page_id AS STRING), ''), '|',
    COALESCE(CAST(e.batch_ordering_id AS STRING), ''), '|', COALESCE(CAST(e.batch_event_index AS STRING), '')
  ))) AS event_id,
  e.event_date,
  e.event_timestamp,
  e.event_name,
  e.user_pseudo_id,
  e.user_id,
  e.event_value_in_usd,
  e.privacy_info.ads_storage AS ads_storage,
  e.privacy_info.analytics_storage AS analytics_storage,
  e.device.category AS device_category,
  e.geo.country AS country,
  COALESCE(
    e.collected_traffic_source.manual_source,
    (SELECT p.value.string_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'source' LIMIT 1)
  ) AS source,
  COALESCE(
    e.collected_traffic_source.manual_medium,
    (SELECT p.value.string_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'medium' LIMIT 1)
  ) AS medium,
  COALESCE(
    e.collected_traffic_source.manual_campaign_name,
    (SELECT p.value.string_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'campaign' LIMIT 1)
  ) AS campaign,
  e.collected_traffic_source.manual_campaign_id AS campaign_id,
  COALESCE(
    e.collected_traffic_source.gclid,
    (SELECT p.value.string_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'gclid' LIMIT 1)
  ) AS gclid,
  (SELECT p.value.int_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'ga_session_id' LIMIT 1) AS session_id,
  (SELECT p.value.int_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'ga_session_number' LIMIT 1) AS session_number,
  COALESCE(
    (SELECT p.value.string_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'session_engaged' LIMIT 1),
    CAST((SELECT p.value.int_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'session_engaged' LIMIT 1) AS STRING)
  ) AS session_engaged,
  (SELECT p.value.int_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'engagement_time_msec' LIMIT 1) AS engagement_msec,
  (SELECT p.value.string_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'page_location' LIMIT 1) AS page_location,
  COALESCE(
    (SELECT p.value.string_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'transaction_id' LIMIT 1),
    e.ecommerce.transaction_id
  ) AS transaction_id,
  COALESCE(
    (SELECT p.value.double_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'value' LIMIT 1),
    CAST((SELECT p.value.int_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'value' LIMIT 1) AS FLOAT64)
  ) AS value,
  (SELECT p.value.string_value FROM UNNEST(e.event_params) AS p WHERE p.key = 'currency' LIMIT 1) AS currency
FROM export_table AS e
