-- ledger --
-- Each host: what was sent to it today (UTC), how it paces and refuses us, who holds it.
-- With it what share of its visits are watch probes, and why there are none now.
SELECT
    host_ledger.*, host_watch.visits_today, host_watch.watch_today, host_watch.visits_week, host_watch.watch_week,
    host_watch.rests AS watch_rests
FROM host_ledger
JOIN host_watch USING (host)
WHERE %(host)s::text IS NULL OR host = %(host)s
ORDER BY host;

-- names --
SELECT host FROM hosts;

-- host --
-- Locked, so that what is done to it is done to what was seen.
SELECT host, forbidden, forbidden_by, paused_until > now() AS is_paused FROM hosts WHERE host = %(host)s FOR UPDATE;

-- pause --
-- Never shorter than a pause that is already running: the host itself may have asked for it.
UPDATE hosts
SET paused_until = greatest(paused_until, now() + %(duration)s),
    paused_seconds = CASE WHEN requests_on = (now() AT TIME ZONE 'UTC')::date THEN paused_seconds ELSE 0 END
        + greatest(0, extract(epoch FROM now() + %(duration)s - greatest(now(), paused_until))),
    requests_today = CASE WHEN requests_on = (now() AT TIME ZONE 'UTC')::date THEN requests_today ELSE 0 END,
    peak_per_minute = CASE WHEN requests_on = (now() AT TIME ZONE 'UTC')::date THEN peak_per_minute ELSE 0 END,
    requests_on = (now() AT TIME ZONE 'UTC')::date
WHERE host = %(host)s
RETURNING paused_until;

-- resume --
-- What an operator forbade is allowed again; the strikes of the day stay.
UPDATE hosts
SET paused_until = NULL, forbidden = false, forbidden_by = NULL, forbidden_why = NULL
WHERE host = %(host)s;

-- forbid --
UPDATE hosts SET forbidden = true, forbidden_by = 'operator', forbidden_why = %(why)s WHERE host = %(host)s;

-- tell --
INSERT INTO host_events (host, what, until, who, why) VALUES (%(host)s, %(what)s, %(until)s, %(who)s, %(why)s);
