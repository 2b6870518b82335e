-- 0007 before the code: what is published is read from views that hold back, by a role that may read nothing else.

-- What is published ------------------------------------------------------------------------------------------------
-- Derived from daily_outcomes and observations, day by day, like the rollups: what consecutive baseline probes of a
-- desk say of each other, and how far away its dates were. The site and the open data read none of it: only the views
-- of the schema public_data, which hold back what is fresh and coarsen what is exact.

CREATE TABLE sequence_queue (
    desk_id text NOT NULL,
    day date NOT NULL,
    CONSTRAINT sequence_queue_pkey PRIMARY KEY (desk_id, day)
);
COMMENT ON TABLE sequence_queue IS 'Desks'' days that daily_outcomes counted again and the sequences have not.';

CREATE TABLE daily_sequences (
    desk_id text NOT NULL,
    day date NOT NULL,
    pairs_day integer NOT NULL,
    pairs_edge integer NOT NULL,
    pairs_night integer NOT NULL,
    CONSTRAINT daily_sequences_pkey PRIMARY KEY (desk_id, day)
);
COMMENT ON TABLE daily_sequences IS
    'Rated probes of two consecutive baseline slots, by the day of the later one. One row per day with a rated probe.';
COMMENT ON COLUMN daily_sequences.pairs_day IS 'Both slots by day: from 7 h to 22 h of the desk''s zone.';
COMMENT ON COLUMN daily_sequences.pairs_edge IS 'One by day, the other at night.';

CREATE TABLE daily_changes (
    desk_id text NOT NULL,
    day date NOT NULL,
    changed_after timestamptz NOT NULL,
    changed_by timestamptz NOT NULL,
    offers boolean NOT NULL,
    consecutive boolean NOT NULL,
    CONSTRAINT daily_changes_pkey PRIMARY KEY (desk_id, changed_by),
    CONSTRAINT daily_changes_in_order CHECK (changed_after < changed_by)
);
-- serves recompute_sequences, which counts a day again
CREATE INDEX daily_changes_day_idx ON daily_changes (desk_id, day);
COMMENT ON INDEX daily_changes_day_idx IS 'Serves recompute_sequences, which counts a day again.';
COMMENT ON TABLE daily_changes IS
    'When a desk began or ceased to offer, as far as two rated baseline probes tell: between them. Never published so.';
COMMENT ON COLUMN daily_changes.day IS 'Day of changed_by in the département''s zone.';
COMMENT ON COLUMN daily_changes.changed_after IS 'The last rated probe that found the other state.';
COMMENT ON COLUMN daily_changes.changed_by IS 'The first probe that found this one.';
COMMENT ON COLUMN daily_changes.offers IS 'True: it began to offer; false: it ceased.';
COMMENT ON COLUMN daily_changes.consecutive IS 'Whether the two probes stood in slots that touch.';

CREATE TABLE daily_delays (
    desk_id text NOT NULL,
    day date NOT NULL,
    days integer NOT NULL,
    firsts integer NOT NULL,
    seconds integer NOT NULL,
    CONSTRAINT daily_delays_pkey PRIMARY KEY (desk_id, day, days)
);
COMMENT ON TABLE daily_delays IS 'Whole local days from a baseline visit to the dates it was offered, absurd ones left out.';
COMMENT ON COLUMN daily_delays.firsts IS 'Probes whose first date was so far away.';
COMMENT ON COLUMN daily_delays.seconds IS 'Probes whose second date was.';

CREATE FUNCTION queue_sequences() RETURNS trigger
LANGUAGE plpgsql
AS $function$
BEGIN
    INSERT INTO sequence_queue (desk_id, day)
    SELECT DISTINCT changed.desk_id, changed.day
    FROM changed
    WHERE changed.counted AND changed.counter_key IS NULL
    ORDER BY changed.desk_id, changed.day
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION queue_sequences() IS 'Leaves word of days that were counted again.';
CREATE TRIGGER daily_outcomes_queue_new AFTER INSERT ON daily_outcomes
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION queue_sequences();
CREATE TRIGGER daily_outcomes_queue_old AFTER DELETE ON daily_outcomes
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION queue_sequences();

CREATE FUNCTION recompute_sequences(of_desks text[], of_days date[]) RETURNS void
LANGUAGE plpgsql SET timezone = 'UTC'
AS $function$
DECLARE
    all_desks text[];
    all_days date[];
