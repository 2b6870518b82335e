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

-- note_pattern --
-- How days are cut into baseline slots, kept with its date when it changes: coverage is counted by it.
INSERT INTO baseline_patterns (since, day_from, day_until, day_slot, night_slot)
SELECT now(), %(day_from)s, %(day_until)s, %(day_slot)s, %(night_slot)s
WHERE NOT EXISTS (
    SELECT
    FROM (SELECT * FROM baseline_patterns ORDER BY since DESC LIMIT 1) AS latest
    WHERE latest.day_from = %(day_from)s AND latest.day_until = %(day_until)s
        AND latest.day_slot = %(day_slot)s AND latest.night_slot = %(night_slot)s
)
ON CONFLICT DO NOTHING;

-- claim_host --
-- The hosts claimable longest of the family's queue, whose leases are free or expired; the token grows by one at
-- each claim. The queue only says where to look: hosts and desks say whether it is so. The lease of a worker
-- that died may have seen a request until its very end, hence the wait that is counted from there.
-- NO KEY: a new desk of the host, whose key refers to it, need not wait, nor deadlock with the catalogue's sync.
-- Not waited for on disk: no request leaves before begin_visit is, and with it all that went before. A claim that a
-- crash of the server forgets is a token that begin_visit refuses.
WITH chosen AS (
    SELECT
        hosts.host,
        CASE WHEN hosts.lease_owner IS NOT NULL THEN hosts.lease_expires_at END AS died_at
    FROM host_queue
    JOIN hosts USING (host)
    WHERE host_queue.family = %(family)s
        AND host_queue.claimable_at <= now()
        AND NOT hosts.forbidden
        AND (hosts.paused_until IS NULL OR hosts.paused_until <= now())
        AND (hosts.lease_expires_at IS NULL OR hosts.lease_expires_at <= now())
        AND EXISTS (
            SELECT
            FROM desks
            WHERE desks.host = host_queue.host
                AND desks.closed_at IS NULL
                AND desks.next_due_at <= now()
                AND desks.family = %(family)s
                AND (desks.valid_to IS NULL OR desks.valid_to >= current_date)
                AND (%(departements)s::text[] IS NULL OR desks.departement = ANY (%(departements)s::text[]))
                AND (%(desks)s::text[] IS NULL OR desks.id = ANY (%(desks)s::text[]))
                AND (desks.last_probed_at IS NULL OR desks.last_probed_at <= now() - visit_interval(
                    desks.is_watched_closely,
                    close_visits_left(desks.close_visits_at),
                    %(form_interval)s
                ))
        )
    ORDER BY host_queue.claimable_at, host_queue.host
    LIMIT %(at_most)s
    FOR NO KEY UPDATE OF hosts SKIP LOCKED
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
    chosen.died_at,
    extract(epoch FROM now() - chosen.died_at)::double precision AS died_seconds_ago,
    hosts.strikes,
    hosts.strikes_on,
    hosts.failures,
    hosts.robots_txt,
    hosts.robots_status,
    hosts.robots_fetched_at,
    set_config('synchronous_commit', 'off', true) AS synchronous_commit;

-- claim_watched_host --
-- The same for planned watch probes, the one waiting longest first; asked when no more hosts with due desks are free, so
-- that no baseline probe waits for a watch probe of another host.
WITH waiting AS MATERIALIZED (
    SELECT planned.host, min(candidate.planned_at) AS planned_at
    FROM (
        SELECT DISTINCT watch_queue.host
        FROM watch_queue
        WHERE watch_queue.family = %(family)s AND watch_queue.planned_at <= now() AND watch_queue.expires_at > now()
    ) AS planned
    CROSS JOIN LATERAL watch_candidates(planned.host, %(form_interval)s) AS candidate
    JOIN desks ON desks.id = candidate.desk_id
    WHERE candidate.ready_at <= now()
        AND desks.family = %(family)s
        AND (desks.valid_to IS NULL OR desks.valid_to >= current_date)
        AND (%(departements)s::text[] IS NULL OR desks.departement = ANY (%(departements)s::text[]))
        AND (%(desks)s::text[] IS NULL OR desks.id = ANY (%(desks)s::text[]))
    GROUP BY planned.host
), chosen AS (
    SELECT
        hosts.host,
        CASE WHEN hosts.lease_owner IS NOT NULL THEN hosts.lease_expires_at END AS died_at
    FROM waiting
    JOIN hosts USING (host)
    WHERE NOT hosts.forbidden
        AND (hosts.paused_until IS NULL OR hosts.paused_until <= now())
        AND (hosts.lease_expires_at IS NULL OR hosts.lease_expires_at <= now())
    ORDER BY waiting.planned_at, hosts.host
    LIMIT %(at_most)s
    FOR NO KEY UPDATE OF hosts SKIP LOCKED
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
    chosen.died_at,
    extract(epoch FROM now() - chosen.died_at)::double precision AS died_seconds_ago,
    hosts.strikes,
    hosts.strikes_on,
    hosts.failures,
    hosts.robots_txt,
    hosts.robots_status,
    hosts.robots_fetched_at,
    set_config('synchronous_commit', 'off', true) AS synchronous_commit;

-- claim_any_host --
-- The same for a crawl of every desk once: due or not, those it has not visited yet. The queue's order still
-- puts first what was visited longest ago.
WITH chosen AS (
    SELECT
        hosts.host,
        CASE WHEN hosts.lease_owner IS NOT NULL THEN hosts.lease_expires_at END AS died_at
    FROM host_queue
    JOIN hosts USING (host)
    WHERE host_queue.family = %(family)s
        AND NOT hosts.forbidden
        AND (hosts.paused_until IS NULL OR hosts.paused_until <= now())
        AND (hosts.lease_expires_at IS NULL OR hosts.lease_expires_at <= now())
        AND EXISTS (
            SELECT
            FROM desks
            WHERE desks.host = host_queue.host
                AND desks.closed_at IS NULL
                AND desks.family = %(family)s
                AND (desks.valid_to IS NULL OR desks.valid_to >= current_date)
                AND (%(departements)s::text[] IS NULL OR desks.departement = ANY (%(departements)s::text[]))
                AND (%(desks)s::text[] IS NULL OR desks.id = ANY (%(desks)s::text[]))
                AND (desks.last_probed_at IS NULL OR desks.last_probed_at < %(started_at)s)
                AND (desks.last_probed_at IS NULL OR desks.last_probed_at <= now() - %(form_interval)s)
        )
    ORDER BY host_queue.claimable_at, host_queue.host
    LIMIT %(at_most)s
    FOR NO KEY UPDATE OF hosts SKIP LOCKED
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
    chosen.died_at,
    extract(epoch FROM now() - chosen.died_at)::double precision AS died_seconds_ago,
    hosts.strikes,
    hosts.strikes_on,
    hosts.failures,
    hosts.robots_txt,
    hosts.robots_status,
    hosts.robots_fetched_at,
    set_config('synchronous_commit', 'off', true) AS synchronous_commit;

-- count_from_death --
-- The visit that a dead worker was at may have sent its last request as its lease ended: its form's interval is
-- counted from there. It is the one begun last; should it have ended in order, nothing is lost by it.
UPDATE desks
SET last_probed_at = died.at
FROM unnest(%(hosts)s::text[], %(died_at)s::timestamptz[]) AS died (host, at)
WHERE desks.last_probed_at < died.at
    AND desks.id = (
        SELECT latest.id
        FROM desks AS latest
        WHERE latest.host = died.host AND latest.closed_at IS NULL AND latest.last_probed_at IS NOT NULL
        ORDER BY latest.last_probed_at DESC
        LIMIT 1
    );

-- due_desks --
-- The desks to probe on hosts just claimed, the one due longest first; after them those of which a watch probe is
-- planned. A statement of its own, after the claim: it sees what whoever held the hosts before has committed.
WITH watch AS MATERIALIZED (
    SELECT DISTINCT ON (candidate.desk_id) candidate.desk_id, candidate.planned_at
    FROM unnest(%(hosts)s::text[]) AS claimed (host)
    CROSS JOIN LATERAL watch_candidates(claimed.host, %(form_interval)s) AS candidate
    WHERE %(watches)s AND candidate.ready_at <= now()
    ORDER BY candidate.desk_id, candidate.planned_at
)
SELECT
    desks.host, desks.id, desks.family, desks.departement, offices.name AS office, desks.procedure, desks.label,
    desks.url, desks.params, desks.valid_from, desks.valid_to, desks.moved_to, desks.source, desks.note,
    departements.timezone, desks.next_due_at, desks.last_probed_at IS NULL AS is_new, now() AS now,
    watch.planned_at AS watch_at
FROM desks
JOIN offices ON offices.id = desks.office_id
JOIN departements ON departements.code = desks.departement
LEFT JOIN watch ON watch.desk_id = desks.id
WHERE desks.host = ANY (%(hosts)s::text[])
    AND desks.closed_at IS NULL
    AND desks.family = %(family)s
    AND (desks.valid_to IS NULL OR desks.valid_to >= current_date)
    AND (%(departements)s::text[] IS NULL OR desks.departement = ANY (%(departements)s::text[]))
    AND (%(desks)s::text[] IS NULL OR desks.id = ANY (%(desks)s::text[]))
    AND (
        -- no candidate has a baseline probe due, nor about to be: each desk is here for one of the two
        watch.planned_at IS NOT NULL
        OR (
            CASE WHEN %(everything)s
                THEN desks.last_probed_at IS NULL OR desks.last_probed_at < %(started_at)s
                ELSE desks.next_due_at <= now()
            END
            AND (desks.last_probed_at IS NULL OR desks.last_probed_at <= now() - visit_interval(
                desks.is_watched_closely,
                close_visits_left(desks.close_visits_at),
                %(form_interval)s
            ))
        )
    )
ORDER BY watch.planned_at NULLS FIRST, desks.next_due_at, desks.id;

-- next_due --
-- Seconds until the first desk of the selection may be claimed by anybody; no row when none ever will.
-- Read from the head of the queue, %(hosts)s hosts of the selection deep: the queue is never later than the truth, so
-- behind them nothing is claimable before the last of them. Too early at worst, when all of them wait for a form's
-- interval.
WITH head AS (
    SELECT host_queue.claimable_at, greatest(host_queue.claimable_at, first.ready_at) AS ready_at
    FROM host_queue
    CROSS JOIN LATERAL (
        SELECT min(greatest(desks.next_due_at, desks.last_probed_at + visit_interval(
            desks.is_watched_closely,
            close_visits_left(desks.close_visits_at),
            %(form_interval)s
        ))) AS ready_at
        FROM desks
        WHERE desks.host = host_queue.host
            AND desks.closed_at IS NULL
            AND desks.family = %(family)s
            AND (desks.valid_to IS NULL OR desks.valid_to >= current_date)
            AND (%(departements)s::text[] IS NULL OR desks.departement = ANY (%(departements)s::text[]))
            AND (%(desks)s::text[] IS NULL OR desks.id = ANY (%(desks)s::text[]))
    ) AS first
    WHERE host_queue.family = %(family)s
        AND host_queue.claimable_at < 'infinity'
        AND first.ready_at IS NOT NULL
        AND (
            %(desks)s::text[] IS NULL
            OR host_queue.host IN (SELECT chosen.host FROM desks AS chosen WHERE chosen.id = ANY (%(desks)s::text[]))
        )
    ORDER BY host_queue.claimable_at, host_queue.host
    LIMIT %(hosts)s
), watch AS (
    SELECT min(greatest(candidate.ready_at, hosts.lease_expires_at)) AS ready_at
    FROM (SELECT DISTINCT watch_queue.host FROM watch_queue WHERE watch_queue.family = %(family)s) AS planned
    JOIN hosts USING (host)
    CROSS JOIN LATERAL watch_candidates(planned.host, %(form_interval)s) AS candidate
    JOIN desks ON desks.id = candidate.desk_id
    WHERE %(watches)s
        AND desks.family = %(family)s
        AND (desks.valid_to IS NULL OR desks.valid_to >= current_date)
        AND (%(departements)s::text[] IS NULL OR desks.departement = ANY (%(departements)s::text[]))
        AND (%(desks)s::text[] IS NULL OR desks.id = ANY (%(desks)s::text[]))
)
SELECT greatest(0, extract(epoch FROM least(
    min(head.ready_at),
    CASE WHEN count(*) = %(hosts)s THEN max(head.claimable_at) END,
    (SELECT watch.ready_at FROM watch)
) - now()))::double precision AS seconds
FROM head
HAVING count(*) > 0;

-- next_any_due --
-- The same for a crawl of every desk, whatever is due: asked at its end, it reads what is left of the family.
SELECT greatest(0, extract(epoch FROM min(greatest(
    now(),
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
    AND (desks.last_probed_at IS NULL OR desks.last_probed_at < %(started_at)s)
HAVING count(*) > 0;

-- begin_visit --
-- A visit of one form begins, and the forms visited before it are done; nothing happens under a stale token.
-- is_held: the lease is ours. is_begun: the visit may go ahead. A baseline slot belongs to the probe begun last:
-- what a dead worker began may be begun again, by a newer token, and counts once.
WITH held AS (
    UPDATE hosts
    SET next_request_at = now() + %(wait)s,
        requests_today = CASE WHEN requests_on = (now() AT TIME ZONE 'UTC')::date THEN requests_today ELSE 0 END
            + %(requests)s,
        peak_per_minute = greatest(
            CASE WHEN requests_on = (now() AT TIME ZONE 'UTC')::date THEN peak_per_minute ELSE 0 END, %(peak)s
        ),
        paused_seconds = CASE WHEN requests_on = (now() AT TIME ZONE 'UTC')::date THEN paused_seconds ELSE 0 END,
        requests_on = (now() AT TIME ZONE 'UTC')::date
    WHERE host = %(host)s AND fencing_token = %(token)s AND lease_expires_at > now()
    RETURNING forbidden, extract(epoch FROM paused_until - now())::double precision AS paused_seconds
),
free AS (
    SELECT FROM held WHERE NOT forbidden AND coalesce(paused_seconds, 0) <= 0
),
done AS (
    UPDATE desks
    SET next_due_at = coalesce(visited.next_due_at, desks.next_due_at),
        last_probed_at = greatest(last_probed_at, now()) -- the interval is counted from a visit's end, too
    FROM unnest(%(done)s::text[], %(done_due)s::timestamptz[]) AS visited (id, next_due_at)
    WHERE desks.id = visited.id AND desks.id <> %(desk)s AND EXISTS (SELECT FROM held)
),
elsewhere AS (
    -- begun in the slot before, and the answer was lost on the way: the visit counts where it happens
    UPDATE baseline_visits SET probe = gen_random_uuid()
    WHERE probe = %(probe)s::uuid
        AND slot_starts_at IS DISTINCT FROM %(slot)s::timestamptz
        AND EXISTS (SELECT FROM free)
),
visit AS (
    INSERT INTO baseline_visits (desk_id, slot_starts_at, probe, fencing_token)
    SELECT %(desk)s, %(slot)s::timestamptz, %(probe)s::uuid, %(token)s
    FROM free
    WHERE %(slot)s::timestamptz IS NOT NULL
    ON CONFLICT (desk_id, slot_starts_at) DO UPDATE
    SET probe = excluded.probe, fencing_token = excluded.fencing_token, begun_at = excluded.begun_at
    WHERE baseline_visits.fencing_token < excluded.fencing_token OR baseline_visits.probe = excluded.probe
    RETURNING probe
),
begun AS (
    UPDATE desks
    SET last_probed_at = now(),
        is_watched_closely = false,
        close_visits_at = CASE WHEN last_probed_at > now() - %(form_interval)s
            THEN (now() || close_visits_at)[1:60] ELSE close_visits_at
        END
    WHERE id = %(desk)s AND EXISTS (SELECT FROM free)
        AND (%(slot)s::timestamptz IS NULL OR EXISTS (SELECT FROM visit))
    RETURNING id
)
SELECT
    EXISTS (SELECT FROM held) AS is_held,
    EXISTS (SELECT FROM begun) AS is_begun,
    (SELECT forbidden FROM held) AS forbidden,
    (SELECT paused_seconds FROM held) AS paused_seconds;

-- begin_watch --
-- The same for a planned watch probe, which goes from the queue: it begins, or is dropped. It begins only where it is
-- neither late nor too near to the desk's visit before or to its next baseline probe, and where the watch does not rest.
-- The same probe once more, because the answer was lost on the way, has begun.
WITH held AS (
    UPDATE hosts
    SET next_request_at = now() + %(wait)s,
        requests_today = CASE WHEN requests_on = (now() AT TIME ZONE 'UTC')::date THEN requests_today ELSE 0 END
            + %(requests)s,
        peak_per_minute = greatest(
            CASE WHEN requests_on = (now() AT TIME ZONE 'UTC')::date THEN peak_per_minute ELSE 0 END, %(peak)s
        ),
        paused_seconds = CASE WHEN requests_on = (now() AT TIME ZONE 'UTC')::date THEN paused_seconds ELSE 0 END,
        requests_on = (now() AT TIME ZONE 'UTC')::date
    WHERE host = %(host)s AND fencing_token = %(token)s AND lease_expires_at > now()
    RETURNING forbidden, extract(epoch FROM paused_until - now())::double precision AS paused_seconds
),
free AS (
    SELECT FROM held WHERE NOT forbidden AND coalesce(paused_seconds, 0) <= 0
),
done AS (
    UPDATE desks
    SET next_due_at = coalesce(visited.next_due_at, desks.next_due_at),
        last_probed_at = greatest(last_probed_at, now()) -- the interval is counted from a visit's end, too
    FROM unnest(%(done)s::text[], %(done_due)s::timestamptz[]) AS visited (id, next_due_at)
    WHERE desks.id = visited.id AND desks.id <> %(desk)s AND EXISTS (SELECT FROM held)
),
taken AS (
    DELETE FROM watch_queue
    WHERE desk_id = %(desk)s AND planned_at = %(planned_at)s AND EXISTS (SELECT FROM free)
    RETURNING *
),
fit AS (
    SELECT
        taken.*,
        desks.last_probed_at > now() - %(form_interval)s AS is_close
    FROM taken
    JOIN desks ON desks.id = taken.desk_id AND desks.host = taken.host
    WHERE taken.host = %(host)s
        AND taken.expires_at > now()
        AND watch_may_begin(
            now(), taken.is_dense, desks.next_due_at, desks.last_probed_at,
            close_visits_left(desks.close_visits_at), %(form_interval)s
        )
        AND NOT EXISTS (SELECT FROM watch_rests WHERE watch_rests.host = taken.host)
),
begun AS (
    UPDATE desks
    SET last_probed_at = now(),
        is_watched_closely = fit.is_dense,
        close_visits_at = CASE WHEN fit.is_close THEN (now() || close_visits_at)[1:60] ELSE close_visits_at END
    FROM fit
    WHERE desks.id = fit.desk_id
),
kept AS (
    INSERT INTO watch_probes (
        probe, desk_id, planned_at, begun_at, fencing_token, reason, weight, is_dense, is_close
    )
    SELECT
        %(probe)s::uuid, fit.desk_id, fit.planned_at, now(), %(token)s, fit.reason, fit.weight, fit.is_dense, fit.is_close
    FROM fit
),
dropped AS (
    UPDATE watch_totals SET dropped = dropped + 1
    FROM taken
    WHERE watch_totals.reason = taken.reason AND NOT EXISTS (SELECT FROM fit)
)
SELECT
    EXISTS (SELECT FROM held) AS is_held,
    EXISTS (SELECT FROM free)
        AND (EXISTS (SELECT FROM fit) OR EXISTS (SELECT FROM watch_probes WHERE probe = %(probe)s::uuid)) AS is_begun,
    (SELECT forbidden FROM held) AS forbidden,
    (SELECT paused_seconds FROM held) AS paused_seconds;

-- postpone_desk --
-- The slot it was due in is over: it is missed, and the desk waits for another one.
UPDATE desks SET next_due_at = %(due)s
WHERE id = %(desk)s
    AND EXISTS (
        SELECT FROM hosts WHERE host = %(host)s AND fencing_token = %(token)s AND lease_expires_at > now()
    );

-- save_host --
-- Pace, pauses and robots.txt become known to all workers, and the lease is renewed or ended.
-- No row comes back under a stale token. A pause that somebody else made longer stays as long.
WITH held AS (
    UPDATE hosts
    SET next_request_at = now() + %(wait)s,
        paused_until = CASE
            WHEN %(pause)s > interval '0' THEN greatest(paused_until, now() + %(pause)s) ELSE paused_until
        END,
        strikes = %(strikes)s,
        strikes_on = %(strikes_on)s,
        failures = %(failures)s,
        last_refusal_at = CASE WHEN %(refusals)s::text[] <> '{}' THEN now() ELSE last_refusal_at END,
        crawl_delay_seconds = coalesce(%(crawl_delay)s, crawl_delay_seconds),
        robots_txt = %(robots_txt)s,
        robots_status = %(robots_status)s,
        robots_fetched_at = %(robots_fetched_at)s,
        requests_today = CASE WHEN requests_on = (now() AT TIME ZONE 'UTC')::date THEN requests_today ELSE 0 END
            + %(requests)s,
        peak_per_minute = greatest(
            CASE WHEN requests_on = (now() AT TIME ZONE 'UTC')::date THEN peak_per_minute ELSE 0 END, %(peak)s
        ),
        paused_seconds = CASE WHEN requests_on = (now() AT TIME ZONE 'UTC')::date THEN paused_seconds ELSE 0 END
            + greatest(0, extract(epoch FROM now() + %(pause)s - greatest(now(), paused_until))),
        requests_on = (now() AT TIME ZONE 'UTC')::date,
        lease_owner = CASE WHEN %(ends)s THEN NULL ELSE lease_owner END,
        lease_expires_at = CASE WHEN %(ends)s THEN NULL ELSE now() + %(lease)s END
    WHERE host = %(host)s AND fencing_token = %(token)s AND lease_expires_at > now()
    RETURNING host, forbidden, paused_until
),
done AS (
    UPDATE desks
    SET next_due_at = coalesce(visited.next_due_at, desks.next_due_at),
        last_probed_at = greatest(last_probed_at, now()) -- the interval is counted from a visit's end, too
    FROM unnest(%(done)s::text[], %(done_due)s::timestamptz[]) AS visited (id, next_due_at)
    WHERE desks.id = visited.id AND EXISTS (SELECT FROM held)
),
told AS (
    INSERT INTO host_events (host, what, until, who, why)
    SELECT held.host, 'refused', held.paused_until, %(worker)s, why
    FROM held CROSS JOIN unnest(%(refusals)s::text[]) AS why
)
SELECT forbidden, extract(epoch FROM paused_until - now())::double precision AS paused_seconds FROM held;
