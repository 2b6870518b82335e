-- 0006 before the code: figures come from rollups, so that neither a screen nor a scrape reads observations.

-- Rollups --------------------------------------------------------------------------------------------------------
-- Derived from observations and crawls, and from nothing else: figures are read here, so that no screen and no
-- scrape reads observations. Whoever writes leaves word in rollup_queue, in its own transaction; refresh_rollups
-- takes it from there.

-- serves recompute_days: the counters' lines of one desk; the desk's own lines have observations_desk_latest_idx
CREATE INDEX observations_counters_idx ON observations (desk_id, observed_at) WHERE counter_key IS NOT NULL;
COMMENT ON INDEX observations_counters_idx IS 'Serves recompute_days: the counters'' lines of one desk''s day.';

CREATE TABLE rollup_queue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    observation uuid,
    crawl uuid,
    desk_id text,
    at timestamptz NOT NULL
);
COMMENT ON TABLE rollup_queue IS
    'What the rollups have not taken in yet: new observations, begun or ended crawls, desks whose day changed otherwise.';
COMMENT ON COLUMN rollup_queue.observation IS 'A new observation; at is its observed_at.';
COMMENT ON COLUMN rollup_queue.crawl IS 'A crawl; at is when it ended, infinity when it began.';
COMMENT ON COLUMN rollup_queue.desk_id IS 'A desk of which the day around at is to be counted again.';

CREATE TABLE daily_outcomes (
    desk_id text NOT NULL,
    counter_key text,
    day date NOT NULL,
    purpose text NOT NULL,
    counted boolean NOT NULL,
    outcome outcome NOT NULL,
    probes integer NOT NULL,
    with_first_slot integer NOT NULL,
    first_slot_days_sum bigint NOT NULL,
    first_slot_days_min integer,
    first_slot_days_histogram integer[] NOT NULL,
    slots_sum bigint NOT NULL,
    absurd integer NOT NULL,
    by_hour integer[] NOT NULL,
    first_observed_at timestamptz NOT NULL,
    last_observed_at timestamptz NOT NULL,
    CONSTRAINT daily_outcomes_key UNIQUE NULLS NOT DISTINCT (desk_id, day, counter_key, purpose, counted, outcome)
);
COMMENT ON TABLE daily_outcomes IS
    'How often each desk or counter had each outcome on each day of its zone; observations in force only.';
COMMENT ON COLUMN daily_outcomes.counter_key IS 'Null: the desk as a whole.';
COMMENT ON COLUMN daily_outcomes.day IS 'Day of observed_at in the département''s zone.';
COMMENT ON COLUMN daily_outcomes.counted IS
    'True: baseline probes, one at most per desk and slot: the only ones that may enter a rate.';
COMMENT ON COLUMN daily_outcomes.with_first_slot IS 'Probes that saw a first date, absurd ones left out.';
COMMENT ON COLUMN daily_outcomes.first_slot_days_sum IS 'Whole days from the visit to the first date, summed over them.';
COMMENT ON COLUMN daily_outcomes.first_slot_days_min IS 'The shortest of these delays; null: no date was seen.';
COMMENT ON COLUMN daily_outcomes.first_slot_days_histogram IS
    'Probes whose first date is at most 1, 3, 7, 14, 30, 60, 90 days away, and later; each probe once.';
COMMENT ON COLUMN daily_outcomes.slots_sum IS 'Slots seen, at most 10 000 of one probe.';
COMMENT ON COLUMN daily_outcomes.absurd IS
    'Probes with a date before the visit or two years after it, or a count below 0 or above 10 000: clamped, and told here.';
COMMENT ON COLUMN daily_outcomes.by_hour IS 'Probes by hour of the département''s zone: 24 numbers, from 0 h.';
-- serves what is read by period: rates of all desks over some days
CREATE INDEX daily_outcomes_day_idx ON daily_outcomes (day, desk_id) WHERE counted AND counter_key IS NULL;
COMMENT ON INDEX daily_outcomes_day_idx IS 'Serves desk_days: rates of all desks over some days.';

