-- Queries of `guichets status`.

-- departement_status --
-- The table by département, all of it or some codes.
SELECT
    departement, name, desks, offered, "none", closed, dysfunction, barrier, unrecognised, other, not_yet_observed,
    first_slot, first_slot_has_time, second_slot, second_slot_has_time, last_observed_at
FROM departement_status
WHERE %(departements)s::text[] IS NULL OR departement = ANY (%(departements)s::text[])
ORDER BY departement;

-- family_status --
-- How many desks of each platform family had each outcome last.
SELECT family, outcome::text, count(*) FROM desk_status WHERE outcome IS NOT NULL GROUP BY family, outcome ORDER BY family;
