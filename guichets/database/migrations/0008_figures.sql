-- 0008 before the code: a view for each figure of the dashboards; when a visit was due.

ALTER TABLE baseline_visits ADD COLUMN due_at timestamptz;
COMMENT ON COLUMN baseline_visits.due_at IS 'Instant of the slot the visit was drawn for; null: begun before this was kept.';

CREATE FUNCTION note_due() RETURNS trigger
LANGUAGE plpgsql
AS $function$
BEGIN
    NEW.due_at := (SELECT desks.next_due_at FROM desks WHERE desks.id = NEW.desk_id);
    RETURN NEW;
END
$function$;
COMMENT ON FUNCTION note_due() IS 'Keeps when a baseline visit was due, before the desk gets its next due time.';
CREATE TRIGGER baseline_visits_note_due BEFORE INSERT ON baseline_visits
FOR EACH ROW WHEN (NEW.due_at IS NULL) EXECUTE FUNCTION note_due();

CREATE TABLE delay_totals (
    family text PRIMARY KEY,
    visits bigint NOT NULL,
    seconds_sum double precision NOT NULL,
    seconds_histogram bigint[] NOT NULL
);
COMMENT ON TABLE delay_totals IS 'From due to done, of baseline visits; these numbers only grow.';
COMMENT ON COLUMN delay_totals.seconds_histogram IS
    'Visits done at most 60, 300, 900, 1800, 3600, 7200 s after they were due, and later; each once.';

CREATE OR REPLACE FUNCTION refresh_rollups(at_most integer, patiently boolean) RETURNS integer
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

        INSERT INTO delay_totals
        SELECT
            late.family,
            count(*),
            sum(late.seconds),
            ARRAY[
                count(*) FILTER (WHERE late.seconds <= 60),
                count(*) FILTER (WHERE late.seconds > 60 AND late.seconds <= 300),
                count(*) FILTER (WHERE late.seconds > 300 AND late.seconds <= 900),
                count(*) FILTER (WHERE late.seconds > 900 AND late.seconds <= 1800),
                count(*) FILTER (WHERE late.seconds > 1800 AND late.seconds <= 3600),
                count(*) FILTER (WHERE late.seconds > 3600 AND late.seconds <= 7200),
                count(*) FILTER (WHERE late.seconds > 7200)
            ]
        FROM (
            SELECT
                line.family,
                greatest(0, extract(epoch FROM line.observed_at - visit.due_at))::double precision AS seconds
            FROM unnest(observations_taken, instants_taken) AS one (id, at)
            JOIN observations AS line ON line.id = one.id AND line.observed_at = one.at
            JOIN baseline_visits AS visit ON visit.probe = line.probe
            WHERE line.counter_key IS NULL AND line.supersedes IS NULL AND line.purpose = 'baseline'
                AND visit.due_at > '-infinity' AND visit.due_at < 'infinity'
        ) AS late
        GROUP BY late.family
        ON CONFLICT (family) DO UPDATE SET
            visits = delay_totals.visits + excluded.visits,
            seconds_sum = delay_totals.seconds_sum + excluded.seconds_sum,
            seconds_histogram = add_up(delay_totals.seconds_histogram, excluded.seconds_histogram);
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

DROP VIEW desk_freshness;

CREATE VIEW desk_queue AS
SELECT
    desks.id AS desk_id,
    desks.departement,
    desks.procedure,
    desks.family,
    desks.host,
    desks.next_due_at,
    desks.last_probed_at,
    desks.next_due_at <= now() AS is_due,
    desks.next_due_at <= now() - interval '15 minutes' AS is_overdue,
    desks.last_probed_at IS NULL AS is_new,
    hosts.forbidden AS is_forbidden
FROM desks
JOIN hosts ON hosts.host = desks.host
WHERE desks.closed_at IS NULL AND (desks.valid_to IS NULL OR desks.valid_to >= current_date);
COMMENT ON VIEW desk_queue IS 'Desks in service: which are due, and which have been for more than a quarter of an hour.';

CREATE VIEW desk_freshness AS
SELECT
    desk_queue.desk_id,
    desk_queue.departement,
    desk_queue.procedure,
    desk_queue.family,
    desk_queue.host,
    latest.last_observed_at AS conclusive_at,
    -- of a desk that never answered, since it came
    extract(epoch FROM now() - coalesce(latest.last_observed_at, desks.opened_at))::double precision AS stale_seconds
