-- 0003 before the code: a queue of hosts per family, stratified baseline slots and coverage, the ledger of hosts.

ALTER TABLE hosts ADD COLUMN failures integer NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN peak_per_minute integer NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN paused_seconds double precision NOT NULL DEFAULT 0;
COMMENT ON COLUMN hosts.failures IS 'Failures (5xx, no answer) in a row: each doubles the delay.';
COMMENT ON COLUMN hosts.peak_per_minute IS 'Most requests within one minute on the day requests_on.';
COMMENT ON COLUMN hosts.paused_seconds IS 'Seconds of the pauses that began on the day requests_on.';
COMMENT ON COLUMN hosts.strikes_on IS 'Day of strikes, Europe/Paris.';
COMMENT ON COLUMN hosts.requests_on IS 'Day of requests_today, peak_per_minute and paused_seconds, UTC.';

CREATE TABLE host_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host text NOT NULL REFERENCES hosts,
    at timestamptz NOT NULL DEFAULT now(),
    what text NOT NULL
        CONSTRAINT host_events_what_known CHECK (what IN ('refused', 'paused', 'resumed', 'forbidden')),
    until timestamptz,
    who text NOT NULL,
    why text NOT NULL CONSTRAINT host_events_why_given CHECK (why <> '')
);
-- serves `guichets hosts`: the last thing that happened to a host
CREATE INDEX host_events_host_at_idx ON host_events (host, at DESC);
COMMENT ON INDEX host_events_host_at_idx IS 'Serves `guichets hosts`: the last thing that happened to a host.';
COMMENT ON TABLE host_events IS 'Who paused, resumed or forbade a host, when and why; and each refusal of our visits.';
COMMENT ON COLUMN host_events.until IS 'End of the pause; null: no pause, or without an end.';
COMMENT ON COLUMN host_events.who IS 'A worker, or the operator as the system knows them.';

CREATE TABLE host_queue (
    host text NOT NULL REFERENCES hosts,
    family text NOT NULL,
    due_at timestamptz NOT NULL,
    claimable_at timestamptz NOT NULL,
    CONSTRAINT host_queue_pkey PRIMARY KEY (host, family)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
-- serves claim_host: the head of one family's queue
CREATE INDEX host_queue_claimable_idx ON host_queue (family, claimable_at, host);
COMMENT ON INDEX host_queue_claimable_idx IS 'Serves claim_host: the head of one family''s queue.';
COMMENT ON TABLE host_queue IS
    'Per host and family, from when a claim is worth a look. Kept by triggers; never later than the truth in hosts and desks.';
COMMENT ON COLUMN host_queue.due_at IS 'When its first desk is due; infinity: none is open.';
COMMENT ON COLUMN host_queue.claimable_at IS 'due_at, or the end of pause or lease when later; infinity: forbidden.';

CREATE FUNCTION refresh_queue(of_host text, of_family text) RETURNS void
LANGUAGE plpgsql
AS $function$
BEGIN
    -- Locked first: the statement after it then sees what whoever held the lock has committed.
    PERFORM FROM host_queue WHERE host = of_host AND family = of_family FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO host_queue (host, family, due_at, claimable_at)
        VALUES (of_host, of_family, 'infinity', 'infinity')
        ON CONFLICT DO NOTHING;
        PERFORM FROM host_queue WHERE host = of_host AND family = of_family FOR UPDATE;
    END IF;
    UPDATE host_queue
    SET due_at = truth.due_at,
        claimable_at = truth.claimable_at
    FROM (
        SELECT
            first.due_at,
            CASE WHEN hosts.forbidden THEN 'infinity'
                ELSE greatest(first.due_at, hosts.paused_until, hosts.lease_expires_at)
            END AS claimable_at
        FROM hosts
        CROSS JOIN LATERAL (
            SELECT coalesce((
                SELECT desks.next_due_at
                FROM desks
                WHERE desks.host = of_host AND desks.family = of_family AND desks.closed_at IS NULL
                    AND (desks.valid_to IS NULL OR desks.valid_to >= current_date)
                ORDER BY desks.next_due_at
                LIMIT 1
            ), 'infinity') AS due_at
        ) AS first
        WHERE hosts.host = of_host
    ) AS truth
    WHERE host_queue.host = of_host AND host_queue.family = of_family
        AND (host_queue.due_at, host_queue.claimable_at) IS DISTINCT FROM (truth.due_at, truth.claimable_at);
END
$function$;
COMMENT ON FUNCTION refresh_queue(text, text) IS 'Brings one row of host_queue up to date with hosts and desks.';

CREATE FUNCTION desk_changed() RETURNS trigger
LANGUAGE plpgsql
AS $function$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.host, OLD.family) IS DISTINCT FROM (NEW.host, NEW.family) THEN
        PERFORM refresh_queue(OLD.host, OLD.family);
    END IF;
    PERFORM refresh_queue(NEW.host, NEW.family);
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION desk_changed() IS 'Keeps host_queue when a desk comes, goes, moves or gets another due time.';
CREATE TRIGGER desks_keep_queue AFTER INSERT OR UPDATE OF next_due_at, closed_at, family, host, valid_to ON desks
FOR EACH ROW EXECUTE FUNCTION desk_changed();

