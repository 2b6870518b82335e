-- Queries of `guichets constat`.

-- desk --
-- The desk in the catalogue's words; also one that has left the catalogue.
SELECT
    desks.id, desks.family, desks.departement, departements.name AS departement_name, offices.name AS office,
    desks.procedure, desks.label, desks.url, desks.valid_from, desks.valid_to, desks.moved_to
FROM desks
JOIN offices ON offices.id = desks.office_id
JOIN departements ON departements.code = desks.departement
WHERE desks.id = %(desk)s

-- desk_ids --
-- Every desk the database knows, for the nearest name of an unknown one.
SELECT id FROM desks ORDER BY id

-- counters --
-- The sub-choices ever seen on a desk's page, with their last label.
SELECT key, label FROM counters WHERE desk_id = %(desk)s ORDER BY key

-- seen_at_all --
-- From when to when the desk or counter was observed at all.
SELECT min(observed_at) AS first, max(observed_at) AS last
FROM observations
WHERE desk_id = %(desk)s AND counter_key IS NOT DISTINCT FROM %(counter)s::text

-- attempts --
-- Every column that was written, the slots, and which archive the crawl wrote into, as `guichets evidence verify`
-- reads them: the row's hash is made of them. In force only; in the order of time.
SELECT
    line.*,
    line.outcome::text AS outcome,
    crawls.id IS NOT NULL AS crawl_known,
    crawls.archive,
    (
        SELECT coalesce(array_agg(ARRAY[to_char(slots.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US+00:00'), slots.has_time::text]), '{}')
        FROM slots
        WHERE slots.observation_id = line.id AND slots.observed_at = line.observed_at
    ) AS slots
FROM observations_in_force AS line
LEFT JOIN crawls ON crawls.id = line.crawl
WHERE line.desk_id = %(desk)s
  AND line.counter_key IS NOT DISTINCT FROM %(counter)s::text
  AND line.observed_at >= %(since)s
  AND line.observed_at < %(until)s
ORDER BY line.observed_at, line.id

-- corrected --
-- Observations that another one replaces, with the one that does.
SELECT
    old.id, old.observed_at, old.outcome::text AS outcome, old.rule, old.parser,
    newer.id AS newer_id, newer.outcome::text AS newer_outcome, newer.rule AS newer_rule, newer.parser AS newer_parser
FROM observations AS old
JOIN observations AS newer ON newer.supersedes = old.id AND newer.observed_at = old.observed_at
WHERE old.desk_id = %(desk)s
  AND old.counter_key IS NOT DISTINCT FROM %(counter)s::text
  AND old.observed_at >= %(since)s
  AND old.observed_at < %(until)s
ORDER BY old.observed_at, old.id

-- errata --
-- Dated corrections that name the desk.
SELECT at, parser_from, parser_to, note
FROM errata
WHERE changes -> 'desks' ? %(desk)s::text
ORDER BY at, id

-- offers_beside --
-- When dates were seen out of the period, in the calendar weeks that it cuts: such a week is not without a date.
SELECT observed_at
FROM observations_in_force
WHERE desk_id = %(desk)s
  AND counter_key IS NOT DISTINCT FROM %(counter)s::text
  AND outcome = 'offered'
  AND observed_at >= %(week_since)s
  AND observed_at < %(week_until)s
  AND NOT (observed_at >= %(since)s AND observed_at < %(until)s)
ORDER BY observed_at

-- weeks_of_desks --
-- For every desk in the catalogue, its calendar weeks by what the site itself said; as the pure rule counts them,
-- but for the archive, which is not looked into.
SELECT
    line.desk_id, desks.departement, offices.name AS office, desks.label,
    date_trunc('week', line.observed_at AT TIME ZONE 'Europe/Paris')::date AS monday,
    count(*) FILTER (WHERE line.outcome IN ('none', 'closed') AND line.purpose <> 'contributed') AS without,
    count(*) FILTER (WHERE line.outcome = 'offered') AS offers,
    min(line.observed_at) FILTER (WHERE line.outcome IN ('none', 'closed') AND line.purpose <> 'contributed') AS first_without,
    max(line.observed_at) FILTER (WHERE line.outcome IN ('none', 'closed') AND line.purpose <> 'contributed') AS last_without
FROM observations_in_force AS line
JOIN desks ON desks.id = line.desk_id
JOIN offices ON offices.id = desks.office_id
WHERE line.counter_key IS NULL
  AND desks.closed_at IS NULL
  AND line.observed_at >= %(since)s
  AND line.observed_at < %(until)s
  AND (%(departements)s::text[] IS NULL OR desks.departement = ANY (%(departements)s::text[]))
GROUP BY line.desk_id, desks.departement, offices.name, desks.label, monday
ORDER BY desks.departement, line.desk_id, monday
