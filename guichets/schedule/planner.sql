-- hold --
-- The planner's lease, taken when free or run out, or renewed by whoever bears its token, late or not: nobody
-- planned meanwhile. No row when another plans.
UPDATE watch_planner
SET token = CASE WHEN token = %(token)s THEN token ELSE token + 1 END,
    owner = %(owner)s,
    expires_at = now() + %(lease)s
WHERE token = %(token)s OR owner IS NULL OR expires_at <= now() OR %(by_force)s
RETURNING token, now() AS now, planned_until;

-- let_go --
UPDATE watch_planner SET owner = NULL, expires_at = NULL WHERE token = %(token)s;

-- mark_planned --
-- Before the minute's probes: one that dies in between leaves a minute without probes, never one with twice as many.
UPDATE watch_planner SET planned_until = %(until)s WHERE token = %(token)s AND expires_at > now() RETURNING token;

-- desks --
-- The desks that are watched: those that the baseline schedule visits. With what hosts.toml and robots.txt ask of their
-- host's pace, as claim_host reads it; a host that asks for patience (Retry-After) fails or refuses, and the watch rests there.
SELECT
    desks.id, desks.host, desks.family, desks.departement, departements.timezone,
    greatest(hosts.min_delay_seconds, hosts.crawl_delay_seconds) AS delay_seconds,
    desks.next_due_at
FROM desks
JOIN hosts USING (host)
JOIN departements ON departements.code = desks.departement
WHERE desks.closed_at IS NULL
    AND (desks.valid_to IS NULL OR desks.valid_to >= current_date)
    AND desks.last_probed_at > now() - interval '1 day'
ORDER BY desks.id;

-- all_desks --
-- Those that were ever seen, to relearn all of them.
SELECT
    desks.id, desks.host, desks.family, desks.departement, departements.timezone,
    greatest(hosts.min_delay_seconds, hosts.crawl_delay_seconds) AS delay_seconds,
    desks.next_due_at
FROM desks
JOIN hosts USING (host)
JOIN departements ON departements.code = desks.departement
WHERE desks.closed_at IS NULL AND desks.last_probed_at IS NOT NULL
ORDER BY desks.id;

-- rests --
SELECT host FROM watch_rests;

-- states --
SELECT desk_id, state, timezone, newest_at, relearnt_at, told_at
FROM watch_states
WHERE desk_id = ANY (%(desks)s);

-- sightings --
-- Visits of all desks since an instant, in order of time. What a visit did not establish is null.
SELECT
    observations_in_force.desk_id,
    observations_in_force.observed_at AS at,
    CASE
        WHEN observations_in_force.outcome = 'offered' THEN true
        WHEN observations_in_force.outcome IN ('none', 'closed') THEN false
    END AS is_offered
FROM observations_in_force
WHERE observations_in_force.counter_key IS NULL
    AND observations_in_force.purpose IN ('baseline', 'watch')
    AND observations_in_force.observed_at > %(since)s
    AND observations_in_force.observed_at <= now()
ORDER BY observations_in_force.observed_at;

-- history --
-- The same for one desk.
SELECT
    observations_in_force.desk_id,
    observations_in_force.observed_at AS at,
    CASE
        WHEN observations_in_force.outcome = 'offered' THEN true
        WHEN observations_in_force.outcome IN ('none', 'closed') THEN false
    END AS is_offered
FROM observations_in_force
WHERE observations_in_force.desk_id = %(desk)s
    AND observations_in_force.counter_key IS NULL
    AND observations_in_force.purpose IN ('baseline', 'watch')
    AND observations_in_force.observed_at > now() - %(history)s
    AND observations_in_force.observed_at <= now()
ORDER BY observations_in_force.observed_at;

-- keep_state --
-- No row is touched under a stale token.
UPDATE watch_states
SET state = %(state)s, newest_at = %(newest_at)s
WHERE desk_id = %(desk)s
    AND EXISTS (SELECT FROM watch_planner WHERE token = %(token)s AND expires_at > now());

-- tell_state --
-- With what people and screens read of it.
INSERT INTO watch_states (
    desk_id, state, timezone, newest_at, relearnt_at, told_at, sightings, openings, weekly_map, releases
)
SELECT
    %(desk)s, %(state)s, %(timezone)s, %(newest_at)s, %(relearnt_at)s, now(), %(sightings)s, %(openings)s,
    %(weekly_map)s, %(releases)s
WHERE EXISTS (SELECT FROM watch_planner WHERE token = %(token)s AND expires_at > now())
ON CONFLICT (desk_id) DO UPDATE
SET state = excluded.state,
    timezone = excluded.timezone,
    newest_at = excluded.newest_at,
    relearnt_at = excluded.relearnt_at,
    told_at = excluded.told_at,
    sightings = excluded.sightings,
    openings = excluded.openings,
    weekly_map = excluded.weekly_map,
    releases = excluded.releases;

-- plan --
-- The probes of one minute, as parallel arrays; those of desks that left the catalogue meanwhile are not planned.
WITH added AS (
    INSERT INTO watch_queue (desk_id, planned_at, expires_at, host, family, reason, weight, is_dense)
    SELECT
        planned.desk_id, planned.at, planned.at + %(grace)s, desks.host, desks.family,
        planned.reason, planned.weight, planned.is_dense
    FROM unnest(
        %(desks)s::text[], %(instants)s::timestamptz[], %(reasons)s::text[], %(weights)s::double precision[],
        %(dense)s::boolean[]
    ) AS planned (desk_id, at, reason, weight, is_dense)
    JOIN desks ON desks.id = planned.desk_id AND desks.closed_at IS NULL
    WHERE EXISTS (SELECT FROM watch_planner WHERE token = %(token)s AND expires_at > now())
    ON CONFLICT DO NOTHING
    RETURNING reason
), counted AS (
    SELECT added.reason, count(*) AS probes FROM added GROUP BY added.reason
)
UPDATE watch_totals SET planned = watch_totals.planned + counted.probes
FROM counted
WHERE watch_totals.reason = counted.reason;

-- drop_late --
-- What could not be made in time is never made up.
WITH late AS (
    DELETE FROM watch_queue
    WHERE expires_at <= now() OR planned_at > now() + interval '5 minutes' -- the clock was set back
    RETURNING reason
), counted AS (
    SELECT late.reason, count(*) AS probes FROM late GROUP BY late.reason
)
UPDATE watch_totals SET dropped = watch_totals.dropped + counted.probes
FROM counted
WHERE watch_totals.reason = counted.reason;

-- drop_old --
-- Why watch probes were made, a year and a month ago; what they saw stays among the observations.
DELETE FROM watch_probes
WHERE probe = ANY (ARRAY(
        SELECT old.probe FROM watch_probes AS old WHERE old.begun_at < now() - %(kept)s LIMIT %(at_most)s
    ))
    AND EXISTS (SELECT FROM watch_planner WHERE token = %(token)s AND expires_at > now());
