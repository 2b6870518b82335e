-- Queries of `guichets evidence` and `guichets archive`.

-- count_rows --
-- How many rows check_rows will read.
SELECT count(*)
FROM observations
WHERE observed_at >= coalesce(%(since)s::timestamptz, '-infinity')
  AND (%(desks)s::text[] IS NULL OR desk_id = ANY (%(desks)s::text[]));

-- rows --
-- Every column that was written, the slots, and which archive the crawl wrote into.
SELECT
    observations.*,
    crawls.id IS NOT NULL AS crawl_known,
    crawls.archive,
    (
        SELECT coalesce(array_agg(ARRAY[to_char(slots.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US+00:00'), slots.has_time::text]), '{}')
        FROM slots
        WHERE slots.observation_id = observations.id AND slots.observed_at = observations.observed_at
    ) AS slots
FROM observations
LEFT JOIN crawls ON crawls.id = observations.crawl
WHERE observations.observed_at >= coalesce(%(since)s::timestamptz, '-infinity')
  AND (%(desks)s::text[] IS NULL OR observations.desk_id = ANY (%(desks)s::text[]))
ORDER BY observations.observed_at;

-- known_observations --
-- Those of the ids that have a row by now.
SELECT id FROM observations WHERE id = ANY (%(ids)s::uuid[]);

-- killed_workers --
-- Workers with a crawl that never told its end: what they had just archived may have no row.
SELECT DISTINCT worker FROM crawls WHERE finished_at IS NULL;

-- observation --
-- One observation with the words for its desk, and what corrects it.
SELECT
    line.*,
    line.outcome::text AS outcome,
    desks.label,
    offices.name AS office,
    (SELECT newer.id FROM observations AS newer
     WHERE newer.supersedes = line.id AND newer.observed_at = line.observed_at) AS superseded_by
FROM observations AS line
LEFT JOIN desks ON desks.id = line.desk_id
LEFT JOIN offices ON offices.id = desks.office_id
WHERE line.id = %(id)s;

-- seals --
SELECT day, records, root, seal FROM seals WHERE archive = %(archive)s ORDER BY day;

-- record_seal --
INSERT INTO seals (archive, day, records, root, seal)
VALUES (%(archive)s, %(day)s, %(records)s, %(root)s, %(seal)s)
ON CONFLICT DO NOTHING;

-- holds --
SELECT id, reason, observation, desk_id, departement, since, until, keep_until, held_at, released_at
FROM evidence_holds
ORDER BY held_at, id;

-- add_hold --
INSERT INTO evidence_holds (id, reason, observation, desk_id, departement, since, until, keep_until)
VALUES (%(id)s, %(reason)s, %(observation)s, %(desk_id)s, %(departement)s, %(since)s, %(until)s, %(keep_until)s);

-- release_hold --
UPDATE evidence_holds SET released_at = now() WHERE id = %(id)s AND released_at IS NULL;

-- held_observations --
-- The observations that a hold in force names, with the places of their pages.
SELECT observations.id, observations.evidence
FROM observations
WHERE EXISTS (
    SELECT
    FROM evidence_holds AS hold
    WHERE hold.released_at IS NULL
      AND (hold.keep_until IS NULL OR hold.keep_until >= %(today)s)
      AND (hold.observation IS NULL OR hold.observation = observations.id)
      AND (hold.desk_id IS NULL OR hold.desk_id = observations.desk_id)
      AND (hold.departement IS NULL OR hold.departement = observations.departement)
      AND (hold.since IS NULL OR observations.observed_at >= hold.since)
      AND (hold.until IS NULL OR observations.observed_at < hold.until)
)
