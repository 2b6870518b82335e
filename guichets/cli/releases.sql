-- Queries of `guichets releases`.

-- releases --
-- What was learnt of each desk chosen, a row per habit, the surest first; a row with nulls for a desk without any.
SELECT *
FROM desk_releases
WHERE (%(desks)s::text[] IS NULL OR desk_id = ANY (%(desks)s::text[]))
    AND (%(departements)s::text[] IS NULL OR departement = ANY (%(departements)s::text[]))
ORDER BY departement, desk_id, rank;

-- weekly_maps --
-- Expected openings of each desk chosen in each hour of its own week.
SELECT desk_id, weekly_map
FROM watch_states
WHERE desk_id = ANY (%(desks)s::text[]);

-- names --
-- Ids of the desks, for a hint.
SELECT id FROM desks WHERE closed_at IS NULL;