FROM desk_queue
JOIN desks ON desks.id = desk_queue.desk_id
LEFT JOIN LATERAL (
    SELECT daily_outcomes.last_observed_at
    FROM daily_outcomes
    WHERE daily_outcomes.desk_id = desk_queue.desk_id AND daily_outcomes.counter_key IS NULL
        AND daily_outcomes.outcome NOT IN ('blocked', 'unrecognised', 'observer_fault')
    ORDER BY daily_outcomes.day DESC, daily_outcomes.last_observed_at DESC
    LIMIT 1
) AS latest ON true
WHERE NOT desk_queue.is_forbidden;
COMMENT ON VIEW desk_freshness IS 'Desks that may be visited: seconds since their last conclusive observation.';

CREATE FUNCTION availability_between(from_day date, until_day date)
RETURNS TABLE (
    departement text,
    procedure text,
    family text,
    desk_id text,
    slots_due bigint,
    observed bigint,
    probes bigint,
    offered bigint,
    rated bigint,
    barrier bigint,
    dysfunction bigint,
    unrecognised bigint,
    observer_fault bigint,
    with_first_slot bigint,
    first_slot_days_sum bigint,
    first_slot_days_min integer
)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH due AS (
        SELECT slots.desk_id, sum(slots.slots_due) AS slots_due
        FROM slots_due_between(from_day, until_day) AS slots
        GROUP BY slots.desk_id
    ), seen AS (
        SELECT
            days.desk_id,
            sum(days.probes) AS probes,
            sum(days.probes) FILTER (WHERE days.outcome NOT IN ('blocked', 'unrecognised', 'observer_fault')) AS observed,
            sum(days.probes) FILTER (WHERE days.outcome = 'offered') AS offered,
            sum(days.probes) FILTER (WHERE days.outcome IN ('offered', 'none', 'closed')) AS rated,
            sum(days.probes) FILTER (WHERE days.outcome IN ('captcha', 'blocked')) AS barrier,
            sum(days.probes) FILTER (WHERE days.outcome IN ('overloaded', 'unreachable')) AS dysfunction,
            sum(days.probes) FILTER (WHERE days.outcome = 'unrecognised') AS unrecognised,
            sum(days.probes) FILTER (WHERE days.outcome = 'observer_fault') AS observer_fault,
            sum(days.with_first_slot) AS with_first_slot,
            sum(days.first_slot_days_sum) AS first_slot_days_sum,
            min(days.first_slot_days_min) AS first_slot_days_min
        FROM daily_outcomes AS days
        WHERE days.counted AND days.counter_key IS NULL AND days.day BETWEEN from_day AND until_day
        GROUP BY days.desk_id
    )
    SELECT
        desks.departement,
        desks.procedure,
        desks.family,
        desks.id,
        coalesce(due.slots_due, 0),
        coalesce(seen.observed, 0),
        coalesce(seen.probes, 0),
        coalesce(seen.offered, 0),
        coalesce(seen.rated, 0),
        coalesce(seen.barrier, 0),
        coalesce(seen.dysfunction, 0),
        coalesce(seen.unrecognised, 0),
        coalesce(seen.observer_fault, 0),
        coalesce(seen.with_first_slot, 0),
        coalesce(seen.first_slot_days_sum, 0)::bigint,
        seen.first_slot_days_min
    FROM desks
    LEFT JOIN due ON due.desk_id = desks.id
    LEFT JOIN seen ON seen.desk_id = desks.id
    WHERE due.desk_id IS NOT NULL OR seen.desk_id IS NOT NULL;
END;
COMMENT ON FUNCTION availability_between(date, date) IS
    'Per desk over some days: rate = offered / rated, coverage = observed / slots_due, barrier and dysfunction rates over probes less observer_fault. Sums add up over desks.';

CREATE VIEW availability AS
SELECT period.days, figures.*
FROM (VALUES (1), (7), (30)) AS period (days)
CROSS JOIN LATERAL availability_between(
    (now() AT TIME ZONE 'Europe/Paris')::date - period.days, (now() AT TIME ZONE 'Europe/Paris')::date + 1
) AS figures;
COMMENT ON VIEW availability IS 'availability_between of the last 1, 7 and 30 whole days, and today so far.';

