-- start_crawl --
-- The crawl begins at the database's own instant: what a crawl of every desk counts from.
INSERT INTO crawls (id, family, worker, version, arguments, started_at, archive)
VALUES (%(crawl)s, %(family)s, %(worker)s, %(version)s, %(arguments)s, now(), %(archive)s)
RETURNING started_at;

-- known_desks --
-- Open desks and their families, to check a crawl's arguments.
SELECT id, family FROM desks WHERE closed_at IS NULL;

-- known_departements --
SELECT code FROM departements;

-- claim_host --
-- The host due longest whose lease is free or expired; the token grows by one at each claim.
WITH due AS (
    SELECT desks.host, min(desks.next_due_at) AS due_at
    FROM desks
    WHERE desks.closed_at IS NULL
        AND desks.family = %(family)s
        AND (desks.valid_to IS NULL OR desks.valid_to >= current_date)
        AND (%(departements)s::text[] IS NULL OR desks.departement = ANY (%(departements)s::text[]))
        AND (%(desks)s::text[] IS NULL OR desks.id = ANY (%(desks)s::text[]))
        AND CASE WHEN %(everything)s
            THEN desks.last_probed_at IS NULL OR desks.last_probed_at < %(started_at)s
            ELSE desks.next_due_at <= now()
        END
        AND (desks.last_probed_at IS NULL OR desks.last_probed_at <= now() - %(form_interval)s)
    GROUP BY desks.host
),
chosen AS (
    SELECT hosts.host
    FROM hosts
    JOIN due USING (host)
    WHERE NOT hosts.forbidden
        AND (hosts.paused_until IS NULL OR hosts.paused_until <= now())
        AND (hosts.lease_expires_at IS NULL OR hosts.lease_expires_at <= now())
    ORDER BY due.due_at, hosts.host
    LIMIT 1
    FOR UPDATE OF hosts SKIP LOCKED
)
UPDATE hosts
SET lease_owner = %(worker)s,
    lease_expires_at = now() + %(lease)s,
    fencing_token = hosts.fencing_token + 1
FROM chosen
WHERE hosts.host = chosen.host
RETURNING
    hosts.host,
    hosts.fencing_token,
    greatest(hosts.min_delay_seconds, hosts.crawl_delay_seconds, 0) AS least_delay_seconds,
    greatest(0, extract(epoch FROM hosts.next_request_at - now()))::double precision AS wait_seconds,
    hosts.strikes,
    hosts.strikes_on,
    hosts.robots_txt,
    hosts.robots_status,
    hosts.robots_fetched_at;

-- due_desks --
-- The desks to probe on a claimed host, the one due longest first.
SELECT
    desks.id, desks.family, desks.departement, offices.name AS office, desks.procedure, desks.label,
    desks.url, desks.params, desks.valid_from, desks.valid_to, desks.moved_to, desks.source, desks.note,
    departements.timezone
FROM desks
JOIN offices ON offices.id = desks.office_id
JOIN departements ON departements.code = desks.departement
WHERE desks.host = %(host)s
    AND desks.closed_at IS NULL
    AND desks.family = %(family)s
    AND (desks.valid_to IS NULL OR desks.valid_to >= current_date)
    AND (%(departements)s::text[] IS NULL OR desks.departement = ANY (%(departements)s::text[]))
    AND (%(desks)s::text[] IS NULL OR desks.id = ANY (%(desks)s::text[]))
    AND CASE WHEN %(everything)s
        THEN desks.last_probed_at IS NULL OR desks.last_probed_at < %(started_at)s
        ELSE desks.next_due_at <= now()
    END
    AND (desks.last_probed_at IS NULL OR desks.last_probed_at <= now() - %(form_interval)s)
ORDER BY desks.next_due_at, desks.id;

-- next_due --
-- Seconds until the first desk of the selection may be claimed by anybody; no row when none ever will.
SELECT greatest(0, extract(epoch FROM min(greatest(
    CASE WHEN %(everything)s THEN now() ELSE desks.next_due_at END,
    desks.last_probed_at + %(form_interval)s,
    hosts.paused_until,
    hosts.lease_expires_at
)) - now()))::double precision AS seconds
FROM desks
JOIN hosts USING (host)
WHERE desks.closed_at IS NULL
    AND desks.family = %(family)s
    AND NOT hosts.forbidden
    AND (desks.valid_to IS NULL OR desks.valid_to >= current_date)
    AND (%(departements)s::text[] IS NULL OR desks.departement = ANY (%(departements)s::text[]))
    AND (%(desks)s::text[] IS NULL OR desks.id = ANY (%(desks)s::text[]))
    AND (NOT %(everything)s OR desks.last_probed_at IS NULL OR desks.last_probed_at < %(started_at)s)
HAVING count(*) > 0;

-- begin_visit --
-- A visit of one form begins, and the forms visited before it are done; nothing happens under a stale token.
WITH held AS (
    SELECT 1 FROM hosts WHERE host = %(host)s AND fencing_token = %(token)s AND lease_expires_at > now()
),
done AS (
    UPDATE desks SET next_due_at = now() + %(interval)s
    WHERE id = ANY (%(done)s::text[]) AND EXISTS (SELECT 1 FROM held)
)
UPDATE desks SET last_probed_at = now()
WHERE id = %(desk)s AND EXISTS (SELECT 1 FROM held)
RETURNING id;

-- save_host --
-- Pace, pauses and robots.txt become known to all workers, and the lease is renewed or ended.
-- No row comes back under a stale token.
WITH held AS (
    UPDATE hosts
    SET next_request_at = now() + %(wait)s,
        paused_until = CASE WHEN %(pause)s > interval '0' THEN now() + %(pause)s ELSE paused_until END,
        strikes = %(strikes)s,
        strikes_on = %(strikes_on)s,
        last_refusal_at = CASE WHEN %(refused)s THEN now() ELSE last_refusal_at END,
        crawl_delay_seconds = coalesce(%(crawl_delay)s, crawl_delay_seconds),
        robots_txt = %(robots_txt)s,
        robots_status = %(robots_status)s,
        robots_fetched_at = %(robots_fetched_at)s,
        requests_today = CASE WHEN requests_on = (now() AT TIME ZONE 'UTC')::date THEN requests_today ELSE 0 END
            + %(requests)s,
        requests_on = (now() AT TIME ZONE 'UTC')::date,
        lease_owner = CASE WHEN %(ends)s THEN NULL ELSE lease_owner END,
        lease_expires_at = CASE WHEN %(ends)s THEN NULL ELSE now() + %(lease)s END
    WHERE host = %(host)s AND fencing_token = %(token)s AND lease_expires_at > now()
    RETURNING host
),
done AS (
    UPDATE desks SET next_due_at = now() + %(interval)s
    WHERE id = ANY (%(done)s::text[]) AND EXISTS (SELECT 1 FROM held)
)
SELECT host FROM held;
