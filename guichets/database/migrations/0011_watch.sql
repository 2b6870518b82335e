-- 0011 before the code: watch probes: what was learnt, what is planned, what was made, and who plans.

ALTER TABLE desks ADD COLUMN is_watched_closely boolean NOT NULL DEFAULT false;
ALTER TABLE desks ADD COLUMN close_visits integer NOT NULL DEFAULT 0;
ALTER TABLE desks ADD COLUMN close_visits_on date;
COMMENT ON COLUMN desks.is_watched_closely IS
    'Whether its last visit was a watch probe inside a learnt release period: the next one may come sooner.';
COMMENT ON COLUMN desks.close_visits IS
    'Visits on the day close_visits_on that began within the form interval of the one before: 60 at most.';
COMMENT ON COLUMN desks.close_visits_on IS 'Day of close_visits, UTC.';

CREATE TABLE watch_planner (
    id boolean PRIMARY KEY DEFAULT true CONSTRAINT watch_planner_is_one CHECK (id),
    owner text,
    token bigint NOT NULL DEFAULT 0,
    expires_at timestamptz,
    planned_until timestamptz
);
INSERT INTO watch_planner DEFAULT VALUES;
COMMENT ON TABLE watch_planner IS 'Who plans watch probes for the whole cluster: one row, an expiring lease with a fencing token.';
COMMENT ON COLUMN watch_planner.owner IS 'Worker, or command, that learns and plans until expires_at; null: nobody.';
COMMENT ON COLUMN watch_planner.token IS 'Grows by one whenever the planner changes; a write that carries an older one touches no row.';
COMMENT ON COLUMN watch_planner.planned_until IS 'Watch probes are planned up to this instant, so that no minute is planned twice; null: none was.';

CREATE TABLE watch_states (
    desk_id text PRIMARY KEY REFERENCES desks,
    state bytea NOT NULL,
    timezone text NOT NULL,
    newest_at timestamptz NOT NULL,
    relearnt_at timestamptz NOT NULL,
    told_at timestamptz NOT NULL,
    sightings integer NOT NULL,
    openings integer NOT NULL,
    weekly_map real[] NOT NULL CONSTRAINT watch_states_week_has_168_hours CHECK (cardinality(weekly_map) = 168),
    releases jsonb NOT NULL
);
COMMENT ON TABLE watch_states IS
    'What was learnt of when a desk opens, from its observations alone; made anew at any time. For operators: never published.';
COMMENT ON COLUMN watch_states.state IS 'As guichets.schedule.watch writes and reads it.';
COMMENT ON COLUMN watch_states.timezone IS 'Zone it was learnt in; a desk whose zone changed is relearnt.';
COMMENT ON COLUMN watch_states.newest_at IS 'Newest observation in it; later ones are still to be learnt.';
COMMENT ON COLUMN watch_states.relearnt_at IS 'When it was last made from all observations of the desk.';
COMMENT ON COLUMN watch_states.told_at IS 'When the columns after it were written: they tell for people what state holds.';
COMMENT ON COLUMN watch_states.openings IS 'Openings seen among the sightings.';
COMMENT ON COLUMN watch_states.weekly_map IS
    'Expected openings in each hour of the desk''s own week: 168 numbers from Monday, 0 h.';
COMMENT ON COLUMN watch_states.releases IS 'Learnt releases, the surest first: see the view desk_releases.';