CREATE FUNCTION host_changed() RETURNS trigger
LANGUAGE plpgsql
AS $function$
BEGIN
    UPDATE host_queue
    SET claimable_at = CASE WHEN NEW.forbidden THEN 'infinity'
            ELSE greatest(due_at, NEW.paused_until, NEW.lease_expires_at)
        END
    WHERE host = NEW.host;
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION host_changed() IS 'Keeps host_queue when a host is claimed, given back, paused or forbidden.';
CREATE TRIGGER hosts_keep_queue AFTER UPDATE OF forbidden, paused_until, lease_expires_at ON hosts
FOR EACH ROW EXECUTE FUNCTION host_changed();

INSERT INTO host_queue (host, family, due_at, claimable_at)
SELECT DISTINCT host, family, timestamptz 'infinity', timestamptz 'infinity' FROM desks;
SELECT refresh_queue(host, family) FROM host_queue;

CREATE TABLE baseline_patterns (
    since timestamptz PRIMARY KEY,
    day_from smallint NOT NULL,
    day_until smallint NOT NULL,
    day_slot interval NOT NULL,
    night_slot interval NOT NULL
);
COMMENT ON TABLE baseline_patterns IS
    'How the day is cut into baseline slots, and since when: coverage of the past is counted by the pattern of its time.';
COMMENT ON COLUMN baseline_patterns.day_from IS 'Hour of the desk''s zone at which the day''s slots begin.';
COMMENT ON COLUMN baseline_patterns.day_until IS 'Hour of the desk''s zone at which the night''s slots begin.';
COMMENT ON COLUMN baseline_patterns.day_slot IS 'Length of a slot by day; the day is cut into the nearest whole number of equal ones.';
INSERT INTO baseline_patterns VALUES ('2000-01-01 00:00+00', 7, 22, '1 hour', '3 hours');

CREATE TABLE baseline_visits (
    desk_id text NOT NULL REFERENCES desks,
    slot_starts_at timestamptz NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now(),
    probe uuid NOT NULL,
    fencing_token bigint NOT NULL,
    CONSTRAINT baseline_visits_pkey PRIMARY KEY (desk_id, slot_starts_at)
);
-- serves begin_visit (was it begun already?) and coverage, from the observation to its slot
CREATE INDEX baseline_visits_probe_idx ON baseline_visits (probe);
COMMENT ON INDEX baseline_visits_probe_idx IS 'Serves begin_visit and coverage: the slot of an observation.';
COMMENT ON TABLE baseline_visits IS
    'The probe that was begun for each desk and slot: one at most, whatever the workers do. Only these enter rates.';
COMMENT ON COLUMN baseline_visits.slot_starts_at IS 'Start of the slot in which the visit began.';
COMMENT ON COLUMN baseline_visits.probe IS 'observations.probe, once it has been observed.';
COMMENT ON COLUMN baseline_visits.fencing_token IS 'Of the lease it was begun under.';

