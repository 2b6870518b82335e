-- Queries of `guichets import`.

-- desk --
-- The desk as the catalogue has it.
SELECT
    desks.id, desks.family, desks.departement, offices.name AS office, desks.procedure, desks.label, desks.url,
    desks.params
FROM desks
JOIN offices ON offices.id = desks.office_id
WHERE desks.id = %(desk)s

-- known_observation --
-- Whether the same pages were imported before.
SELECT FROM observations WHERE id = %(id)s AND observed_at = %(observed_at)s
