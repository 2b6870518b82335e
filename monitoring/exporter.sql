-- Queries of the exporter. Each reads rollups or views, never observations by themselves.

-- clock --
SELECT extract(epoch FROM clock_timestamp())::double precision;

-- totals --
SELECT family, outcome::text, rule, coalesce(step, 'none') AS step, probes, requests, requests_histogram, bytes, timed,
    seconds_sum, seconds_histogram, absurd
FROM probe_totals;

-- delays --
SELECT family, visits, seconds_sum, seconds_histogram FROM delay_totals;

-- crawls --
SELECT family, reason, crawls, response_bytes FROM crawl_totals ORDER BY crawls DESC;

-- running --
SELECT family, count(*)
FROM crawls
WHERE started_at > now() - interval '2 hours' AND finished_at IS NULL
GROUP BY family;

-- desks --
SELECT
    family,
    count(*) AS desks,
    count(*) FILTER (WHERE is_due AND NOT is_forbidden) AS due,
    count(*) FILTER (WHERE is_overdue AND NOT is_forbidden) AS overdue,
    count(*) FILTER (WHERE is_new) AS never
FROM desk_queue
GROUP BY family;

-- freshness --
-- One line per family with its classes, one per département. A stale time never falls below zero: clocks differ.
SELECT
    family,
    departement,
    extract(epoch FROM now())::double precision - min(greatest(stale_seconds, 0)) AS last_at,
    max(greatest(stale_seconds, 0)) AS worst,
    sum(greatest(stale_seconds, 0)) AS total,
    ARRAY[
        count(*) FILTER (WHERE stale_seconds <= 3600),
        count(*) FILTER (WHERE stale_seconds > 3600 AND stale_seconds <= 7200),
        count(*) FILTER (WHERE stale_seconds > 7200 AND stale_seconds <= 14400),
        count(*) FILTER (WHERE stale_seconds > 14400 AND stale_seconds <= 28800),
        count(*) FILTER (WHERE stale_seconds > 28800 AND stale_seconds <= 86400),
        count(*) FILTER (WHERE stale_seconds > 86400 AND stale_seconds <= 604800),
        count(*) FILTER (WHERE stale_seconds > 604800)
    ] AS classes
FROM desk_freshness
GROUP BY GROUPING SETS ((family), (departement));

-- leases --
SELECT
    regexp_replace(lease_owner, '(/.*|-[0-9]+)$', '') AS node,
    count(*) FILTER (WHERE lease_expires_at > now()) AS held,
    count(*) FILTER (WHERE lease_expires_at <= now()) AS expired
FROM hosts
WHERE lease_owner IS NOT NULL
GROUP BY 1
ORDER BY 2 DESC;

-- hosts --
SELECT
    count(*) AS hosts,
    count(*) FILTER (WHERE paused_until > now()) AS paused,
    count(*) FILTER (WHERE forbidden) AS forbidden,
    coalesce(sum(requests_today) FILTER (WHERE requests_on = (now() AT TIME ZONE 'UTC')::date), 0) AS requests_today
FROM hosts;

-- refusals --
SELECT host, count(*)
FROM host_events
WHERE at > now() - interval '3 hours' AND what = 'refused'
GROUP BY host
ORDER BY count(*) DESC, host
LIMIT %(most)s;

-- nodes --
SELECT
    node,
    extract(epoch FROM observed_at)::double precision AS observed_at,
    extract(epoch FROM conclusive_at)::double precision AS conclusive_at
FROM nodes_seen
WHERE observed_at > now() - interval '7 days'
ORDER BY nodes_seen.observed_at DESC
LIMIT %(most)s;

-- workers --
SELECT regexp_replace(worker, '(/.*|-[0-9]+)$', '') AS node, version, count(DISTINCT worker)
FROM crawls
WHERE started_at > now() - interval '1 day'
GROUP BY 1, 2
ORDER BY 3 DESC
LIMIT %(most)s;

-- versions --
SELECT kind, family, version, extract(epoch FROM first_at)::double precision
FROM versions_seen
WHERE last_at > now() - interval '2 days'
ORDER BY first_at DESC
LIMIT %(most)s;

-- queue --
SELECT count(*) FROM (SELECT FROM rollup_queue LIMIT 100000) AS waiting;

-- watch --
-- Watch probes whose instant has come, by reason: made or dropped.
SELECT watch_totals.reason, planned - dropped - coalesce(waiting.probes, 0) AS made, dropped
FROM watch_totals
LEFT JOIN (SELECT reason, count(*) AS probes FROM watch_queue GROUP BY reason) AS waiting USING (reason);

-- planner --
-- Until when is planned; and the crawls that may plan: those that are to last, as long as they were to.
SELECT
    extract(epoch FROM planned_until)::double precision,
    (
        SELECT count(*)
        FROM crawls
        WHERE started_at > now() - interval '7 days'
            AND finished_at IS NULL
            AND (arguments ->> 'watches')::boolean
            AND started_at + (arguments ->> 'minutes')::double precision * interval '1 minute' > now()
    )
FROM watch_planner;

-- resting --
SELECT why, count(*) FROM watch_rests GROUP BY why;

-- visits --
-- Of seven days, baseline and watch. Read once a minute.
SELECT
    sum(visits_week - watch_week)::bigint AS baseline,
    sum(offered_week - watch_offered_week)::bigint AS baseline_offered,
    sum(watch_week)::bigint AS watch,
    sum(watch_offered_week)::bigint AS watch_offered
FROM host_watch;

-- learnt --
-- Read once a minute.
SELECT count(*) FROM watch_states WHERE releases <> '[]';

-- now --
-- Desks now, by département and procedure. Read once a minute.
SELECT
    departement,
    procedure,
    family,
    desks,
    offered,
    unrecognised,
    extract(epoch FROM first_slot - now())::double precision / 86400 AS first_slot_days
FROM availability_now;

-- availability --
-- Rates and coverage. Read once a minute.
SELECT
    days,
    departement,
    procedure,
    sum(slots_due)::double precision AS slots_due,
    sum(observed)::double precision AS observed,
    sum(offered)::double precision AS offered,
    sum(rated)::double precision AS rated,
    sum(barrier)::double precision AS barrier,
    sum(dysfunction)::double precision AS dysfunction,
    sum(probes - observer_fault)::double precision AS probes
FROM availability
GROUP BY days, departement, procedure;

-- changes --
-- Today's comparison with the week before. Read once a minute.
SELECT family, control_desks, changed, verdict
FROM changes_between((now() AT TIME ZONE 'Europe/Paris')::date, (now() AT TIME ZONE 'Europe/Paris')::date);

-- seals --
-- Archives that were written to lately: the first day that is not sealed. Read once a minute.
SELECT
    lately.archive,
    extract(epoch FROM coalesce(
        (SELECT (max(seals.day) + 1)::timestamp AT TIME ZONE 'UTC' FROM seals WHERE seals.archive = lately.archive),
        date_trunc('day', lately.since, 'UTC')
    ))::double precision
FROM (
    SELECT archive, min(started_at) AS since
    FROM crawls
    WHERE started_at > now() - interval '7 days' AND archive IS NOT NULL
    GROUP BY archive
    ORDER BY max(started_at) DESC
    LIMIT %(most)s
) AS lately;