CREATE FUNCTION is_conclusive(outcome) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN $1 NOT IN ('blocked', 'unrecognised', 'observer_fault');
COMMENT ON FUNCTION is_conclusive(outcome) IS
    'Whether an outcome says something of the desk, if only that it fails: what coverage counts as observed.';

-- serves desk_freshness
CREATE INDEX daily_outcomes_conclusive_idx ON daily_outcomes (desk_id, day DESC, last_observed_at DESC)
WHERE counter_key IS NULL AND outcome NOT IN ('blocked', 'unrecognised', 'observer_fault');
COMMENT ON INDEX daily_outcomes_conclusive_idx IS 'Serves desk_freshness: the last conclusive observation of a desk.';

CREATE TABLE probe_totals (
    family text NOT NULL,
    outcome outcome NOT NULL,
    rule text NOT NULL,
    step text,
    probes bigint NOT NULL,
    requests bigint NOT NULL,
    requests_histogram bigint[] NOT NULL,
    bytes bigint NOT NULL,
    timed bigint NOT NULL,
    seconds_sum double precision NOT NULL,
    seconds_histogram bigint[] NOT NULL,
    absurd bigint NOT NULL,
    CONSTRAINT probe_totals_key UNIQUE NULLS NOT DISTINCT (family, outcome, rule, step)
);
COMMENT ON TABLE probe_totals IS
    'Probes ever made, as first written: these numbers only grow. Corrections count in daily_outcomes, not here.';
COMMENT ON COLUMN probe_totals.step IS 'Last step of the funnel that was read; null: none.';
COMMENT ON COLUMN probe_totals.requests_histogram IS 'Probes of at most 0, 1, 2, 3, 4, 6, 10 requests, and more; each once.';
COMMENT ON COLUMN probe_totals.bytes IS 'Of the bodies read, decoded.';
COMMENT ON COLUMN probe_totals.timed IS 'Probes whose beginning is known, from their UUIDv7.';
COMMENT ON COLUMN probe_totals.seconds_histogram IS
    'Probes that took at most 1, 2, 5, 10, 30, 60, 120, 300 s, and longer; each once.';
COMMENT ON COLUMN probe_totals.absurd IS 'Probes that saw a date or a count nobody can believe.';

CREATE TABLE crawl_totals (
    family text NOT NULL,
    reason text NOT NULL,
    crawls bigint NOT NULL,
    requests bigint NOT NULL,
    response_bytes bigint NOT NULL,
    gate_refusals bigint NOT NULL,
    CONSTRAINT crawl_totals_pkey PRIMARY KEY (family, reason)
);
COMMENT ON TABLE crawl_totals IS 'Crawls that ended, by finish reason, with sums of their statistics; these numbers only grow.';
COMMENT ON COLUMN crawl_totals.response_bytes IS 'As they came over the network.';

CREATE TABLE nodes_seen (
    node text NOT NULL PRIMARY KEY,
    observed_at timestamptz NOT NULL,
    conclusive_at timestamptz,
    parser text NOT NULL
);
COMMENT ON TABLE nodes_seen IS 'Each machine that ever observed: when last, and with which readers.';
COMMENT ON COLUMN nodes_seen.node IS 'The worker''s name without process id or job.';

CREATE TABLE versions_seen (
    kind text NOT NULL CONSTRAINT versions_seen_kind_known CHECK (kind IN ('parser', 'program')),
    family text NOT NULL,
    version text NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    CONSTRAINT versions_seen_pkey PRIMARY KEY (kind, family, version)
);
COMMENT ON TABLE versions_seen IS 'From when to when each version of readers and program was at work: did we change?';
COMMENT ON COLUMN versions_seen.kind IS 'parser: readers of a family, by their observations; program: Guichets, by its crawls.';

