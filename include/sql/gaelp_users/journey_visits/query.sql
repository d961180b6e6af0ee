-- Visits with their first tag and whom they may belong to; a visit in which somebody signed in half way comes in two parts.
-- Grain: property, cookie, session and who had signed in (null for nobody).
-- Window: events of @start_date up to, not including, @end_date.
-- Why: one pass over the events, and the joins after it, when there are a fifth as many rows. Events of one microsecond have the
-- order of their ids, so that the first tag is the same on every run. Without consent to measurement a sign-in tells nothing, and
-- who took consent back on a cookie stays with the cookie. A click tells who it was where the cookie does not.
WITH parts AS (
  SELECT
    property_id, user_pseudo_id, session_id, IF(is_analytics_consented, user_id_hash, NULL) AS signed_in_hash,
    MIN(event_date) AS session_start_date, MIN(event_at) AS session_start_at,
    MAX(session_number) AS session_number, MAX(device_category) AS device_category, MAX(country) AS country,
    COUNT(*) AS events, SUM(engagement_seconds) AS engagement_seconds,
    LOGICAL_OR(is_session_engaged) AS is_engaged, LOGICAL_AND(is_ads_consented) AS is_ads_consented,
    ANY_VALUE(
      STRUCT(
        event_at AS tagged_at, source AS source, medium AS medium, campaign_label AS campaign_label,
        CASE
          WHEN gclid IS NOT NULL THEN 'gclid' WHEN gbraid IS NOT NULL THEN 'gbraid' WHEN wbraid IS NOT NULL THEN 'wbraid'
          WHEN ttclid IS NOT NULL THEN 'ttclid' WHEN li_fat_id IS NOT NULL THEN 'li_fat_id' WHEN fbclid IS NOT NULL THEN 'fbclid'
        END AS click_kind,
        COALESCE(gclid, gbraid, wbraid, ttclid, li_fat_id, fbclid) AS click_id
      ) HAVING MIN IF(
        COALESCE(source, medium, campaign_label, gclid, gbraid, wbraid, ttclid, li_fat_id, fbclid) IS NULL,
        NULL, CONCAT(CAST(UNIX_MICROS(event_at) AS STRING), event_id)
      )
    ) AS tag
  FROM ga4.ga4_events
  WHERE event_date >= @start_date AND event_date < @end_date AND user_pseudo_id IS NOT NULL AND session_id IS NOT NULL
  GROUP BY property_id, user_pseudo_id, session_id, signed_in_hash
)
SELECT
  parts.property_id, parts.user_pseudo_id, parts.session_id, parts.signed_in_hash, parts.session_start_date, parts.session_start_at,
  parts.session_number, parts.device_category, parts.country, parts.events, parts.engagement_seconds, parts.is_engaged,
  parts.is_ads_consented, parts.tag.tagged_at, parts.tag.source, parts.tag.medium, parts.tag.campaign_label, parts.tag.click_kind,
  IF(cookies.excluded_reason = 'no_consent', NULL, people.person_id) AS signed_in_person_id,
  COALESCE(cookies.person_id, clicks.person_id) AS other_person_id,
  COALESCE(cookies.excluded_reason = 'bot', FALSE) AS is_bot
FROM parts
LEFT JOIN gaelp_users.identity_nodes AS cookies ON cookies.id_kind = 'user_pseudo_id' AND cookies.id = parts.user_pseudo_id
LEFT JOIN gaelp_users.identity_nodes AS people ON people.id_kind = 'user_id_hash' AND people.id = parts.signed_in_hash
LEFT JOIN gaelp_users.identity_nodes AS clicks
  ON clicks.id_kind = parts.tag.click_kind AND clicks.id = IF(cookies.person_id IS NULL, parts.tag.click_id, NULL)
