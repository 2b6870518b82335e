-- workers --
-- Who holds hosts now, and crawls that began lately and have not ended.
SELECT
    coalesce(held.worker, running.worker) AS worker,
    running.family,
    running.started_at,
    coalesce(held.hosts, 0) AS hosts,
    held.first_ends_at
FROM (
    SELECT lease_owner AS worker, count(*) AS hosts, min(lease_expires_at) AS first_ends_at
    FROM hosts
    WHERE lease_owner IS NOT NULL AND lease_expires_at > now()
    GROUP BY lease_owner
) AS held
FULL JOIN (
    SELECT DISTINCT ON (crawls.worker) crawls.worker, crawls.family, crawls.started_at
    FROM crawls
    WHERE crawls.finished_at IS NULL AND crawls.started_at > now() - interval '2 hours'
    ORDER BY crawls.worker, crawls.started_at DESC
) AS running ON running.worker = held.worker
ORDER BY 1;

-- desks --
-- Due: the instant of the slot has come. Overdue: it came more than a quarter of an hour ago.
-- Staleness: seconds since the last visit, of desks that were visited and may be.
SELECT
    count(*) AS desks,
    count(*) FILTER (WHERE is_due) AS due,
    count(*) FILTER (WHERE is_overdue) AS overdue,
    count(*) FILTER (WHERE is_new) AS never,
    count(*) FILTER (WHERE is_forbidden) AS forbidden,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM now() - last_probed_at)) AS stale_p50,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM now() - last_probed_at)) AS stale_p95,
    now() AS now
FROM desk_queue;

-- hosts --
SELECT
    count(*) AS hosts,
    count(*) FILTER (WHERE lease_expires_at > now()) AS held,
    count(*) FILTER (WHERE paused_until > now()) AS paused,
    count(*) FILTER (WHERE forbidden) AS forbidden,
    coalesce(sum(requests_today) FILTER (WHERE requests_on = (now() AT TIME ZONE 'UTC')::date), 0) AS requests_today
FROM hosts;