CREATE FUNCTION queue_observations() RETURNS trigger
LANGUAGE plpgsql
AS $function$
BEGIN
    INSERT INTO rollup_queue (observation, at) SELECT added.id, added.observed_at FROM added;
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION queue_observations() IS 'Leaves word of new observations; whoever writes them.';
CREATE TRIGGER observations_queue_rollups AFTER INSERT ON observations
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION queue_observations();

CREATE FUNCTION queue_visit() RETURNS trigger
LANGUAGE plpgsql
AS $function$
BEGIN
    -- A visit begun again: what the probe before it saw, if anything, enters rates no more. It may have seen it after
    -- midnight.
    INSERT INTO rollup_queue (desk_id, at)
    VALUES (OLD.desk_id, OLD.begun_at), (OLD.desk_id, OLD.begun_at + interval '1 hour');
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION queue_visit() IS 'Leaves word of a baseline slot that went to another probe.';
CREATE TRIGGER baseline_visits_queue_rollups AFTER UPDATE OF probe ON baseline_visits
FOR EACH ROW WHEN (OLD.probe IS DISTINCT FROM NEW.probe) EXECUTE FUNCTION queue_visit();

CREATE FUNCTION queue_crawl() RETURNS trigger
LANGUAGE plpgsql
AS $function$
BEGIN
    INSERT INTO rollup_queue (crawl, at) VALUES (NEW.id, coalesce(NEW.finished_at, 'infinity'));
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION queue_crawl() IS 'Leaves word of a crawl that began, or ended.';
CREATE TRIGGER crawls_queue_begun AFTER INSERT ON crawls FOR EACH ROW EXECUTE FUNCTION queue_crawl();
CREATE TRIGGER crawls_queue_ended AFTER UPDATE OF finished_at ON crawls
FOR EACH ROW WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL) EXECUTE FUNCTION queue_crawl();

CREATE FUNCTION local_day(departement text, at timestamptz) RETURNS date
LANGUAGE sql STABLE
RETURN (
    $2 AT TIME ZONE coalesce((SELECT departements.timezone FROM departements WHERE departements.code = $1), 'UTC')
)::date;
COMMENT ON FUNCTION local_day(text, timestamptz) IS 'The day it is in a département''s zone; UTC for one that is not known.';

CREATE FUNCTION add_up(bigint[], bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT array_agg(one.a + one.b ORDER BY one.n) FROM unnest($1, $2) WITH ORDINALITY AS one (a, b, n));
COMMENT ON FUNCTION add_up(bigint[], bigint[]) IS 'Two histograms as one.';