BEGIN
    -- with the next day that has a rated probe, whose first pair begins in the day that changed
    SELECT array_agg(dirty.desk_id), array_agg(dirty.day) INTO all_desks, all_days
    FROM (
        SELECT one.desk_id, one.day FROM unnest(of_desks, of_days) AS one (desk_id, day)
        UNION
        SELECT one.desk_id, next.day
        FROM unnest(of_desks, of_days) AS one (desk_id, day)
        CROSS JOIN LATERAL (
            SELECT daily_sequences.day
            FROM daily_sequences
            WHERE daily_sequences.desk_id = one.desk_id AND daily_sequences.day > one.day
            ORDER BY daily_sequences.day
            LIMIT 1
        ) AS next
    ) AS dirty;

    DELETE FROM daily_sequences USING unnest(all_desks, all_days) AS dirty (desk_id, day)
    WHERE daily_sequences.desk_id = dirty.desk_id AND daily_sequences.day = dirty.day;
    DELETE FROM daily_changes USING unnest(all_desks, all_days) AS dirty (desk_id, day)
    WHERE daily_changes.desk_id = dirty.desk_id AND daily_changes.day = dirty.day;
    DELETE FROM daily_delays USING unnest(all_desks, all_days) AS dirty (desk_id, day)
    WHERE daily_delays.desk_id = dirty.desk_id AND daily_delays.day = dirty.day;

    WITH rated_probes AS MATERIALIZED (
        SELECT
            dirty.desk_id, dirty.day, departements.timezone, line.observed_at,
            line.outcome = 'offered' AS offers, line.slot_starts_at,
            line.first_slot, line.second_slot, line.is_of_day
        FROM unnest(all_desks, all_days) AS dirty (desk_id, day)
        JOIN desks ON desks.id = dirty.desk_id
        JOIN departements ON departements.code = desks.departement
        CROSS JOIN LATERAL (
            SELECT
                dirty.day::timestamp AT TIME ZONE departements.timezone AS begins_at,
                (dirty.day + 1)::timestamp AT TIME ZONE departements.timezone AS ends_at
        ) AS bounds
        CROSS JOIN LATERAL (
            SELECT own.observed_at, own.outcome, baseline_visits.slot_starts_at, own.first_slot, own.second_slot,
                true AS is_of_day
            FROM observations_in_force AS own
            JOIN baseline_visits ON baseline_visits.probe = own.probe
            WHERE own.desk_id = dirty.desk_id AND own.counter_key IS NULL AND own.purpose = 'baseline'
                AND own.outcome IN ('offered', 'none', 'closed')
                AND own.observed_at >= bounds.begins_at AND own.observed_at < bounds.ends_at
            UNION ALL
            (
                SELECT own.observed_at, own.outcome, baseline_visits.slot_starts_at, NULL, NULL, false
                FROM observations_in_force AS own
                JOIN baseline_visits ON baseline_visits.probe = own.probe
                WHERE own.desk_id = dirty.desk_id AND own.counter_key IS NULL AND own.purpose = 'baseline'
                    AND own.outcome IN ('offered', 'none', 'closed')
                    AND own.observed_at < bounds.begins_at AND own.observed_at >= bounds.begins_at - interval '31 days'
                ORDER BY own.observed_at DESC
                LIMIT 1
            )
        ) AS line
    ), bounds AS (
        SELECT min(rated_probes.slot_starts_at)::date - 1 AS first, max(rated_probes.slot_starts_at)::date + 1 AS last
        FROM rated_probes
    ), slots AS MATERIALIZED (
        SELECT zones.timezone, slot.starts_at, slot.ends_at,
            extract(hour FROM slot.starts_at AT TIME ZONE zones.timezone) BETWEEN 7 AND 21 AS is_day
        FROM bounds
        CROSS JOIN (SELECT DISTINCT rated_probes.timezone FROM rated_probes) AS zones
        CROSS JOIN LATERAL baseline_slots(zones.timezone, bounds.first, bounds.last) AS slot
        WHERE bounds.first IS NOT NULL
    ), placed AS (
        SELECT rated_probes.*, slots.ends_at, coalesce(slots.is_day, true) AS is_day
        FROM rated_probes
        LEFT JOIN slots ON slots.timezone = rated_probes.timezone AND slots.starts_at = rated_probes.slot_starts_at
    ), paired AS (
        SELECT
            placed.*,
            lag(placed.observed_at) OVER line AS previous_at,
            lag(placed.offers) OVER line AS previous_offers,
            lag(placed.is_day) OVER line AS previous_is_day,
            lag(placed.ends_at) OVER line = placed.slot_starts_at AS consecutive
        FROM placed
        WINDOW line AS (PARTITION BY placed.desk_id, placed.day ORDER BY placed.observed_at, placed.slot_starts_at)
    ), sequences AS (
        INSERT INTO daily_sequences
        SELECT
            paired.desk_id,
            paired.day,
            count(*) FILTER (WHERE paired.consecutive AND paired.is_day AND paired.previous_is_day),
            count(*) FILTER (WHERE paired.consecutive AND paired.is_day <> paired.previous_is_day),
            count(*) FILTER (WHERE paired.consecutive AND NOT paired.is_day AND NOT paired.previous_is_day)
        FROM paired
        WHERE paired.is_of_day
        GROUP BY paired.desk_id, paired.day
    ), changes AS (
        INSERT INTO daily_changes
        SELECT
            paired.desk_id, paired.day, paired.previous_at, paired.observed_at, paired.offers,
            coalesce(paired.consecutive, false)
        FROM paired
        WHERE paired.is_of_day AND paired.offers <> paired.previous_offers AND paired.previous_at < paired.observed_at
        ON CONFLICT DO NOTHING
    )
    INSERT INTO daily_delays
    SELECT seen.desk_id, seen.day, greatest(seen.days, 0), sum(seen.first), sum(seen.second)
    FROM rated_probes
    CROSS JOIN LATERAL (
        SELECT rated_probes.desk_id, rated_probes.day, told.first, told.second,
            (told.slot AT TIME ZONE rated_probes.timezone)::date - rated_probes.day AS days
        FROM (VALUES (rated_probes.first_slot, 1, 0), (rated_probes.second_slot, 0, 1)) AS told (slot, first, second)
        WHERE told.slot >= rated_probes.observed_at - interval '1 day'
            AND told.slot < rated_probes.observed_at + interval '730 days'
    ) AS seen
    WHERE rated_probes.is_of_day AND rated_probes.offers
    GROUP BY seen.desk_id, seen.day, greatest(seen.days, 0);
