-- server --
SELECT
    current_setting('server_version') AS version,
    current_database() AS database,
    pg_database_size(current_database()) AS size_bytes;

-- partitions --
-- Names end with the month: observations_2026_01. Estimates, because a count would read the whole table.
SELECT
    parent.relname AS parent,
    count(*) AS partitions,
    min(right(child.relname, 7)) AS first_month,
    max(right(child.relname, 7)) AS last_month,
    -- reltuples is -1 until the first ANALYZE
    sum(
        CASE WHEN child.reltuples >= 0 THEN child.reltuples ELSE pg_stat_get_live_tuples(child.oid) END
    )::bigint AS estimated_rows
FROM pg_inherits
JOIN pg_class AS parent ON parent.oid = pg_inherits.inhparent AND parent.relkind = 'p'
JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
WHERE parent.relnamespace = 'public'::regnamespace AND parent.relname IN ('observations', 'slots')
GROUP BY parent.relname
ORDER BY parent.relname;

-- roles --
SELECT
    wanted.name,
    pg_roles.rolname IS NOT NULL AS exists,
    pg_roles.rolname IS NOT NULL AND pg_has_role(current_user, pg_roles.oid, 'MEMBER') AS is_usable
FROM (VALUES ('guichets_public'), ('guichets_reader'), ('guichets_writer')) AS wanted (name)
LEFT JOIN pg_roles ON pg_roles.rolname = wanted.name
ORDER BY wanted.name;

-- latest_crawl --
SELECT family, worker, started_at, finished_at, finish_reason
FROM crawls
ORDER BY started_at DESC
LIMIT 1;

-- desks --
SELECT count(*) FILTER (WHERE closed_at IS NULL) AS open_desks, count(DISTINCT host) AS hosts FROM desks;
