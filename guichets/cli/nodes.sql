-- leases --
-- Hosts held now, by worker; the oldest lease to end tells whether a worker still renews.
SELECT lease_owner AS worker, count(*) AS hosts, min(lease_expires_at) AS first_ends_at
FROM hosts
WHERE lease_owner IS NOT NULL AND lease_expires_at > now()
GROUP BY lease_owner
ORDER BY lease_owner;

-- crawls --
-- What became of these workers' crawls.
SELECT worker, started_at, finished_at, finish_reason, version,
    (stats ->> 'item_scraped_count')::bigint AS items
FROM crawls
WHERE worker = ANY (%(workers)s::text[]) AND started_at > now() - interval '14 days';
