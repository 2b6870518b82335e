-- Queries of `guichets replay`.

-- visits --
-- Observations in force of the visits asked for, visit by visit: a visit's lines share `probe`, its desk's line
-- comes last. Bounds are widened by the length of the longest visit; the desk's line decides (in Python).
SELECT
    line.id, line.probe, line.crawl, line.desk_id, line.counter_key, line.counter_label, line.family,
    line.departement, line.observed_at, line.outcome::text AS outcome, line.rule, line.purpose, line.step,
    line.slot_has_time, line.slot_count, line.horizon_end, line.http_status, line.latency_ms, line.requests,
    line.evidence::text AS evidence, line.parser, line.worker, line.note, line.host, line.fencing_token, line.contributor,
    line.facts,
    CASE WHEN line.facts IS NOT NULL THEN (
        SELECT jsonb_object_agg(texts.sha256, texts.text)
        FROM jsonb_each(line.facts) AS fact
        JOIN texts ON texts.sha256 = fact.value ->> 'sha256'
        WHERE jsonb_typeof(fact.value) = 'object'
    ) END AS texts,
    CASE WHEN line.first_slot IS NOT NULL THEN ARRAY(
        SELECT slots.starts_at FROM slots
        WHERE slots.observation_id = line.id AND slots.observed_at = line.observed_at
    ) ELSE '{}' END AS slots,
    desks.url, desks.params, desks.label, desks.procedure
FROM observations_in_force AS line
JOIN desks ON desks.id = line.desk_id
WHERE line.observed_at >= coalesce(%(since)s::timestamptz - %(longest_visit)s::interval, '-infinity')
  AND line.observed_at < coalesce(%(until)s::timestamptz + %(longest_visit)s::interval, 'infinity')
  AND (%(desks)s::text[] IS NULL OR line.desk_id = ANY (%(desks)s::text[]))
  AND (%(families)s::text[] IS NULL OR line.family = ANY (%(families)s::text[]))
ORDER BY line.probe, line.counter_key IS NULL, line.observed_at, line.id

-- count_visits --
-- How many visits that is, for the progress bar.
SELECT count(*)
FROM observations_in_force AS line
WHERE line.counter_key IS NULL
  AND line.observed_at >= coalesce(%(since)s::timestamptz, '-infinity')
  AND line.observed_at < coalesce(%(until)s::timestamptz, 'infinity')
  AND (%(desks)s::text[] IS NULL OR line.desk_id = ANY (%(desks)s::text[]))
  AND (%(families)s::text[] IS NULL OR line.family = ANY (%(families)s::text[]))

-- lock_replays --
-- One replay at a time: two would supersede the same observation twice.
SELECT pg_advisory_lock(hashtextextended('guichets.replay', 0))

-- figures --
-- Availability by day, in the zone of the desks' people, of the desks and days given: what rates are made
-- of, baseline lines of whole desks. A département's day counts all its desks.
WITH touched AS (
    SELECT DISTINCT changed.desk_id, changed.departement, departements.timezone,
        (changed.observed_at AT TIME ZONE departements.timezone)::date AS day
    FROM unnest(%(desks)s::text[], %(departements)s::text[], %(instants)s::timestamptz[])
        AS changed (desk_id, departement, observed_at)
    JOIN departements ON departements.code = changed.departement
), days AS (
    SELECT DISTINCT departement, timezone, day,
        day::timestamp AT TIME ZONE timezone AS begins, (day + 1)::timestamp AT TIME ZONE timezone AS ends
    FROM touched
), counted AS (
    SELECT days.departement, days.day, line.desk_id,
        count(*) FILTER (WHERE line.outcome = 'offered') AS offered,
        count(*) FILTER (WHERE line.outcome IN ('offered', 'none', 'closed')) AS rated
    FROM days
    JOIN observations_in_force AS line
        ON line.departement = days.departement AND line.observed_at >= days.begins AND line.observed_at < days.ends
    WHERE line.counter_key IS NULL AND line.purpose = 'baseline'
    GROUP BY days.departement, days.day, line.desk_id
)
SELECT 'desk' AS scope, counted.desk_id AS name, counted.day, counted.offered, counted.rated
FROM counted
JOIN touched ON touched.desk_id = counted.desk_id AND touched.day = counted.day
UNION ALL
SELECT 'departement', departement, day, sum(offered)::bigint, sum(rated)::bigint
FROM counted
GROUP BY departement, day
ORDER BY scope, name, day

-- record_erratum --
INSERT INTO errata (id, parser_from, parser_to, changes, figures, note)
VALUES (%(id)s, %(parser_from)s, %(parser_to)s, %(changes)s, %(figures)s, %(note)s)