CREATE FUNCTION recompute_days(of_desks text[], of_days date[]) RETURNS void
LANGUAGE plpgsql SET timezone = 'UTC'
AS $function$
BEGIN
    DELETE FROM daily_outcomes
    USING (SELECT DISTINCT unnest(of_desks) AS desk_id, unnest(of_days) AS day) AS dirty
    WHERE daily_outcomes.desk_id = dirty.desk_id AND daily_outcomes.day = dirty.day;

    WITH dirty AS (
        SELECT DISTINCT unnest(of_desks) AS desk_id, unnest(of_days) AS day
    ), lines AS (
        SELECT own.*
        FROM dirty
        CROSS JOIN LATERAL (
            -- a day of any zone lies within these bounds
            SELECT id, probe, desk_id, counter_key, departement, observed_at, outcome, purpose, first_slot, slot_count
            FROM observations
            WHERE observations.desk_id = dirty.desk_id AND counter_key IS NULL
                AND observed_at >= dirty.day - interval '14 hours' AND observed_at < dirty.day + interval '38 hours'
            UNION ALL
            SELECT id, probe, desk_id, counter_key, departement, observed_at, outcome, purpose, first_slot, slot_count
            FROM observations
            WHERE observations.desk_id = dirty.desk_id AND counter_key IS NOT NULL
                AND observed_at >= dirty.day - interval '14 hours' AND observed_at < dirty.day + interval '38 hours'
        ) AS own
        LEFT JOIN departements ON departements.code = own.departement
        WHERE (own.observed_at AT TIME ZONE coalesce(departements.timezone, 'UTC'))::date = dirty.day
            AND NOT EXISTS (
                SELECT FROM observations AS newer
                WHERE newer.supersedes = own.id AND newer.observed_at = own.observed_at
            )
    ), seen AS (
        SELECT
            lines.desk_id,
            lines.counter_key,
            lines.observed_at AT TIME ZONE coalesce(departements.timezone, 'UTC') AS local_at,
            lines.observed_at,
            lines.outcome,
            lines.purpose,
            lines.purpose = 'baseline'
                AND EXISTS (SELECT FROM baseline_visits WHERE baseline_visits.probe = lines.probe) AS counted,
            CASE WHEN lines.first_slot >= lines.observed_at - interval '1 day'
                AND lines.first_slot < lines.observed_at + interval '730 days'
            THEN greatest(
                0,
                (lines.first_slot AT TIME ZONE coalesce(departements.timezone, 'UTC'))::date
                    - (lines.observed_at AT TIME ZONE coalesce(departements.timezone, 'UTC'))::date
            ) END AS days,
            lines.first_slot,
            lines.slot_count
        FROM lines
        LEFT JOIN departements ON departements.code = lines.departement
    ), placed AS (
        SELECT
            seen.*,
            extract(hour FROM seen.local_at)::integer AS hour,
            width_bucket(seen.days, ARRAY[2, 4, 8, 15, 31, 61, 91]) AS delay
        FROM seen
    )
    INSERT INTO daily_outcomes
    SELECT
        placed.desk_id,
        placed.counter_key,
        placed.local_at::date,
        placed.purpose,
        placed.counted,
        placed.outcome,
        count(*),
        count(placed.days),
        coalesce(sum(placed.days), 0),
        min(placed.days),
        ARRAY[
            count(*) FILTER (WHERE delay = 0), count(*) FILTER (WHERE delay = 1),
            count(*) FILTER (WHERE delay = 2), count(*) FILTER (WHERE delay = 3),
            count(*) FILTER (WHERE delay = 4), count(*) FILTER (WHERE delay = 5),
            count(*) FILTER (WHERE delay = 6), count(*) FILTER (WHERE delay = 7)
        ]::integer[],
        coalesce(sum(least(greatest(placed.slot_count, 0), 10000)), 0),
        count(*) FILTER (WHERE placed.slot_count NOT BETWEEN 0 AND 10000
            OR (placed.first_slot IS NOT NULL AND placed.days IS NULL)),
        ARRAY[
            count(*) FILTER (WHERE hour = 0), count(*) FILTER (WHERE hour = 1), count(*) FILTER (WHERE hour = 2),
            count(*) FILTER (WHERE hour = 3), count(*) FILTER (WHERE hour = 4), count(*) FILTER (WHERE hour = 5),
            count(*) FILTER (WHERE hour = 6), count(*) FILTER (WHERE hour = 7), count(*) FILTER (WHERE hour = 8),
            count(*) FILTER (WHERE hour = 9), count(*) FILTER (WHERE hour = 10), count(*) FILTER (WHERE hour = 11),
            count(*) FILTER (WHERE hour = 12), count(*) FILTER (WHERE hour = 13), count(*) FILTER (WHERE hour = 14),
            count(*) FILTER (WHERE hour = 15), count(*) FILTER (WHERE hour = 16), count(*) FILTER (WHERE hour = 17),
            count(*) FILTER (WHERE hour = 18), count(*) FILTER (WHERE hour = 19), count(*) FILTER (WHERE hour = 20),
            count(*) FILTER (WHERE hour = 21), count(*) FILTER (WHERE hour = 22), count(*) FILTER (WHERE hour = 23)
        ]::integer[],
        min(placed.observed_at),
        max(placed.observed_at)
    FROM placed
    GROUP BY placed.desk_id, placed.counter_key, placed.local_at::date, placed.purpose, placed.counted, placed.outcome;
END
$function$;
COMMENT ON FUNCTION recompute_days(text[], date[]) IS
    'Counts these desks'' days again from their observations: the same whenever it is done, and however often.';

