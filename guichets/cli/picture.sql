-- Queries of `guichets evidence picture`.

-- observation --
-- One observation with the words for its desk.
SELECT
    line.id, line.desk_id, line.family, line.departement, line.outcome::text AS outcome, line.rule, line.parser,
    line.purpose, line.evidence, desks.label, offices.name AS office
FROM observations AS line
JOIN desks ON desks.id = line.desk_id
JOIN offices ON offices.id = desks.office_id
WHERE line.id = %(id)s