END
$function$;
COMMENT ON FUNCTION recompute_sequences(text[], date[]) IS
    'Reads these desks'' days again, and the rated day after each: the same whenever it is done, and however often.';

CREATE FUNCTION refresh_sequences(at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC'
AS $function$
DECLARE
    desks_taken text[];
    days_taken date[];
BEGIN
    -- one at a time: the day after is counted with each
    PERFORM pg_advisory_xact_lock(hashtextextended('guichets.sequences', 0));
    WITH taken AS (
        DELETE FROM sequence_queue
        USING (SELECT desk_id, day FROM sequence_queue ORDER BY day, desk_id LIMIT at_most) AS first
        WHERE sequence_queue.desk_id = first.desk_id AND sequence_queue.day = first.day
        RETURNING sequence_queue.desk_id, sequence_queue.day
    )
    SELECT array_agg(taken.desk_id), array_agg(taken.day) INTO desks_taken, days_taken FROM taken;
    IF desks_taken IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM recompute_sequences(desks_taken, days_taken);
    RETURN cardinality(desks_taken);
END
$function$;
COMMENT ON FUNCTION refresh_sequences(integer) IS 'Takes at most so many days off sequence_queue, and returns how many.';

INSERT INTO sequence_queue SELECT DISTINCT desk_id, day FROM daily_outcomes WHERE counted AND counter_key IS NULL;

CREATE TABLE publication (
    one boolean PRIMARY KEY DEFAULT true CONSTRAINT publication_one_row CHECK (one),
    delay interval NOT NULL DEFAULT '48 hours'
        CONSTRAINT publication_delay_protects CHECK (delay >= interval '24 hours')
);
COMMENT ON TABLE publication IS 'One row: how the views of public_data hold back.';
COMMENT ON COLUMN publication.delay IS 'A local day is published when it has been over for so long. Never under a day.';
INSERT INTO publication DEFAULT VALUES;

CREATE SCHEMA public_data;
COMMENT ON SCHEMA public_data IS
    'All that the site and the open data may read: delayed, by day or coarser, without a slot or the time of a release.';

CREATE VIEW public_data.departements WITH (security_barrier) AS
SELECT
    departements.code,
    departements.name,
    departements.region,
    departements.chef_lieu,
    departements.timezone,
    ((now() - publication.delay) AT TIME ZONE departements.timezone)::date - 1 AS published_until
FROM public.departements
CROSS JOIN public.publication;
COMMENT ON VIEW public_data.departements IS 'The départements, and the last local day of each that may be published.';

CREATE VIEW public_data.offices WITH (security_barrier) AS
SELECT offices.departement, offices.name FROM public.offices;
COMMENT ON VIEW public_data.offices IS 'Who receives people.';

CREATE VIEW public_data.desks WITH (security_barrier) AS
SELECT
    desks.id,
    desks.family,
    desks.departement,
    offices.name AS office,
    desks.procedure,
    desks.label,
    desks.url,
    desks.valid_from,
    desks.valid_to,
    desks.moved_to,
    desks.source,
    (desks.opened_at AT TIME ZONE departements.timezone)::date AS observed_since,
    (desks.closed_at AT TIME ZONE departements.timezone)::date AS observed_until
FROM public.desks
JOIN public.offices ON offices.id = desks.office_id
JOIN public.departements ON departements.code = desks.departement;
COMMENT ON VIEW public_data.desks IS 'Every desk that was ever in the catalogue.';

CREATE VIEW public_data.channels WITH (security_barrier) AS
SELECT
    channels.departement,
    offices.name AS office,
    channels.procedure,
    channels.channel,
    channels.exclusive,
    channels.valid_from,
    channels.valid_to,
    channels.source
FROM public.channels
JOIN public.offices ON offices.id = channels.office_id
WHERE channels.closed_at IS NULL;
COMMENT ON VIEW public_data.channels IS 'How one can ask for an appointment at all, with dates and sources.';

CREATE FUNCTION public_data.slots_due() RETURNS TABLE (desk_id text, day date, slots_due integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
BEGIN ATOMIC
    SELECT due.desk_id, due.day, due.slots_due
    FROM (
        SELECT min(daily_outcomes.day) AS first, max(daily_outcomes.day) AS last
        FROM public.daily_outcomes
        WHERE daily_outcomes.counted AND daily_outcomes.counter_key IS NULL
    ) AS known
    CROSS JOIN LATERAL public.slots_due_between(known.first, known.last) AS due
    JOIN public.desks ON desks.id = due.desk_id
    JOIN public_data.departements ON departements.code = desks.departement
    WHERE known.first IS NOT NULL AND due.day <= departements.published_until;
END;
COMMENT ON FUNCTION public_data.slots_due() IS 'slots_due_between of the days that may be published.';

CREATE VIEW public_data.desk_days WITH (security_barrier) AS
WITH counted AS (
    SELECT
        days.desk_id,
        days.day,
        sum(days.probes) FILTER (WHERE is_conclusive(days.outcome)) AS observed,
        sum(days.probes) FILTER (WHERE days.outcome = 'offered') AS offered,
        sum(days.probes) FILTER (WHERE days.outcome = 'none') AS "none",
        sum(days.probes) FILTER (WHERE days.outcome = 'closed') AS closed,
        sum(days.probes) FILTER (WHERE days.outcome = 'open') AS open,
        sum(days.probes) FILTER (WHERE days.outcome = 'moved') AS moved,
        sum(days.probes) FILTER (WHERE days.outcome = 'captcha') AS captcha,
        sum(days.probes) FILTER (WHERE days.outcome = 'blocked') AS blocked,
        sum(days.probes) FILTER (WHERE days.outcome = 'overloaded') AS overloaded,
        sum(days.probes) FILTER (WHERE days.outcome = 'unreachable') AS unreachable,
        sum(days.probes) FILTER (WHERE days.outcome = 'gone') AS gone,
        sum(days.probes) FILTER (WHERE days.outcome = 'unrecognised') AS unrecognised,
        sum(split.night) FILTER (WHERE days.outcome IN ('offered', 'none', 'closed')) AS rated_night,
        sum(split.night) FILTER (WHERE days.outcome = 'offered') AS offered_night,
        sum(split.human) FILTER (WHERE days.outcome IN ('offered', 'none', 'closed', 'overloaded', 'unreachable'))
            AS tried_human,
        sum(split.human) FILTER (WHERE days.outcome = 'offered') AS offered_human
    FROM public.daily_outcomes AS days
    CROSS JOIN LATERAL (
        SELECT
            days.by_hour[1] + days.by_hour[2] + days.by_hour[3] + days.by_hour[4] + days.by_hour[5] + days.by_hour[6]
                + days.by_hour[7] + days.by_hour[23] + days.by_hour[24] AS night,
            days.by_hour[9] + days.by_hour[10] + days.by_hour[11] + days.by_hour[12] + days.by_hour[13]
                + days.by_hour[14] + days.by_hour[15] + days.by_hour[16] + days.by_hour[17] + days.by_hour[18]
                + days.by_hour[19] + days.by_hour[20] AS human
    ) AS split
    WHERE days.counted AND days.counter_key IS NULL
    GROUP BY days.desk_id, days.day
), gaps AS (
    SELECT
        daily_changes.desk_id,
        daily_changes.day,
        array_agg(
            round(extract(epoch FROM daily_changes.changed_by - daily_changes.changed_after) / 60)::integer
            ORDER BY daily_changes.changed_by - daily_changes.changed_after
        ) AS minutes
    FROM public.daily_changes
    WHERE daily_changes.consecutive
    GROUP BY daily_changes.desk_id, daily_changes.day
)
SELECT
    due.desk_id,
    due.day,
    due.slots_due,
    coalesce(counted.observed, 0)::integer AS observed,
    coalesce(counted.offered, 0)::integer AS offered,
    coalesce(counted."none", 0)::integer AS "none",
    coalesce(counted.closed, 0)::integer AS closed,
    coalesce(counted.open, 0)::integer AS open,
    coalesce(counted.moved, 0)::integer AS moved,
    coalesce(counted.captcha, 0)::integer AS captcha,
    coalesce(counted.blocked, 0)::integer AS blocked,
    coalesce(counted.overloaded, 0)::integer AS overloaded,
    coalesce(counted.unreachable, 0)::integer AS unreachable,
    coalesce(counted.gone, 0)::integer AS gone,
    coalesce(counted.unrecognised, 0)::integer AS unrecognised,
    coalesce(counted.rated_night, 0)::integer AS rated_night,
    coalesce(counted.offered_night, 0)::integer AS offered_night,
    coalesce(counted.tried_human, 0)::integer AS tried_human,
    coalesce(counted.offered_human, 0)::integer AS offered_human,
    coalesce(daily_sequences.pairs_day, 0) AS pairs_day,
    coalesce(daily_sequences.pairs_edge, 0) AS pairs_edge,
    coalesce(daily_sequences.pairs_night, 0) AS pairs_night,
    gaps.minutes AS gap_minutes
FROM public_data.slots_due() AS due
LEFT JOIN counted ON counted.desk_id = due.desk_id AND counted.day = due.day
LEFT JOIN public.daily_sequences ON daily_sequences.desk_id = due.desk_id AND daily_sequences.day = due.day
LEFT JOIN gaps ON gaps.desk_id = due.desk_id AND gaps.day = due.day;
COMMENT ON VIEW public_data.desk_days IS
    'Desk and day of its zone, once the delay is over: baseline slots that were due, and what their probes found.';
COMMENT ON COLUMN public_data.desk_days.rated_night IS 'Of offered, none and closed: those from 22 h to 7 h.';
COMMENT ON COLUMN public_data.desk_days.tried_human IS
    'From 8 h to 20 h: offered, none and closed, overloaded and unreachable: a person would have tried in vain too.';
COMMENT ON COLUMN public_data.desk_days.gap_minutes IS
    'Minutes between consecutive probes of which one found an offer and the other none, sorted: no time of day.';

CREATE VIEW public_data.desk_delays WITH (security_barrier) AS
SELECT
    daily_delays.desk_id,
    date_trunc('month', daily_delays.day)::date AS month,
    daily_delays.days,
    sum(daily_delays.firsts)::integer AS firsts,
    sum(daily_delays.seconds)::integer AS seconds
FROM public.daily_delays
JOIN public.desks ON desks.id = daily_delays.desk_id
JOIN public_data.departements ON departements.code = desks.departement
WHERE daily_delays.day <= departements.published_until
GROUP BY daily_delays.desk_id, date_trunc('month', daily_delays.day), daily_delays.days;
COMMENT ON VIEW public_data.desk_delays IS
    'Desk and month: how many probes were offered a first, a second date so many days away. By month: no date can be told.';

CREATE VIEW public_data.openings WITH (security_barrier) AS
SELECT
    spans.desk_id,
    date_trunc('quarter', spans.day)::date AS quarter,
    -- to the quarter of an hour, without any time of day
    floor(extract(epoch FROM greatest(spans.ended_after - spans.changed_by, interval '0')) / 900)::integer * 15
        AS at_least_minutes,
    CASE WHEN spans.ended_by IS NOT NULL
        THEN ceil(extract(epoch FROM spans.ended_by - spans.changed_after) / 900)::integer * 15
    END AS at_most_minutes
FROM (
    SELECT
        daily_changes.desk_id,
        daily_changes.day,
        daily_changes.offers,
        daily_changes.changed_after,
        daily_changes.changed_by,
        lead(daily_changes.changed_after) OVER line AS ended_after,
        lead(daily_changes.changed_by) OVER line AS ended_by,
        lead(daily_changes.day) OVER line AS ended_on
    FROM public.daily_changes
    WINDOW line AS (PARTITION BY daily_changes.desk_id ORDER BY daily_changes.changed_by)
) AS spans
JOIN public.desks ON desks.id = spans.desk_id
JOIN public_data.departements ON departements.code = desks.departement
WHERE spans.offers AND spans.ended_on <= departements.published_until;
COMMENT ON VIEW public_data.openings IS
    'Stretches during which a desk was seen offering, once they and the delay are over: how long, never when.';
COMMENT ON COLUMN public_data.openings.at_least_minutes IS 'From the first to the last probe that found an offer.';
COMMENT ON COLUMN public_data.openings.at_most_minutes IS 'From the last probe before it to the first one after it.';

CREATE VIEW public_data.releases WITH (security_barrier) AS
WITH placed AS (
    SELECT
        desks.departement,
        date_trunc('quarter', daily_changes.day)::date AS quarter,
        (daily_changes.changed_after + (daily_changes.changed_by - daily_changes.changed_after) / 2)
            AT TIME ZONE departements.timezone AS middle
    FROM public.daily_changes
    JOIN public.desks ON desks.id = daily_changes.desk_id
    JOIN public_data.departements ON departements.code = desks.departement
    WHERE daily_changes.offers AND daily_changes.changed_by - daily_changes.changed_after <= interval '6 hours'
        AND daily_changes.day <= departements.published_until
)
SELECT
    placed.departement,
    placed.quarter,
    extract(isodow FROM placed.middle)::integer AS weekday,
    CASE
        WHEN extract(hour FROM placed.middle) < 7 THEN 'night'
        WHEN extract(hour FROM placed.middle) < 12 THEN 'morning'
        WHEN extract(hour FROM placed.middle) < 18 THEN 'afternoon'
        ELSE 'evening'
    END AS part,
    count(*)::integer AS openings
FROM placed
JOIN (
    SELECT placed.departement, placed.quarter FROM placed GROUP BY placed.departement, placed.quarter HAVING count(*) >= 10
) AS many USING (departement, quarter)
GROUP BY placed.departement, placed.quarter, extract(isodow FROM placed.middle), part;
COMMENT ON VIEW public_data.releases IS
    'Département and quarter, all desks together, ten openings at least: on which weekday and part of the day they began.';

CREATE VIEW public_data.errata WITH (security_barrier) AS
SELECT
    errata.id,
    (errata.at AT TIME ZONE 'Europe/Paris')::date AS day,
    errata.parser_from,
    errata.parser_to,
    (errata.changes ->> 'observations')::integer AS observations,
    errata.changes -> 'outcomes' AS outcomes,
    errata.changes -> 'desks' AS desks,
    coalesce((
        SELECT jsonb_agg(figure.value)
        FROM jsonb_array_elements(errata.figures) AS figure
        WHERE (figure.value ->> 'day')::date < ((now() - publication.delay) AT TIME ZONE 'UTC')::date - 1
    ), '[]') AS figures,
    errata.note
FROM public.errata
CROSS JOIN public.publication
WHERE errata.at <= now() - publication.delay;
COMMENT ON VIEW public_data.errata IS 'Corrections of the past, once the delay is over, with the published figures that moved.';

REVOKE EXECUTE ON FUNCTION recompute_sequences(text[], date[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION refresh_sequences(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION refresh_sequences(integer) TO guichets_reader, guichets_writer;
REVOKE EXECUTE ON FUNCTION public_data.slots_due() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public_data.slots_due() TO guichets_public, guichets_reader, guichets_writer;
GRANT SELECT ON sequence_queue, daily_sequences, daily_changes, daily_delays, publication
TO guichets_reader, guichets_writer;
GRANT UPDATE (delay) ON publication TO guichets_writer;
GRANT USAGE ON SCHEMA public_data TO guichets_public, guichets_reader, guichets_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA public_data TO guichets_public, guichets_reader, guichets_writer;
