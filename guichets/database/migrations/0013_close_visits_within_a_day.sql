-- 0013 after the code: at most 60 close visits of a desk within any 24 hours, where a day of UTC was counted.

DROP FUNCTION watch_candidates(text, interval);
DROP FUNCTION close_visits_left(integer, date);

-- Those of today and yesterday count as if made now: for a day, some desks are watched less closely.
ALTER TABLE desks ALTER COLUMN close_visits DROP DEFAULT, ALTER COLUMN close_visits DROP NOT NULL;
ALTER TABLE desks ALTER COLUMN close_visits TYPE timestamptz[] USING CASE
    WHEN close_visits_on >= (now() AT TIME ZONE 'UTC')::date - 1 THEN array_fill(now(), ARRAY[least(close_visits, 60)])
    ELSE '{}'
END;
ALTER TABLE desks RENAME COLUMN close_visits TO close_visits_at;
ALTER TABLE desks ALTER COLUMN close_visits_at SET DEFAULT '{}', ALTER COLUMN close_visits_at SET NOT NULL;
ALTER TABLE desks DROP COLUMN close_visits_on;
COMMENT ON COLUMN desks.close_visits_at IS
    'When its visits that came within the form interval of the one before began: the last 60, the latest first.';

CREATE FUNCTION close_visits_left(close_visits_at timestamptz[]) RETURNS integer
LANGUAGE sql STABLE
RETURN CASE
    WHEN close_visits_at[60] > now() - interval '24 hours' THEN 0
    WHEN close_visits_at[59] > now() - interval '24 hours' THEN 1
    ELSE 2
END;
COMMENT ON FUNCTION close_visits_left(timestamptz[]) IS
    'How many more visits of a desk may begin now within the form interval of the one before, 2 for more: rule 2, 60 in any 24 hours.';

CREATE FUNCTION watch_candidates(of_host text, form_interval interval)
RETURNS TABLE (desk_id text, planned_at timestamptz, ready_at timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT planned.desk_id, planned.planned_at, ready.at
    FROM watch_queue AS planned
    JOIN desks ON desks.id = planned.desk_id AND desks.host = planned.host
    CROSS JOIN LATERAL (
        SELECT greatest(
            planned.planned_at,
            desks.last_probed_at + CASE
                WHEN planned.is_dense THEN least(form_interval, interval '1 minute') ELSE form_interval
            END,
            now()
        ) AS at
    ) AS ready
    WHERE planned.host = of_host
        AND ready.at < planned.expires_at
        AND desks.closed_at IS NULL
        AND watch_may_begin(
            ready.at, planned.is_dense, desks.next_due_at, desks.last_probed_at,
            close_visits_left(desks.close_visits_at), form_interval
        )
        AND NOT EXISTS (SELECT FROM watch_rests WHERE watch_rests.host = of_host);
END;
COMMENT ON FUNCTION watch_candidates(text, interval) IS
    'Planned watch probes of a host that may still be made, and from when. None where the watch rests.';