CREATE FUNCTION refresh_rollups(at_most integer, patiently boolean) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC'
AS $function$
DECLARE
    observations_taken uuid[];
    instants_taken timestamptz[];
    crawls_taken uuid[];
    ends_taken timestamptz[];
    desks_dirty text[];
    days_dirty date[];
    taken integer;
BEGIN
    IF patiently THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('guichets.rollups', 0));
    ELSIF NOT pg_try_advisory_xact_lock(hashtextextended('guichets.rollups', 0)) THEN
        RETURN 0;
    END IF;

    -- Word and what it is about were written in one transaction: who sees the one sees the other.
    WITH next AS (
        DELETE FROM rollup_queue
        WHERE id IN (SELECT id FROM rollup_queue ORDER BY id LIMIT at_most)
        RETURNING observation, crawl, desk_id, at
    ), dirty AS (
        SELECT next.desk_id, local_day(desks.departement, next.at) AS day
        FROM next
        JOIN desks ON desks.id = next.desk_id
        UNION
        SELECT observations.desk_id, local_day(observations.departement, observations.observed_at)
        FROM next
        JOIN observations ON observations.id = next.observation AND observations.observed_at = next.at
    )
    SELECT
        (SELECT count(*) FROM next),
        (SELECT array_agg(observation) FROM next WHERE observation IS NOT NULL),
        (SELECT array_agg(at) FROM next WHERE observation IS NOT NULL),
        (SELECT array_agg(crawl) FROM next WHERE crawl IS NOT NULL),
        (SELECT array_agg(at) FROM next WHERE crawl IS NOT NULL),
        (SELECT array_agg(dirty.desk_id) FROM dirty),
        (SELECT array_agg(dirty.day) FROM dirty)
    INTO taken, observations_taken, instants_taken, crawls_taken, ends_taken, desks_dirty, days_dirty;

    IF desks_dirty IS NOT NULL THEN
        PERFORM recompute_days(desks_dirty, days_dirty);
    END IF;

    IF observations_taken IS NOT NULL THEN
        INSERT INTO probe_totals
        SELECT
            made.family, made.outcome, made.rule, made.step,
            count(*),
            sum(made.requests),
            ARRAY[
                count(*) FILTER (WHERE asked = 0), count(*) FILTER (WHERE asked = 1),
                count(*) FILTER (WHERE asked = 2), count(*) FILTER (WHERE asked = 3),
                count(*) FILTER (WHERE asked = 4), count(*) FILTER (WHERE asked = 5),
                count(*) FILTER (WHERE asked = 6), count(*) FILTER (WHERE asked = 7)
            ],
            coalesce(sum(made.bytes), 0),
            count(made.seconds),
            coalesce(sum(made.seconds), 0),
            ARRAY[
                count(*) FILTER (WHERE took = 0), count(*) FILTER (WHERE took = 1),
                count(*) FILTER (WHERE took = 2), count(*) FILTER (WHERE took = 3),
                count(*) FILTER (WHERE took = 4), count(*) FILTER (WHERE took = 5),
                count(*) FILTER (WHERE took = 6), count(*) FILTER (WHERE took = 7),
                count(*) FILTER (WHERE took = 8)
            ],
            count(*) FILTER (WHERE made.is_absurd)
        FROM (
            SELECT
                timed.*,
                width_bucket(timed.requests, ARRAY[1, 2, 3, 4, 5, 7, 11]) AS asked,
                CASE
                    WHEN timed.seconds <= 1 THEN 0 WHEN timed.seconds <= 2 THEN 1 WHEN timed.seconds <= 5 THEN 2
                    WHEN timed.seconds <= 10 THEN 3 WHEN timed.seconds <= 30 THEN 4 WHEN timed.seconds <= 60 THEN 5
                    WHEN timed.seconds <= 120 THEN 6 WHEN timed.seconds <= 300 THEN 7
                    WHEN timed.seconds IS NOT NULL THEN 8
                END AS took
            FROM (
                SELECT
                    line.family, line.outcome, line.rule, line.step,
                    greatest(line.requests, 0) AS requests,
                    CASE WHEN jsonb_typeof(line.evidence) = 'array' THEN (
                        SELECT sum((part.value ->> 'size')::bigint)
                        FROM jsonb_array_elements(line.evidence) AS part
                        WHERE jsonb_typeof(part.value -> 'size') = 'number'
                    ) END AS bytes,
                    begun.seconds,
                    line.slot_count NOT BETWEEN 0 AND 10000
                        OR line.first_slot < line.observed_at - interval '1 day'
                        OR line.first_slot >= line.observed_at + interval '730 days' AS is_absurd
                FROM unnest(observations_taken, instants_taken) AS one (id, at)
                JOIN observations AS line ON line.id = one.id AND line.observed_at = one.at
                CROSS JOIN LATERAL (
                    -- a UUIDv7 begins with the milliseconds of its making; clocks that disagree by more tell nothing
                    SELECT CASE WHEN told.seconds BETWEEN 0 AND 3600 AND substr(line.probe::text, 15, 1) = '7'
                        THEN told.seconds END AS seconds
                    FROM (
                        SELECT extract(epoch FROM line.observed_at)::double precision
                            - ('x' || left(replace(line.probe::text, '-', ''), 12))::bit(48)::bigint / 1000.0 AS seconds
                    ) AS told
                ) AS begun
                WHERE line.counter_key IS NULL AND line.supersedes IS NULL AND line.purpose <> 'contributed'
            ) AS timed
        ) AS made
        GROUP BY made.family, made.outcome, made.rule, made.step
        ON CONFLICT ON CONSTRAINT probe_totals_key DO UPDATE SET
            probes = probe_totals.probes + excluded.probes,
            requests = probe_totals.requests + excluded.requests,
            requests_histogram = add_up(probe_totals.requests_histogram, excluded.requests_histogram),
            bytes = probe_totals.bytes + excluded.bytes,
            timed = probe_totals.timed + excluded.timed,
            seconds_sum = probe_totals.seconds_sum + excluded.seconds_sum,
            seconds_histogram = add_up(probe_totals.seconds_histogram, excluded.seconds_histogram),
            absurd = probe_totals.absurd + excluded.absurd;

        INSERT INTO nodes_seen
        SELECT
            node.name,
            max(line.observed_at),
            max(line.observed_at) FILTER (WHERE is_conclusive(line.outcome)),
            (array_agg(line.parser ORDER BY line.observed_at DESC))[1]
        FROM unnest(observations_taken, instants_taken) AS one (id, at)
        JOIN observations AS line ON line.id = one.id AND line.observed_at = one.at
        CROSS JOIN LATERAL (SELECT regexp_replace(line.worker, '(/.*|-[0-9]+)$', '') AS name) AS node
        WHERE line.counter_key IS NULL AND line.supersedes IS NULL AND line.purpose <> 'contributed'
        GROUP BY node.name
        ON CONFLICT (node) DO UPDATE SET
            observed_at = greatest(nodes_seen.observed_at, excluded.observed_at),
            conclusive_at = greatest(nodes_seen.conclusive_at, excluded.conclusive_at),
            parser = CASE WHEN excluded.observed_at >= nodes_seen.observed_at
                THEN excluded.parser ELSE nodes_seen.parser END;

        INSERT INTO versions_seen
        SELECT 'parser', line.family, line.parser, min(line.observed_at), max(line.observed_at)
        FROM unnest(observations_taken, instants_taken) AS one (id, at)
        JOIN observations AS line ON line.id = one.id AND line.observed_at = one.at
        WHERE line.counter_key IS NULL AND line.supersedes IS NULL AND line.purpose <> 'contributed'
        GROUP BY line.family, line.parser
        ON CONFLICT (kind, family, version) DO UPDATE SET
            first_at = least(versions_seen.first_at, excluded.first_at),
            last_at = greatest(versions_seen.last_at, excluded.last_at);
    END IF;

    IF crawls_taken IS NOT NULL THEN
        INSERT INTO crawl_totals
        SELECT
            crawls.family,
            coalesce(crawls.finish_reason, 'unknown'),
            count(*),
            coalesce(sum((crawls.stats ->> 'downloader/request_count')::numeric::bigint), 0),
            coalesce(sum((crawls.stats ->> 'downloader/response_bytes')::numeric::bigint), 0),
            coalesce(sum((crawls.stats ->> 'guichets/gate_refused')::numeric::bigint), 0)
        FROM unnest(crawls_taken, ends_taken) AS one (id, ended_at)
        JOIN crawls ON crawls.id = one.id
        WHERE one.ended_at < 'infinity'
        GROUP BY crawls.family, coalesce(crawls.finish_reason, 'unknown')
        ON CONFLICT (family, reason) DO UPDATE SET
            crawls = crawl_totals.crawls + excluded.crawls,
            requests = crawl_totals.requests + excluded.requests,
            response_bytes = crawl_totals.response_bytes + excluded.response_bytes,
            gate_refusals = crawl_totals.gate_refusals + excluded.gate_refusals;

        INSERT INTO versions_seen
        SELECT
            'program', crawls.family, crawls.version,
            min(crawls.started_at), max(coalesce(crawls.finished_at, crawls.started_at))
        FROM unnest(crawls_taken) AS one (id)
        JOIN crawls ON crawls.id = one.id
        GROUP BY crawls.family, crawls.version
        ON CONFLICT (kind, family, version) DO UPDATE SET
            first_at = least(versions_seen.first_at, excluded.first_at),
            last_at = greatest(versions_seen.last_at, excluded.last_at);
    END IF;
    RETURN taken;
