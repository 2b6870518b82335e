-- Queries of `guichets export`.

-- export_observations --
-- One line per observation in force (not superseded) in the order of time; bounds in this form let PostgreSQL skip whole months.
SELECT
    id, desk_id AS desk, counter_key AS counter, counter_label, family, departement, observed_at, outcome::text AS outcome, rule, purpose, step,
    first_slot, second_slot, slot_has_time, slot_count, horizon_end, http_status, latency_ms, requests, evidence,
    parser, worker
FROM observations_in_force
WHERE observed_at >= coalesce(%(since)s::timestamptz, '-infinity')
  AND observed_at < coalesce(%(until)s::timestamptz, 'infinity')
  AND (%(departements)s::text[] IS NULL OR departement = ANY (%(departements)s::text[]))
  AND (%(desks)s::text[] IS NULL OR desk_id = ANY (%(desks)s::text[]))
  AND (%(families)s::text[] IS NULL OR family = ANY (%(families)s::text[]))
ORDER BY observed_at, id

-- unknown_desks --
-- Those of the ids asked for that were never in the catalogue.
SELECT asked.id
FROM unnest(%(desks)s::text[]) AS asked (id)
LEFT JOIN desks ON desks.id = asked.id
WHERE desks.id IS NULL
ORDER BY asked.id