CREATE VIEW availability_now AS
SELECT
    desk_status.departement,
    desk_status.procedure,
    desk_status.family,
    count(*) AS desks,
    count(*) FILTER (WHERE desk_status.outcome_group = 'offered') AS offered,
    count(*) FILTER (WHERE desk_status.outcome_group = 'unrecognised') AS unrecognised,
    count(*) FILTER (WHERE desk_status.outcome IS NULL) AS not_yet_observed,
    min(desk_status.first_slot) FILTER (
        WHERE desk_status.outcome = 'offered'
            AND desk_status.first_slot > CASE WHEN desk_status.slot_has_time THEN now() ELSE now() - interval '1 day' END
            AND desk_status.first_slot < now() + interval '730 days'
    ) AS first_slot
FROM desk_status
GROUP BY desk_status.departement, desk_status.procedure, desk_status.family;
COMMENT ON VIEW availability_now IS
    'Desks by département, procedure and family, and how many offered something when last seen; sums to departement_status.';

CREATE VIEW outcome_days AS
SELECT
    desks.departement,
    desks.procedure,
    desks.family,
    days.day,
    days.outcome,
    sum(days.probes) AS probes,
    count(DISTINCT days.desk_id) AS desks
FROM daily_outcomes AS days
JOIN desks ON desks.id = days.desk_id
WHERE days.counter_key IS NULL
GROUP BY desks.departement, desks.procedure, desks.family, days.day, days.outcome;
COMMENT ON VIEW outcome_days IS 'Probes of any purpose by département, procedure, family, day and outcome: what the robot met.';

CREATE VIEW desk_hours AS
SELECT
    desks.departement,
    desks.procedure,
    desks.family,
    days.desk_id,
    days.day,
    (hours.place - 1)::integer AS hour,
    days.counted,
    days.outcome,
    hours.probes
FROM daily_outcomes AS days
JOIN desks ON desks.id = days.desk_id
CROSS JOIN LATERAL unnest(days.by_hour) WITH ORDINALITY AS hours (probes, place)
WHERE days.counter_key IS NULL AND hours.probes > 0;
COMMENT ON VIEW desk_hours IS 'Probes of a desk by day and hour of its zone. For the operator: no page that is public may show it.';

CREATE VIEW host_ledger AS
SELECT
    hosts.host,
    (SELECT count(*) FROM desks WHERE desks.host = hosts.host AND desks.closed_at IS NULL) AS desks,
    CASE WHEN hosts.requests_on = today.day THEN hosts.requests_today ELSE 0 END AS requests_today,
    CASE WHEN hosts.requests_on = today.day THEN hosts.peak_per_minute ELSE 0 END AS peak_per_minute,
    greatest(hosts.min_delay_seconds, hosts.crawl_delay_seconds) AS delay_seconds,
    CASE WHEN hosts.requests_on = today.day THEN round(hosts.paused_seconds)::bigint ELSE 0 END AS paused_seconds_today,
    CASE WHEN hosts.paused_until > now() THEN hosts.paused_until END AS paused_until,
    hosts.last_refusal_at,
    CASE WHEN hosts.strikes_on = (now() AT TIME ZONE 'Europe/Paris')::date THEN hosts.strikes ELSE 0 END AS strikes_today,
    hosts.robots_status,
    hosts.robots_fetched_at,
    hosts.forbidden,
    hosts.forbidden_by,
    hosts.forbidden_why,
    CASE WHEN hosts.lease_expires_at > now() THEN hosts.lease_owner END AS lease_owner,
    CASE WHEN hosts.lease_expires_at > now() THEN hosts.lease_expires_at END AS lease_expires_at,
    event.at AS event_at,
    event.what AS event,
    event.who AS event_who,
    event.why AS event_why
FROM hosts
CROSS JOIN (SELECT (now() AT TIME ZONE 'UTC')::date AS day) AS today
LEFT JOIN LATERAL (
    SELECT host_events.*
    FROM host_events
    WHERE host_events.host = hosts.host
    ORDER BY host_events.at DESC, host_events.id DESC
    LIMIT 1
) AS event ON true;
COMMENT ON VIEW host_ledger IS 'Each host: what was sent to it today (UTC), how it paces and refuses us, who holds it.';

-- serves the refusals of the last hour and the markers of a period
CREATE INDEX host_events_at_idx ON host_events (at);
COMMENT ON INDEX host_events_at_idx IS 'Serves the exporter and the dashboards: refusals of the last hour, markers of a period.';