END
$function$;
COMMENT ON FUNCTION refresh_rollups(integer, boolean) IS
    'Takes in at most so many lines of rollup_queue and returns how many; one at a time: the impatient gets 0 and leaves.';

-- Figures: one view each, read by `guichets status`, the exporter, the dashboards and the site ---------------------------

CREATE VIEW desk_days AS
SELECT
    desks.departement,
    desks.procedure,
    desks.family,
    days.desk_id,
    days.day,
    sum(days.probes) AS probes,
    coalesce(sum(days.probes) FILTER (WHERE days.outcome = 'offered'), 0) AS offered,
    coalesce(sum(days.probes) FILTER (WHERE days.outcome IN ('offered', 'none', 'closed')), 0) AS rated,
    coalesce(sum(days.probes) FILTER (WHERE days.outcome = 'closed'), 0) AS closed,
    coalesce(sum(days.probes) FILTER (WHERE outcome_group(days.outcome) = 'barrier'), 0) AS barrier,
    coalesce(sum(days.probes) FILTER (WHERE outcome_group(days.outcome) = 'dysfunction'), 0) AS dysfunction,
    coalesce(sum(days.probes) FILTER (WHERE days.outcome = 'unrecognised'), 0) AS unrecognised,
    coalesce(sum(days.probes) FILTER (WHERE days.outcome = 'observer_fault'), 0) AS observer_fault,
    coalesce(sum(days.probes) FILTER (WHERE is_conclusive(days.outcome)), 0) AS observed,
    coalesce(sum(days.with_first_slot), 0) AS with_first_slot,
    coalesce(sum(days.first_slot_days_sum), 0) AS first_slot_days_sum,
    min(days.first_slot_days_min) AS first_slot_days_min