CREATE FUNCTION baseline_slots(zone text, from_day date, until_day date)
RETURNS TABLE (day date, starts_at timestamptz, ends_at timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH periods AS (
        SELECT
            period.starts_at,
            extract(epoch FROM period.ends_at - period.starts_at)::bigint * 1000000 AS length,
            (extract(epoch FROM period.slot) * 1000000)::bigint AS slot
        FROM generate_series(from_day - 1, until_day, interval '1 day') AS local (midnight)
        CROSS JOIN LATERAL (
            SELECT baseline_patterns.*
            FROM baseline_patterns
            WHERE baseline_patterns.since <= (local.midnight::date + 1)::timestamp AT TIME ZONE zone
            ORDER BY baseline_patterns.since DESC
            LIMIT 1
        ) AS pattern
        CROSS JOIN LATERAL (VALUES
            (
                (local.midnight::date + make_interval(hours => pattern.day_from)) AT TIME ZONE zone,
                (local.midnight::date + make_interval(hours => pattern.day_until)) AT TIME ZONE zone,
                pattern.day_slot
            ),
            (
                (local.midnight::date + make_interval(hours => pattern.day_until)) AT TIME ZONE zone,
                (local.midnight::date + 1 + make_interval(hours => pattern.day_from)) AT TIME ZONE zone,
                pattern.night_slot
            )
        ) AS period (starts_at, ends_at, slot)
    ), counted AS (
        SELECT periods.*, greatest(1, (2 * periods.length + periods.slot) / (2 * periods.slot)) AS slots
        FROM periods
    ), slots AS (
        SELECT
            counted.starts_at + (number * counted.length / counted.slots) * interval '1 microsecond' AS starts_at,
            counted.starts_at + ((number + 1) * counted.length / counted.slots) * interval '1 microsecond' AS ends_at
        FROM counted
        CROSS JOIN LATERAL generate_series(0, counted.slots - 1) AS number
    )
    SELECT (slots.starts_at AT TIME ZONE zone)::date, slots.starts_at, slots.ends_at
    FROM slots
    WHERE (slots.starts_at AT TIME ZONE zone)::date BETWEEN from_day AND until_day
    ORDER BY slots.starts_at;
END;
COMMENT ON FUNCTION baseline_slots(text, date, date) IS
    'The baseline slots that begin on these days of a zone; the same as guichets.schedule.baseline makes (tested).';

CREATE VIEW baseline_observations AS
SELECT baseline_visits.slot_starts_at, observations_in_force.*
FROM baseline_visits
JOIN observations_in_force ON observations_in_force.probe = baseline_visits.probe;
COMMENT ON VIEW baseline_observations IS
    'What rates are made of: of each desk and slot one probe at most, with its counters'' lines.';

CREATE FUNCTION coverage_between(from_day date, until_day date)
RETURNS TABLE (
    desk_id text,
    day date,
    slots_due bigint,
    observed bigint,
    inconclusive bigint,
    missed bigint
)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH slots AS (
        SELECT zones.timezone, slot.day, slot.starts_at, slot.ends_at
        FROM (SELECT DISTINCT departements.timezone FROM departements) AS zones
        CROSS JOIN LATERAL baseline_slots(zones.timezone, from_day, until_day) AS slot
        WHERE slot.ends_at <= now()
    ), seen AS (
        SELECT visit.desk_id, visit.slot_starts_at, observation.outcome
        FROM baseline_visits AS visit
        JOIN observations_in_force AS observation
            ON observation.probe = visit.probe AND observation.counter_key IS NULL
        WHERE visit.slot_starts_at >= from_day - 1 AND visit.slot_starts_at < until_day + 2
            AND observation.observed_at >= from_day - 2 AND observation.observed_at < until_day + 4
    ), judged AS (
        SELECT desks.id, slots.day, seen.outcome
        FROM desks
        JOIN departements ON departements.code = desks.departement
        JOIN slots ON slots.timezone = departements.timezone
        LEFT JOIN seen ON seen.desk_id = desks.id AND seen.slot_starts_at = slots.starts_at
        WHERE slots.starts_at >= desks.opened_at
            AND (desks.closed_at IS NULL OR slots.ends_at <= desks.closed_at)
            AND (desks.valid_to IS NULL OR slots.day <= desks.valid_to)
    )
    SELECT
        judged.id,
        judged.day,
        count(*),
        count(*) FILTER (WHERE judged.outcome NOT IN ('blocked', 'unrecognised', 'observer_fault')),
        count(*) FILTER (WHERE judged.outcome IN ('blocked', 'unrecognised')),
        count(*) FILTER (WHERE judged.outcome IS NULL OR judged.outcome = 'observer_fault')
    FROM judged
    GROUP BY judged.id, judged.day;
END;
COMMENT ON FUNCTION coverage_between(date, date) IS
    'Per desk and day of its zone: slots that are over, and what became of them. slots_due = observed + inconclusive + missed.';

CREATE VIEW coverage AS
SELECT * FROM coverage_between((now() AT TIME ZONE 'UTC')::date - 31, (now() AT TIME ZONE 'UTC')::date + 1);
COMMENT ON VIEW coverage IS 'coverage_between of the last 31 days.';
COMMENT ON COLUMN coverage.slots_due IS 'Slots that began after the desk came with the catalogue, and are over.';
COMMENT ON COLUMN coverage.observed IS 'Slots whose probe brought an answer that says something of the desk, if only that it fails.';
COMMENT ON COLUMN coverage.inconclusive IS 'Slots whose probe was refused, or found a page nobody knows.';
COMMENT ON COLUMN coverage.missed IS 'Slots without a probe, or whose probe failed on our side. Never made up later.';

GRANT SELECT ON host_queue, host_events, baseline_patterns, baseline_visits, baseline_observations, coverage
TO guichets_reader, guichets_writer;
GRANT INSERT, UPDATE ON host_queue TO guichets_writer;
-- What was begun, or done to a host, is never changed.
GRANT INSERT ON host_events, baseline_patterns, baseline_visits TO guichets_writer;