CREATE VIEW markers AS
SELECT seen.first_at AS at, seen.kind, seen.family, seen.version AS what
FROM versions_seen AS seen
-- what was there from the beginning is no change
WHERE EXISTS (
    SELECT
    FROM versions_seen AS before
    WHERE before.kind = seen.kind AND before.family = seen.family AND before.first_at < seen.first_at
)
UNION ALL
SELECT catalogue_versions.synced_at, 'catalogue', NULL, left(catalogue_versions.version, 12)
FROM catalogue_versions
UNION ALL
SELECT errata.at, 'erratum', split_part(errata.parser_to, '@', 1), errata.parser_from || ' → ' || errata.parser_to
FROM errata
UNION ALL
SELECT host_events.at, 'host', NULL, host_events.host || ': ' || host_events.what
FROM host_events
WHERE host_events.what IN ('forbidden', 'resumed');
COMMENT ON VIEW markers IS
    'What we changed and when: readers, program, catalogue, corrections, hosts forbidden or resumed; drawn on every panel.';

CREATE FUNCTION changes_between(from_day date, until_day date)
RETURNS TABLE (
    family text,
    day date,
    desks bigint,
    control_desks bigint,
    changed bigint,
    control_departements bigint,
    departements_changed bigint,
    ours text,
    verdict text
)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH counted AS (
        SELECT days.desk_id, days.day, days.outcome, sum(days.probes) AS probes
        FROM daily_outcomes AS days
        WHERE days.counter_key IS NULL AND days.outcome <> 'observer_fault'
            AND days.day BETWEEN from_day - 7 AND until_day
        GROUP BY days.desk_id, days.day, days.outcome
    ), states AS (
        SELECT DISTINCT ON (counted.desk_id, counted.day) counted.desk_id, counted.day, counted.outcome
        FROM counted
        ORDER BY counted.desk_id, counted.day, counted.probes DESC, counted.outcome
    ), watched AS (
        SELECT
            states.*,
            count(*) OVER before AS days_before,
            min(states.outcome) OVER before AS least,
            max(states.outcome) OVER before AS most
        FROM states
        WINDOW before AS (
            PARTITION BY states.desk_id ORDER BY states.day
            RANGE BETWEEN interval '7 days' PRECEDING AND interval '1 day' PRECEDING
        )
    ), judged AS (
        SELECT
            desks.family,
            desks.departement,
            watched.day,
            watched.days_before >= 4 AND watched.least = watched.most AS is_control,
            watched.days_before >= 4 AND watched.least = watched.most AND watched.outcome <> watched.most AS is_changed
        FROM watched
        JOIN desks ON desks.id = watched.desk_id
        WHERE watched.day >= from_day
    ), summed AS (
        SELECT
            judged.family,
            judged.day,
            count(*) AS desks,
            count(*) FILTER (WHERE judged.is_control) AS control_desks,
            count(*) FILTER (WHERE judged.is_changed) AS changed,
            count(DISTINCT judged.departement) FILTER (WHERE judged.is_control) AS control_departements,
            count(DISTINCT judged.departement) FILTER (WHERE judged.is_changed) AS departements_changed
        FROM judged
        GROUP BY judged.family, judged.day
    ), marked AS (
        SELECT
            summed.*,
            (
                SELECT string_agg(DISTINCT markers.kind || ' ' || markers.what, ', ')
                FROM markers
                WHERE markers.kind IN ('parser', 'program', 'catalogue')
                    AND (markers.family IS NULL OR markers.family = summed.family)
                    AND markers.at >= (summed.day - 1)::timestamp AT TIME ZONE 'Europe/Paris'
                    AND markers.at < (summed.day + 1)::timestamp AT TIME ZONE 'Europe/Paris'
            ) AS ours
        FROM summed
    )
    SELECT
        marked.*,
        CASE
            WHEN marked.control_desks < 5 THEN 'insufficient'
            WHEN marked.changed < greatest(2, 0.1 * marked.control_desks) THEN 'steady'
            WHEN marked.ours IS NOT NULL THEN 'robot'
            WHEN marked.departements_changed >= 0.5 * marked.control_departements THEN 'platform'
            ELSE 'world'
        END
    FROM marked
    ORDER BY marked.family, marked.day;
END;
COMMENT ON FUNCTION changes_between(date, date) IS
    'World or robot: of desks whose main outcome was the same all week, how many changed on a day, and whether we did.';

GRANT SELECT ON
    desk_queue, desk_freshness, availability, availability_now, outcome_days, desk_hours, host_ledger, markers,
    delay_totals
TO guichets_reader, guichets_writer;
