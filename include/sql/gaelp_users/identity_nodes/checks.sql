-- Checks of gaelp_users.identity_nodes. Format: tasks/quality/checks_file.py. Window: [@start_date, @run_date).

#fail shared_ids_have_no_person
#remedy An id that several people share has a person, or a free one has none: run stitch-identities again.
SELECT id_kind, excluded_reason, COUNT(*) AS ids
FROM gaelp_users.identity_nodes
WHERE last_seen_date >= @start_date AND last_seen_date < @run_date
  AND (person_id IS NULL) <> (excluded_reason IS NOT NULL AND excluded_reason <> 'no_consent')
GROUP BY id_kind, excluded_reason

#fail people_are_not_glued_together
#remedy A person has over a thousand ids: the over-merge protection does not hold; stop journeys and look at identity_edges.
SELECT person_id, COUNT(*) AS ids
FROM gaelp_users.identity_nodes
WHERE last_seen_date >= @start_date AND last_seen_date < @run_date AND person_id IS NOT NULL
GROUP BY person_id
HAVING COUNT(*) > 1000

#warn many_shared_cookies
#remedy Over a tenth of the cookies are shared or bots: check that user ids are ids of people and not of shops or sessions.
SELECT COUNTIF(excluded_reason IS NOT NULL AND excluded_reason <> 'no_consent') AS excluded, COUNT(*) AS cookies
FROM gaelp_users.identity_nodes
WHERE last_seen_date >= @start_date AND last_seen_date < @run_date AND id_kind = 'user_pseudo_id'
HAVING COUNTIF(excluded_reason IS NOT NULL AND excluded_reason <> 'no_consent') * 10 > COUNT(*)