FROM daily_outcomes AS days
JOIN desks ON desks.id = days.desk_id
WHERE days.counted AND days.counter_key IS NULL
GROUP BY desks.id, days.desk_id, days.day;
COMMENT ON VIEW desk_days IS
    'Desk and day: its counted probes by what they mean. Rate = offered / rated; observer_fault enters no denominator.';
COMMENT ON COLUMN desk_days.rated IS 'Denominator of the availability rate: offered, none and closed.';
COMMENT ON COLUMN desk_days.observed IS 'Probes whose answer says something of the desk: numerator of coverage.';

CREATE FUNCTION slots_due_between(from_day date, until_day date)
RETURNS TABLE (desk_id text, day date, slots_due integer)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH slots AS MATERIALIZED (
        SELECT zones.timezone, slot.day, slot.starts_at, slot.ends_at
        FROM (SELECT DISTINCT departements.timezone FROM departements) AS zones
        CROSS JOIN LATERAL baseline_slots(zones.timezone, from_day, until_day) AS slot
        WHERE slot.ends_at <= now()
    ), whole AS (
        SELECT slots.timezone, slots.day, count(*)::integer AS slots, min(slots.starts_at) AS first_at,
            max(slots.ends_at) AS last_at
        FROM slots
        GROUP BY slots.timezone, slots.day
    )
    SELECT
        desks.id,
        whole.day,
        CASE WHEN desks.opened_at <= whole.first_at AND (desks.closed_at IS NULL OR desks.closed_at >= whole.last_at)
            THEN whole.slots
            ELSE (
                SELECT count(*)::integer
                FROM slots
                WHERE slots.timezone = whole.timezone AND slots.day = whole.day AND slots.starts_at >= desks.opened_at
                    AND (desks.closed_at IS NULL OR slots.ends_at <= desks.closed_at)
            )
        END
    FROM desks
    JOIN departements ON departements.code = desks.departement
    JOIN whole ON whole.timezone = departements.timezone
    WHERE (desks.valid_to IS NULL OR whole.day <= desks.valid_to)
        AND desks.opened_at < whole.last_at
        AND (desks.closed_at IS NULL OR desks.closed_at > whole.first_at);