CREATE TABLE watch_queue (
    desk_id text NOT NULL REFERENCES desks,
    planned_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    host text NOT NULL,
    family text NOT NULL,
    reason text NOT NULL
        CONSTRAINT watch_queue_reason_known CHECK (reason IN ('release', 'cycle', 'follow_up', 'explore')),
    weight double precision NOT NULL CONSTRAINT watch_queue_weight_sane CHECK (weight >= 1 AND weight < 'infinity'),
    is_dense boolean NOT NULL,
    CONSTRAINT watch_queue_pkey PRIMARY KEY (desk_id, planned_at),
    CONSTRAINT watch_queue_in_order CHECK (planned_at < expires_at)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
-- serves watch_candidates: what is planned on a host
CREATE INDEX watch_queue_host_idx ON watch_queue (host);
COMMENT ON INDEX watch_queue_host_idx IS 'Serves watch_candidates: what is planned on a host.';
COMMENT ON TABLE watch_queue IS
    'Watch probes planned for the next minutes. A row goes when its visit begins, or when it is too late: then it is dropped, and never made up.';
COMMENT ON COLUMN watch_queue.expires_at IS 'From this instant on it is too late for it.';
COMMENT ON COLUMN watch_queue.host IS 'The desk''s host when it was planned; should the desk have moved since, it is dropped.';
COMMENT ON COLUMN watch_queue.reason IS
    'release: one is expected about now; cycle: openings recur at this minute of the hour; follow_up: it was open a moment ago; explore: nothing is known of this hour.';
COMMENT ON COLUMN watch_queue.weight IS '1 ÷ the probability with which this probe was drawn for its minute.';
COMMENT ON COLUMN watch_queue.is_dense IS 'Inside a learnt release period: may come sooner after the last visit than the form interval.';

CREATE TABLE watch_probes (
    probe uuid PRIMARY KEY,
    desk_id text NOT NULL REFERENCES desks,
    planned_at timestamptz NOT NULL,
    begun_at timestamptz NOT NULL,
    fencing_token bigint NOT NULL,
    reason text NOT NULL,
    weight double precision NOT NULL,
    is_dense boolean NOT NULL,
    is_close boolean NOT NULL
);
-- serves the budget and the shares of a period; rows come in order of time
CREATE INDEX watch_probes_begun_brin ON watch_probes USING brin (begun_at);
COMMENT ON INDEX watch_probes_begun_brin IS 'Serves the budget and the shares of a period: rows come in order of time.';
COMMENT ON TABLE watch_probes IS
    'Each planned watch probe that was begun: why, and with which sampling weight. Never in a rate. A watch observation without a row here comes from a crawl of every desk.';
COMMENT ON COLUMN watch_probes.probe IS 'observations.probe, once it has been observed.';
COMMENT ON COLUMN watch_probes.fencing_token IS 'Of the host''s lease it was begun under.';
COMMENT ON COLUMN watch_probes.reason IS 'As in watch_queue.';
COMMENT ON COLUMN watch_probes.weight IS 'As in watch_queue.';
COMMENT ON COLUMN watch_probes.is_close IS 'Began within the form interval of the desk''s visit before.';

CREATE TABLE watch_totals (
    reason text PRIMARY KEY,
    planned bigint NOT NULL DEFAULT 0,
    dropped bigint NOT NULL DEFAULT 0
);
INSERT INTO watch_totals (reason) VALUES ('release'), ('cycle'), ('follow_up'), ('explore');
COMMENT ON TABLE watch_totals IS 'Watch probes ever planned and dropped, by reason; these numbers only grow. Planned = waiting + made + dropped.';

CREATE VIEW watch_rests AS
SELECT
    hosts.host,
    CASE
        WHEN hosts.forbidden THEN 'forbidden'
        WHEN hosts.paused_until > now() THEN 'paused'
        WHEN hosts.last_refusal_at > now() - interval '7 days' THEN 'refused'
        ELSE 'failing'
    END AS why
FROM hosts
WHERE hosts.forbidden OR hosts.paused_until > now() OR hosts.last_refusal_at > now() - interval '7 days'
    OR hosts.failures > 0;
COMMENT ON VIEW watch_rests IS
    'Hosts that get no watch probes for now: forbidden, paused, refused us within a week, or failing at this moment.';

CREATE FUNCTION close_visits_left(close_visits integer, close_visits_on date) RETURNS integer
LANGUAGE sql STABLE
RETURN 60 - CASE WHEN close_visits_on = (now() AT TIME ZONE 'UTC')::date THEN close_visits ELSE 0 END;
COMMENT ON FUNCTION close_visits_left(integer, date) IS
    'How many more visits of a desk may begin today (UTC) within the form interval of the one before: rule 2, 60 a day.';

CREATE FUNCTION visit_interval(is_watched_closely boolean, close_left integer, form_interval interval) RETURNS interval
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN is_watched_closely AND close_left > 0 THEN least(form_interval, interval '1 minute') ELSE form_interval END;
COMMENT ON FUNCTION visit_interval(boolean, integer, interval) IS
    'Least time from a desk''s last visit to its next baseline one: the form interval, a minute while it is watched closely.';

CREATE FUNCTION watch_may_begin(
    at timestamptz,
    is_dense boolean,
    next_due_at timestamptz,
    last_probed_at timestamptz,
    close_left integer,
    form_interval interval
) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN (
    last_probed_at <= at - form_interval
    -- one is always left for the baseline probe that may follow
    OR (is_dense AND close_left > 1 AND last_probed_at <= at - least(form_interval, interval '1 minute'))
) AND (
    -- the visit lasts a while, and the interval is counted from its end
    next_due_at > at + form_interval * 16 / 15
    OR (is_dense AND close_left > 1 AND next_due_at > at + least(form_interval, interval '1 minute') * 2)
);
COMMENT ON FUNCTION watch_may_begin(timestamptz, boolean, timestamptz, timestamptz, integer, interval) IS
    'Whether a watch probe of a desk may begin at an instant: far enough from its last visit, and from its next baseline probe, which keeps its own.';

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
            close_visits_left(desks.close_visits, desks.close_visits_on), form_interval
        )
        AND NOT EXISTS (SELECT FROM watch_rests WHERE watch_rests.host = of_host);
