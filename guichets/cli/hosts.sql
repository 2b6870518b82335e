-- ledger --
-- Each host: what was sent to it today (UTC), how it paces and refuses us, who holds it.
WITH today AS (SELECT (now() AT TIME ZONE 'UTC')::date AS day)
SELECT
    hosts.host,
    (SELECT count(*) FROM desks WHERE desks.host = hosts.host AND desks.closed_at IS NULL) AS desks,
    CASE WHEN requests_on = today.day THEN requests_today ELSE 0 END AS requests_today,
    CASE WHEN requests_on = today.day THEN peak_per_minute ELSE 0 END AS peak_per_minute,
    greatest(min_delay_seconds, crawl_delay_seconds) AS delay_seconds,
    CASE WHEN requests_on = today.day THEN round(paused_seconds)::bigint ELSE 0 END AS paused_seconds_today,
    CASE WHEN paused_until > now() THEN paused_until END AS paused_until,
    last_refusal_at,
    CASE WHEN strikes_on = (now() AT TIME ZONE 'Europe/Paris')::date THEN strikes ELSE 0 END AS strikes_today,
    robots_status,
    robots_fetched_at,
    forbidden,
    forbidden_by,
    forbidden_why,
    CASE WHEN lease_expires_at > now() THEN lease_owner END AS lease_owner,
    CASE WHEN lease_expires_at > now() THEN lease_expires_at END AS lease_expires_at,
    event.at AS event_at,
    event.what AS event,
    event.who AS event_who,
    event.why AS event_why
FROM hosts
CROSS JOIN today
LEFT JOIN LATERAL (
    SELECT * FROM host_events WHERE host_events.host = hosts.host ORDER BY host_events.at DESC, id DESC LIMIT 1
) AS event ON true
WHERE %(host)s::text IS NULL OR hosts.host = %(host)s
ORDER BY hosts.host;

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
