-- Queries of `guichets facts`.

-- desk --
-- The desk, with the zone its people live in.
SELECT desks.id, desks.label, offices.name AS office, departements.timezone
FROM desks
JOIN offices ON offices.id = desks.office_id
JOIN departements ON departements.code = desks.departement
WHERE desks.id = %(desk)s

-- names --
-- Ids of the desks, for a hint.
SELECT id FROM desks

-- history --
-- What was told of it, value after value.
SELECT name, value, sha256, first_seen_at, last_seen_at, observations, previous_value, previous_sha256
FROM desk_facts
WHERE desk_id = %(desk)s AND (%(name)s::text IS NULL OR name = %(name)s)
ORDER BY name, first_seen_at, last_seen_at