END;
COMMENT ON FUNCTION slots_due_between(date, date) IS
    'Per desk and day of its zone: baseline slots that are over, as coverage_between counts them, without reading observations.';

CREATE VIEW desk_freshness AS
SELECT
    desks.id AS desk_id,
    desks.departement,
    desks.procedure,
    desks.family,
    desks.host,
    latest.last_observed_at AS conclusive_at,
    -- of a desk that never answered, since it came
    extract(epoch FROM now() - coalesce(latest.last_observed_at, desks.opened_at))::double precision AS stale_seconds,
    desks.next_due_at <= now() - interval '15 minutes' AS is_overdue
FROM desks
JOIN hosts ON hosts.host = desks.host
LEFT JOIN LATERAL (
    SELECT daily_outcomes.last_observed_at
    FROM daily_outcomes
    WHERE daily_outcomes.desk_id = desks.id AND daily_outcomes.counter_key IS NULL
        AND daily_outcomes.outcome NOT IN ('blocked', 'unrecognised', 'observer_fault')
    ORDER BY daily_outcomes.day DESC, daily_outcomes.last_observed_at DESC
    LIMIT 1
) AS latest ON true
WHERE desks.closed_at IS NULL AND NOT hosts.forbidden
    AND (desks.valid_to IS NULL OR desks.valid_to >= current_date);
COMMENT ON VIEW desk_freshness IS 'Desks that may be visited: seconds since their last conclusive observation.';

-- What is there already: counted desk by desk and day by day at the next refresh, from the queue.
INSERT INTO rollup_queue (observation, at) SELECT id, observed_at FROM observations;
INSERT INTO rollup_queue (crawl, at) SELECT id, coalesce(finished_at, 'infinity') FROM crawls;

-- Rollups are derived: a crawl leaves word, and whoever reads figures may have them brought up to date.
GRANT SELECT ON
    rollup_queue, daily_outcomes, probe_totals, crawl_totals, nodes_seen, versions_seen, desk_days, desk_freshness
TO guichets_reader, guichets_writer;
GRANT INSERT ON rollup_queue TO guichets_writer;
REVOKE EXECUTE ON FUNCTION recompute_days(text[], date[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION refresh_rollups(integer, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION refresh_rollups(integer, boolean) TO guichets_reader, guichets_writer;