END;
COMMENT ON FUNCTION watch_candidates(text, interval) IS
    'Planned watch probes of a host that may still be made, and from when. None where the watch rests.';

CREATE VIEW desk_releases AS
SELECT
    desks.id AS desk_id,
    desks.family,
    desks.departement,
    desks.procedure,
    desks.label,
    departements.timezone,
    release.rank::integer AS rank,
    release.value ->> 'kind' AS kind,
    ARRAY(SELECT weekday::integer FROM jsonb_array_elements_text(release.value -> 'weekdays') AS weekday) AS weekdays,
    (release.value ->> 'local_time')::time AS local_time,
    ARRAY(
        SELECT minute::integer FROM jsonb_array_elements_text(release.value -> 'minutes_of_hour') AS minute
    ) AS minutes_of_hour,
    (release.value ->> 'spread_minutes')::double precision AS spread_minutes,
    (release.value ->> 'usual_length_minutes')::double precision AS usual_length_minutes,
    (release.value ->> 'confidence')::double precision AS confidence,
    (release.value ->> 'since')::date AS since,
    (release.value ->> 'evidence')::integer AS evidence,
    watch_states.sightings,
    watch_states.openings,
    watch_states.told_at
FROM watch_states
JOIN desks ON desks.id = watch_states.desk_id
JOIN departements ON departements.code = desks.departement
LEFT JOIN LATERAL jsonb_array_elements(watch_states.releases) WITH ORDINALITY AS release (value, rank) ON true
WHERE desks.closed_at IS NULL;
COMMENT ON VIEW desk_releases IS
    'What was learnt of when a desk opens, a row per habit; one row with nulls for a desk without any. For operators and partners: never published.';
COMMENT ON COLUMN desk_releases.weekdays IS '1 = Monday … 7 = Sunday, in the desk''s zone.';
COMMENT ON COLUMN desk_releases.local_time IS 'Usual time of opening in the desk''s zone; null: none.';
COMMENT ON COLUMN desk_releases.minutes_of_hour IS 'Of a cycle: the minutes at which openings recur.';
COMMENT ON COLUMN desk_releases.usual_length_minutes IS 'Null: no opening was seen to end.';
COMMENT ON COLUMN desk_releases.confidence IS '0 to 1: share of the expected openings that came, carefully.';
COMMENT ON COLUMN desk_releases.since IS 'Local day of the oldest evidence of the present habit.';
COMMENT ON COLUMN desk_releases.evidence IS 'Sightings it rests on.';

CREATE VIEW release_hours AS
SELECT
    desks.id AS desk_id,
    desks.departement,
    desks.procedure,
    desks.family,
    ((hour.place - 1) / 24 + 1)::integer AS weekday,
    ((hour.place - 1) % 24)::integer AS hour,
    hour.expected::double precision AS expected
FROM watch_states
JOIN desks ON desks.id = watch_states.desk_id
CROSS JOIN LATERAL unnest(watch_states.weekly_map) WITH ORDINALITY AS hour (expected, place)
WHERE desks.closed_at IS NULL;
COMMENT ON VIEW release_hours IS
    'Expected openings of a desk in each hour of its own week. For operators and partners: never published.';
COMMENT ON COLUMN release_hours.weekday IS '1 = Monday … 7 = Sunday.';

CREATE VIEW host_watch AS
SELECT
    hosts.host,
    coalesce(seen.visits_today, 0)::bigint AS visits_today,
    coalesce(seen.watch_today, 0)::bigint AS watch_today,
    coalesce(seen.visits_week, 0)::bigint AS visits_week,
    coalesce(seen.watch_week, 0)::bigint AS watch_week,
    coalesce(seen.offered_week, 0)::bigint AS offered_week,
    coalesce(seen.watch_offered_week, 0)::bigint AS watch_offered_week,
    watch_rests.why AS rests
FROM hosts
LEFT JOIN watch_rests ON watch_rests.host = hosts.host
LEFT JOIN (
    SELECT
        desks.host,
        sum(days.visits_today) AS visits_today,
        sum(days.watch_today) AS watch_today,
        sum(days.visits_week) AS visits_week,
        sum(days.watch_week) AS watch_week,
        sum(days.offered_week) AS offered_week,
        sum(days.watch_offered_week) AS watch_offered_week
    FROM desks
    JOIN departements ON departements.code = desks.departement
    CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE departements.timezone)::date AS day) AS today
    CROSS JOIN LATERAL (
        SELECT
            sum(daily_outcomes.probes) FILTER (WHERE daily_outcomes.day = today.day) AS visits_today,
            sum(daily_outcomes.probes)
                FILTER (WHERE daily_outcomes.day = today.day AND daily_outcomes.purpose = 'watch') AS watch_today,
            sum(daily_outcomes.probes) AS visits_week,
            sum(daily_outcomes.probes) FILTER (WHERE daily_outcomes.purpose = 'watch') AS watch_week,
            sum(daily_outcomes.probes) FILTER (WHERE daily_outcomes.outcome = 'offered') AS offered_week,
            sum(daily_outcomes.probes)
                FILTER (WHERE daily_outcomes.outcome = 'offered' AND daily_outcomes.purpose = 'watch')
                AS watch_offered_week
        FROM daily_outcomes
        WHERE daily_outcomes.desk_id = desks.id
            AND daily_outcomes.day > today.day - 7
            AND daily_outcomes.counter_key IS NULL
            AND daily_outcomes.purpose IN ('baseline', 'watch')
    ) AS days
    GROUP BY desks.host
) AS seen ON seen.host = hosts.host;
COMMENT ON VIEW host_watch IS
    'Each host: its visits of today and of the last 7 days of its desks'' zones, how many were watch probes and saw a slot, and why the watch rests there.';
COMMENT ON COLUMN host_watch.rests IS 'forbidden, paused, refused or failing, as in watch_rests; null: it does not rest.';

GRANT SELECT ON
    watch_planner, watch_states, watch_queue, watch_probes, watch_totals, watch_rests,
    desk_releases, release_hours, host_watch
TO guichets_reader, guichets_writer;
GRANT INSERT, UPDATE ON watch_states TO guichets_writer;
GRANT UPDATE ON watch_planner, watch_totals TO guichets_writer;
-- A plan is no fact: it goes when it is carried out or too late. A visit that was begun stays.
GRANT INSERT, DELETE ON watch_queue TO guichets_writer;
GRANT INSERT ON watch_probes TO guichets_writer;
