-- The whole schema, as all migrations together make it; a test compares the two.
-- To build a database by hand: first migrations/roles.sql, then this file.

-- alembic creates this table itself before the first migration; a database built from schema.sql needs it too.
CREATE TABLE IF NOT EXISTS alembic_version (
    version_num character varying(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY
);
COMMENT ON TABLE alembic_version IS 'Number of the last migration that was applied.';

-- Words ---------------------------------------------------------------------------------------------------------

CREATE TYPE outcome AS ENUM (
    'offered', 'none', 'open', 'closed', 'moved', 'captcha', 'blocked',
    'overloaded', 'unreachable', 'gone', 'unrecognised', 'observer_fault'
);
COMMENT ON TYPE outcome IS 'What one probe established about one desk or counter: the closed list of DESIGN, section 2.';

CREATE FUNCTION outcome_group(outcome) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE $1
    WHEN 'offered' THEN 'offered'
    WHEN 'none' THEN 'none'
    WHEN 'closed' THEN 'closed'
    WHEN 'overloaded' THEN 'dysfunction'
    WHEN 'unreachable' THEN 'dysfunction'
    WHEN 'captcha' THEN 'barrier'
    WHEN 'blocked' THEN 'barrier'
    WHEN 'unrecognised' THEN 'unrecognised'
    WHEN 'open' THEN 'other'
    WHEN 'moved' THEN 'other'
    WHEN 'gone' THEN 'other'
    WHEN 'observer_fault' THEN 'other'
END;
COMMENT ON FUNCTION outcome_group(outcome) IS
    'The column people read an outcome in. The only such list in SQL; compared with guichets.outcomes.GROUP_OF by a test.';

-- Catalogue -----------------------------------------------------------------------------------------------------

CREATE TABLE departements (
    code text PRIMARY KEY,
    name text NOT NULL,
    region text NOT NULL,
    chef_lieu text NOT NULL,
    timezone text NOT NULL
);
COMMENT ON TABLE departements IS 'The départements of France, and 99 for the consulates abroad.';
COMMENT ON COLUMN departements.code IS 'INSEE code as text: 01 … 95, 2A, 2B, 971 … 976, 99.';
COMMENT ON COLUMN departements.timezone IS 'IANA name of the zone its people live in.';

CREATE TABLE offices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    departement text NOT NULL REFERENCES departements,
    name text NOT NULL,
    CONSTRAINT offices_departement_name_key UNIQUE (departement, name)
);
COMMENT ON TABLE offices IS 'A préfecture, sous-préfecture, mairie or consulate that receives people.';

CREATE TABLE hosts (
    host text PRIMARY KEY,
    forbidden boolean NOT NULL DEFAULT false,
    forbidden_why text,
    forbidden_by text CONSTRAINT hosts_forbidden_by_known CHECK (forbidden_by IN ('catalogue', 'operator')),
    min_delay_seconds double precision,
    crawl_delay_seconds double precision,
    next_request_at timestamptz,
    paused_until timestamptz,
    strikes integer NOT NULL DEFAULT 0,
    strikes_on date,
    robots_txt text,
    robots_status integer,
    robots_fetched_at timestamptz,
    lease_owner text,
    lease_expires_at timestamptz,
    fencing_token bigint NOT NULL DEFAULT 0,
    requests_today bigint NOT NULL DEFAULT 0,
    requests_on date,
    last_refusal_at timestamptz,
    failures integer NOT NULL DEFAULT 0,
    peak_per_minute integer NOT NULL DEFAULT 0,
    paused_seconds double precision NOT NULL DEFAULT 0
);
COMMENT ON TABLE hosts IS 'What is paced and leased: one row per host, shared by all workers. Database time rules.';
COMMENT ON COLUMN hosts.host IS 'name or name:port of a desk''s URL, lower case.';
COMMENT ON COLUMN hosts.forbidden IS 'True: no request may be sent to it.';
COMMENT ON COLUMN hosts.forbidden_by IS 'Who forbade it: catalogue (hosts.toml, undone by the files) or operator (stays).';
COMMENT ON COLUMN hosts.min_delay_seconds IS 'Least seconds between two requests, from hosts.toml; null: the setting alone.';
COMMENT ON COLUMN hosts.crawl_delay_seconds IS 'Crawl-delay of its robots.txt, in seconds; null: none was given.';
COMMENT ON COLUMN hosts.next_request_at IS 'No request before this instant; null: none was ever sent.';
COMMENT ON COLUMN hosts.paused_until IS 'After a refusal or Retry-After, no request before this instant.';
COMMENT ON COLUMN hosts.strikes IS 'Refusals (403, 429) on the day strikes_on.';
COMMENT ON COLUMN hosts.strikes_on IS 'Day of strikes, Europe/Paris.';
COMMENT ON COLUMN hosts.robots_status IS 'HTTP status of the last robots.txt; null: never read.';
COMMENT ON COLUMN hosts.lease_owner IS 'Worker that may talk to it until lease_expires_at; null: nobody.';
COMMENT ON COLUMN hosts.fencing_token IS 'Grows by one at each claim; a write that carries an older one touches no row.';
COMMENT ON COLUMN hosts.requests_today IS 'Requests sent on the day requests_on.';
COMMENT ON COLUMN hosts.requests_on IS 'Day of requests_today, peak_per_minute and paused_seconds, UTC.';
COMMENT ON COLUMN hosts.failures IS 'Failures (5xx, no answer) in a row: each doubles the delay.';
COMMENT ON COLUMN hosts.peak_per_minute IS 'Most requests within one minute on the day requests_on.';
COMMENT ON COLUMN hosts.paused_seconds IS 'Seconds of the pauses that began on the day requests_on.';

CREATE TABLE desks (
    id text PRIMARY KEY,
    family text NOT NULL,
    departement text NOT NULL REFERENCES departements,
    office_id bigint NOT NULL REFERENCES offices,
    procedure text NOT NULL,
    label text NOT NULL,
    url text NOT NULL,
    params jsonb NOT NULL DEFAULT '{}',
    host text NOT NULL REFERENCES hosts,
    valid_from date,
    valid_to date,
    moved_to text,
    source text,
    note text,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    next_due_at timestamptz NOT NULL DEFAULT now(),
    last_probed_at timestamptz,
    is_watched_closely boolean NOT NULL DEFAULT false,
    close_visits_at timestamptz[] NOT NULL DEFAULT '{}'
);
-- serves the claim of a host and the list of its due desks; partial, because closed desks are never due
CREATE INDEX desks_host_due_idx ON desks (host, next_due_at) WHERE closed_at IS NULL;
COMMENT ON INDEX desks_host_due_idx IS 'Serves the claim of a host and the list of its due desks.';
COMMENT ON TABLE desks IS 'One public booking form each. Never deleted: a desk that leaves the catalogue gets closed_at.';
COMMENT ON COLUMN desks.id IS 'Stable id of the catalogue, never reused.';
COMMENT ON COLUMN desks.family IS 'Booking platform: the name of its spider.';
COMMENT ON COLUMN desks.valid_from IS 'First day the form existed, as far as known, in the département''s zone.';
COMMENT ON COLUMN desks.opened_at IS 'When it first came with the catalogue.';
COMMENT ON COLUMN desks.closed_at IS 'When it left the catalogue; null: it is in it.';
COMMENT ON COLUMN desks.next_due_at IS 'Next baseline probe not before this instant.';
COMMENT ON COLUMN desks.last_probed_at IS 'Instant of its last probe of any purpose; null: none yet.';
COMMENT ON COLUMN desks.is_watched_closely IS
    'Whether its last visit was a watch probe inside a learnt release period: the next one may come sooner.';
COMMENT ON COLUMN desks.close_visits_at IS
    'When its visits that came within the form interval of the one before began: the last 60, the latest first.';

CREATE TABLE counters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    desk_id text NOT NULL REFERENCES desks,
    key text NOT NULL,
    label text,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    CONSTRAINT counters_desk_id_key_key UNIQUE (desk_id, key)
);
COMMENT ON TABLE counters IS 'Sub-choices found on a desk''s page at run time; they come and go.';
COMMENT ON COLUMN counters.key IS 'The platform''s own key of the sub-choice.';

CREATE TABLE channels (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    office_id bigint NOT NULL REFERENCES offices,
    departement text NOT NULL REFERENCES departements,
    procedure text NOT NULL,
    channel text NOT NULL
        CONSTRAINT channels_channel_known CHECK (channel IN ('online', 'phone', 'mail', 'post', 'counter')),
    exclusive boolean NOT NULL DEFAULT false,
    valid_from date,
    valid_to date,
    source text,
    note text,
    closed_at timestamptz,
    CONSTRAINT channels_natural_key UNIQUE NULLS NOT DISTINCT (office_id, procedure, channel, valid_from)
);
COMMENT ON TABLE channels IS 'How one can ask an office for an appointment at all, with dates.';
COMMENT ON COLUMN channels.exclusive IS 'True: it is the only way.';
COMMENT ON COLUMN channels.closed_at IS 'When it left the catalogue; null: it is in it.';

CREATE TABLE catalogue_versions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version text NOT NULL,
    program text NOT NULL,
    folder text NOT NULL,
    synced_at timestamptz NOT NULL,
    desks integer NOT NULL
);
COMMENT ON TABLE catalogue_versions IS 'Each catalogue that was synced, in order; the last one is in force.';
COMMENT ON COLUMN catalogue_versions.version IS 'SHA-256 over the catalogue''s files, in hexadecimal.';
COMMENT ON COLUMN catalogue_versions.program IS 'Version of Guichets that synced it.';
COMMENT ON COLUMN catalogue_versions.desks IS 'Desks it held.';

-- Whose turn it is ----------------------------------------------------------------------------------------------

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
    due_at timestamptz,
    CONSTRAINT baseline_visits_pkey PRIMARY KEY (desk_id, slot_starts_at)
);
-- serves begin_visit (was it begun already?) and coverage, from the observation to its slot
CREATE INDEX baseline_visits_probe_idx ON baseline_visits (probe);
COMMENT ON INDEX baseline_visits_probe_idx IS 'Serves begin_visit and coverage: the slot of an observation.';
COMMENT ON TABLE baseline_visits IS
    'The probe begun last for each desk and slot: one, whatever the workers do. Only these enter rates.';
COMMENT ON COLUMN baseline_visits.slot_starts_at IS 'Start of the slot in which the visit began.';
COMMENT ON COLUMN baseline_visits.probe IS 'observations.probe, once it has been observed.';
COMMENT ON COLUMN baseline_visits.fencing_token IS 'Of the lease it was begun under.';
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
            (
                SELECT
                    (local.midnight::date + make_interval(hours => pattern.day_from)) AT TIME ZONE zone AS starts_at,
                    (local.midnight::date + make_interval(hours => pattern.day_until)) AT TIME ZONE zone AS ends_at,
                    pattern.day_slot AS slot
                FROM baseline_patterns AS pattern
                WHERE pattern.since
                    < (local.midnight::date + make_interval(hours => pattern.day_until)) AT TIME ZONE zone
                ORDER BY pattern.since DESC
                LIMIT 1
            )
            UNION ALL
            (
                SELECT
                    (local.midnight::date + make_interval(hours => pattern.day_until)) AT TIME ZONE zone,
                    (local.midnight::date + 1 + make_interval(hours => pattern.day_from)) AT TIME ZONE zone,
                    pattern.night_slot
                FROM baseline_patterns AS pattern
                WHERE pattern.since
                    < (local.midnight::date + 1 + make_interval(hours => pattern.day_from)) AT TIME ZONE zone
                ORDER BY pattern.since DESC
                LIMIT 1
            )
        ) AS period
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

-- What was seen --------------------------------------------------------------------------------------------------

CREATE TABLE crawls (
    id uuid PRIMARY KEY,
    family text NOT NULL,
    worker text NOT NULL,
    version text NOT NULL,
    arguments jsonb NOT NULL DEFAULT '{}',
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    finish_reason text,
    stats jsonb,
    archive uuid
);
-- serves the latest crawl of `guichets db status` and of the dashboards
CREATE INDEX crawls_started_at_idx ON crawls (started_at DESC);
COMMENT ON INDEX crawls_started_at_idx IS 'Serves the latest crawl of `guichets db status` and of the dashboards.';
COMMENT ON TABLE crawls IS 'One run of one spider on one worker.';
COMMENT ON COLUMN crawls.finished_at IS 'Null: it still runs, or it was killed.';
COMMENT ON COLUMN crawls.stats IS 'Scrapy''s final statistics.';
COMMENT ON COLUMN crawls.archive IS 'Archive its pages went into; null: none, or not known.';

-- No foreign key leaves observations or slots: an observation that was made is never refused because of what
-- another table holds, and COPY stays cheap. Desks are never deleted, so desk_id always finds its row.
CREATE TABLE observations (
    id uuid NOT NULL,
    probe uuid NOT NULL,
    crawl uuid,
    desk_id text NOT NULL,
    counter_key text,
    counter_label text,
    family text NOT NULL,
    departement text NOT NULL,
    observed_at timestamptz NOT NULL,
    outcome outcome NOT NULL,
    rule text NOT NULL,
    purpose text NOT NULL
        CONSTRAINT observations_purpose_known CHECK (purpose IN ('baseline', 'watch', 'contributed')),
    step text,
    first_slot timestamptz,
    second_slot timestamptz,
    slot_has_time boolean,
    slot_count integer,
    horizon_end date,
    http_status integer,
    latency_ms integer,
    requests integer NOT NULL,
    evidence jsonb NOT NULL DEFAULT '[]',
    parser text NOT NULL,
    worker text NOT NULL,
    note text,
    host text NOT NULL,
    fencing_token bigint,
    supersedes uuid,
    contributor text,
    facts jsonb,
    CONSTRAINT observations_pkey PRIMARY KEY (id, observed_at)
) PARTITION BY RANGE (observed_at);
-- serves desk_status: one row from the newest partition that holds one; counters' lines are left out
CREATE INDEX observations_desk_latest_idx ON observations (desk_id, observed_at DESC) WHERE counter_key IS NULL;
-- serves statistics and exports over a period; rows arrive nearly in order, so a BRIN of a few pages is enough
CREATE INDEX observations_observed_at_brin ON observations USING brin (observed_at);
-- serves observations_in_force; nearly empty, because corrections are rare
CREATE INDEX observations_supersedes_idx ON observations (supersedes) WHERE supersedes IS NOT NULL;
COMMENT ON INDEX observations_desk_latest_idx IS 'Serves desk_status: the latest desk-level line of one desk.';
COMMENT ON INDEX observations_observed_at_brin IS 'Serves statistics and exports over a period.';
COMMENT ON INDEX observations_supersedes_idx IS 'Serves observations_in_force: is this one superseded?';
COMMENT ON TABLE observations IS
    'What one probe established about one desk or counter at one instant. Append only; partitioned by month, UTC.';
COMMENT ON COLUMN observations.id IS 'UUIDv7 made before the first request: writing it again changes nothing.';
COMMENT ON COLUMN observations.probe IS 'Shared by a desk''s line and its counters'' lines.';
COMMENT ON COLUMN observations.counter_key IS 'Null: the line of the desk as a whole.';
COMMENT ON COLUMN observations.observed_at IS 'When the answer had been read.';
COMMENT ON COLUMN observations.rule IS 'Stable id of the rule that decided.';
COMMENT ON COLUMN observations.purpose IS 'baseline: fixed statistical schedule, the only kind in rates; watch; contributed.';
COMMENT ON COLUMN observations.step IS 'Last step of the funnel that was read.';
COMMENT ON COLUMN observations.first_slot IS
    'Earliest date offered; where the platform shows no time, midnight of that day in the département''s zone.';
COMMENT ON COLUMN observations.second_slot IS 'Second earliest date offered, as first_slot.';
COMMENT ON COLUMN observations.slot_has_time IS 'False: first_slot and second_slot are days without a time.';
COMMENT ON COLUMN observations.slot_count IS 'Distinct slots seen; null where the platform does not tell.';
COMMENT ON COLUMN observations.horizon_end IS 'Last day the platform''s answer covers.';
COMMENT ON COLUMN observations.latency_ms IS 'Milliseconds of the last response.';
COMMENT ON COLUMN observations.requests IS 'Requests this line rests on that left the machine.';
COMMENT ON COLUMN observations.evidence IS
    'The responses it rests on, in order: url, status, sha256 and size (of the decoded body), and where each is archived: file, offset, length, record_id, digest (null without archive).';
COMMENT ON COLUMN observations.parser IS 'Family and version of the readers.';
COMMENT ON COLUMN observations.note IS 'Why a value was normalised or an outcome forced; not exported.';
COMMENT ON COLUMN observations.fencing_token IS 'Of the lease it was observed under.';
COMMENT ON COLUMN observations.supersedes IS
    'Id of the observation this one corrects, of the same observed_at: both stay, the corrected one counts no more.';
COMMENT ON COLUMN observations.contributor IS 'Id of the person who contributed the page; not exported.';
COMMENT ON COLUMN observations.facts IS
    'What else the pages told, by name: a text, or {"sha256": …} for a long one, which is in texts. Null: nothing. Never a secret; not exported.';

CREATE TABLE texts (
    sha256 text PRIMARY KEY,
    text text NOT NULL,
    CONSTRAINT texts_sha256_is_its_own CHECK (sha256 = encode(sha256(convert_to(text, 'UTF8')), 'hex'))
);
COMMENT ON TABLE texts IS 'Long texts that facts of observations name by their hash: each once, however often it was seen.';
COMMENT ON COLUMN texts.sha256 IS 'SHA-256 of the text in UTF-8, in hexadecimal.';

CREATE TABLE slots (
    observation_id uuid NOT NULL,
    observed_at timestamptz NOT NULL,
    starts_at timestamptz NOT NULL,
    has_time boolean NOT NULL,
    CONSTRAINT slots_pkey PRIMARY KEY (observation_id, observed_at, starts_at)
) PARTITION BY RANGE (observed_at);
COMMENT ON TABLE slots IS 'Every slot an observation saw; never published. Partitioned by month, UTC.';
COMMENT ON COLUMN slots.observed_at IS 'Of its observation, so that both lie in the same month.';
COMMENT ON COLUMN slots.starts_at IS 'Start of the appointment; without time, midnight in the département''s zone.';

-- What proves and corrects it -------------------------------------------------------------------------------------

CREATE TABLE seals (
    archive uuid NOT NULL,
    day date NOT NULL,
    records bigint NOT NULL,
    root text NOT NULL CONSTRAINT seals_root_is_sha256 CHECK (root ~ '^[0-9a-f]{64}$'),
    seal text NOT NULL CONSTRAINT seals_seal_is_sha256 CHECK (seal ~ '^[0-9a-f]{64}$'),
    sealed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT seals_pkey PRIMARY KEY (archive, day)
);
COMMENT ON TABLE seals IS 'The lines of each archive''s seals.txt, kept where who can write to the archive cannot change them.';
COMMENT ON COLUMN seals.archive IS 'The archive''s id, as its file archive/id says.';
COMMENT ON COLUMN seals.day IS 'UTC day of the records it seals.';
COMMENT ON COLUMN seals.root IS 'Root of the Merkle tree (RFC 6962) over the day''s records.';
COMMENT ON COLUMN seals.seal IS 'SHA-256 over the seal before, the day, the number of records and the root.';

CREATE TABLE evidence_holds (
    id uuid PRIMARY KEY,
    reason text NOT NULL CONSTRAINT evidence_holds_reason_given CHECK (reason <> ''),
    observation uuid,
    desk_id text,
    departement text,
    since timestamptz,
    until timestamptz,
    keep_until date,
    held_at timestamptz NOT NULL DEFAULT now(),
    released_at timestamptz,
    CONSTRAINT evidence_holds_names_something
        CHECK (num_nonnulls(observation, desk_id, departement, since, until) > 0)
);
COMMENT ON TABLE evidence_holds IS
    'Why archived pages stay beyond retention: a disputed observation, or those a published figure rests on.';
COMMENT ON COLUMN evidence_holds.observation IS 'The one observation held; null: all that match the other columns.';
COMMENT ON COLUMN evidence_holds.since IS 'Holds observations of this instant and later; null: from the first.';
COMMENT ON COLUMN evidence_holds.until IS 'Holds observations before this instant; null: to the last.';
COMMENT ON COLUMN evidence_holds.keep_until IS 'Last day it holds, UTC; null: until it is released.';
COMMENT ON COLUMN evidence_holds.released_at IS 'When somebody ended it; null: it holds.';

CREATE TABLE errata (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    parser_from text NOT NULL,
    parser_to text NOT NULL,
    changes jsonb NOT NULL,
    figures jsonb NOT NULL DEFAULT '[]',
    note text
);
COMMENT ON TABLE errata IS 'What reading the past again changed, dated: one row per replay that was applied.';
COMMENT ON COLUMN errata.parser_from IS 'Family and version of the readers whose observations were superseded.';
COMMENT ON COLUMN errata.parser_to IS 'Family and version of the readers that superseded them.';
COMMENT ON COLUMN errata.changes IS 'How many observations changed from which outcome to which.';
COMMENT ON COLUMN errata.figures IS 'Published figures that moved: what they were, what they are.';

CREATE FUNCTION ensure_partitions(from_instant timestamptz, months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC'
AS $function$
DECLARE
    parent text;
    partition text;
    month timestamptz;
    created integer := 0;
    ours CONSTANT oid := 'public'::regnamespace;
BEGIN
    IF months_ahead NOT BETWEEN 0 AND 120 THEN
        RAISE EXCEPTION 'ensure_partitions: months_ahead is %, expected 0 to 120', months_ahead;
    END IF;
    FOR month IN
        SELECT generate_series(
            date_trunc('month', from_instant),
            date_trunc('month', from_instant) + make_interval(months => months_ahead),
            interval '1 month'
        )
    LOOP
        FOREACH parent IN ARRAY ARRAY['observations', 'slots'] LOOP
            partition := parent || to_char(month, '_YYYY_MM');
            -- Read from the table, not by to_regclass, which would answer from a cache after the wait, and be
            -- deceived by a temporary table of that name. The usual case takes no lock at all.
            CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relname = partition AND relnamespace = ours);
            PERFORM pg_advisory_xact_lock(hashtextextended('guichets.partitions', 0));
            CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relname = partition AND relnamespace = ours);
            -- Built apart and attached: CREATE … PARTITION OF would lock out every reader and writer.
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition, parent);
            EXECUTE format(
                'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, partition, month, month + interval '1 month'
            );
            created := created + 1;
        END LOOP;
    END LOOP;
    RETURN created;
END
$function$;
COMMENT ON FUNCTION ensure_partitions(timestamptz, integer) IS
    'Makes the monthly partitions (UTC) from that instant''s month to months_ahead later; returns how many were made.';

-- What people read -----------------------------------------------------------------------------------------------

CREATE VIEW observations_in_force AS
SELECT observations.*
FROM observations
WHERE NOT EXISTS (
    SELECT
    FROM observations AS newer
    -- the instant is the same, so that one month is looked into
    WHERE newer.supersedes = observations.id AND newer.observed_at = observations.observed_at
);
COMMENT ON VIEW observations_in_force IS 'Observations but those that another one supersedes: what figures are made of.';

CREATE VIEW desk_status AS
SELECT
    desks.id AS desk_id,
    desks.family,
    desks.departement,
    offices.name AS office,
    desks.procedure,
    desks.label,
    desks.url,
    desks.host,
    latest.id AS observation_id,
    latest.observed_at,
    latest.outcome,
    outcome_group(latest.outcome) AS outcome_group,
    latest.rule,
    latest.purpose,
    latest.first_slot,
    latest.second_slot,
    latest.slot_has_time,
    latest.slot_count,
    latest.horizon_end,
    latest.http_status,
    latest.latency_ms
FROM desks
JOIN offices ON offices.id = desks.office_id
LEFT JOIN LATERAL (
    SELECT observations_in_force.*
    FROM observations_in_force
    WHERE observations_in_force.desk_id = desks.id AND observations_in_force.counter_key IS NULL
    ORDER BY observations_in_force.observed_at DESC
    LIMIT 1
) AS latest ON true
WHERE desks.closed_at IS NULL;
COMMENT ON VIEW desk_status IS 'Each desk of the catalogue with its latest desk-level observation, if any.';
COMMENT ON COLUMN desk_status.outcome_group IS 'The column people read it in; null: not yet observed.';

CREATE VIEW desk_facts AS
WITH told AS (
    SELECT line.desk_id, line.id, line.observed_at, fact.key AS name, fact.value
    FROM observations_in_force AS line
    CROSS JOIN LATERAL jsonb_each(line.facts) AS fact (key, value)
    WHERE line.counter_key IS NULL AND line.facts IS NOT NULL
), compared AS (
    SELECT
        told.*,
        lag(told.value) OVER (PARTITION BY told.desk_id, told.name ORDER BY told.observed_at, told.id)
            IS DISTINCT FROM told.value AS is_new
    FROM told
), numbered AS (
    SELECT
        compared.*,
        count(*) FILTER (WHERE compared.is_new)
            OVER (PARTITION BY compared.desk_id, compared.name ORDER BY compared.observed_at, compared.id) AS stretch
    FROM compared
), stretches AS (
    SELECT
        numbered.desk_id,
        numbered.name,
        numbered.stretch,
        numbered.value,
        min(numbered.observed_at) AS first_seen_at,
        max(numbered.observed_at) AS last_seen_at,
        count(*) AS observations
    FROM numbered
    GROUP BY numbered.desk_id, numbered.name, numbered.stretch, numbered.value
), dated AS (
    SELECT
        stretches.*,
        lag(stretches.value) OVER (PARTITION BY stretches.desk_id, stretches.name ORDER BY stretches.stretch) AS previous
    FROM stretches
)
SELECT
    dated.desk_id,
    dated.name,
    coalesce(own.text, dated.value #>> '{}') AS value,
    dated.value ->> 'sha256' AS sha256,
    dated.first_seen_at,
    dated.last_seen_at,
    dated.observations,
    coalesce(before.text, dated.previous #>> '{}') AS previous_value,
    dated.previous ->> 'sha256' AS previous_sha256
FROM dated
LEFT JOIN texts AS own ON own.sha256 = dated.value ->> 'sha256'
LEFT JOIN texts AS before ON before.sha256 = dated.previous ->> 'sha256';
COMMENT ON VIEW desk_facts IS
    'What a desk''s pages told beside the outcome, one row per value and the time it stood: a change is a row with a previous value. By observations of the desk as a whole, in force.';
COMMENT ON COLUMN desk_facts.value IS 'The text, whole.';
COMMENT ON COLUMN desk_facts.sha256 IS 'Of a long text; null for a short one.';
COMMENT ON COLUMN desk_facts.last_seen_at IS 'When it was last seen before another value was, or so far.';
COMMENT ON COLUMN desk_facts.observations IS 'How many observations told it in that time.';
COMMENT ON COLUMN desk_facts.previous_value IS 'What stood there before; null: nothing yet.';

CREATE FUNCTION departement_status_at(at timestamptz)
RETURNS TABLE (
    departement text,
    name text,
    region text,
    desks bigint,
    offered bigint,
    "none" bigint,
    closed bigint,
    dysfunction bigint,
    barrier bigint,
    unrecognised bigint,
    other bigint,
    not_yet_observed bigint,
    first_slot timestamptz,
    second_slot timestamptz,
    last_observed_at timestamptz,
    first_slot_has_time boolean,
    second_slot_has_time boolean
)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH status AS MATERIALIZED (
        SELECT * FROM desk_status
    ), dates AS (
        SELECT DISTINCT ON (status.departement, slot.starts_at)
            status.departement, slot.starts_at, status.slot_has_time
        FROM status
        CROSS JOIN LATERAL (VALUES (status.first_slot), (status.second_slot)) AS slot (starts_at)
        WHERE status.outcome = 'offered'
          -- a day without a time is in the future until that day is over
          AND slot.starts_at > CASE WHEN status.slot_has_time THEN at ELSE at - interval '1 day' END
        ORDER BY status.departement, slot.starts_at, status.slot_has_time DESC
    ), ranked AS (
        SELECT
            dates.*,
            row_number() OVER (PARTITION BY dates.departement ORDER BY dates.starts_at) AS rank
        FROM dates
    ), counted AS (
        SELECT
            status.departement,
            count(*) AS desks,
            count(*) FILTER (WHERE status.outcome_group = 'offered') AS offered,
            count(*) FILTER (WHERE status.outcome_group = 'none') AS "none",
            count(*) FILTER (WHERE status.outcome_group = 'closed') AS closed,
            count(*) FILTER (WHERE status.outcome_group = 'dysfunction') AS dysfunction,
            count(*) FILTER (WHERE status.outcome_group = 'barrier') AS barrier,
            count(*) FILTER (WHERE status.outcome_group = 'unrecognised') AS unrecognised,
            count(*) FILTER (WHERE status.outcome_group = 'other') AS other,
            count(*) FILTER (WHERE status.outcome IS NULL) AS not_yet_observed,
            max(status.observed_at) AS last_observed_at
        FROM status
        GROUP BY status.departement
    )
    SELECT
        departements.code,
        departements.name,
        departements.region,
        counted.desks,
        counted.offered,
        counted."none",
        counted.closed,
        counted.dysfunction,
        counted.barrier,
        counted.unrecognised,
        counted.other,
        counted.not_yet_observed,
        first.starts_at,
        second.starts_at,
        counted.last_observed_at,
        first.slot_has_time,
        second.slot_has_time
    FROM counted
    JOIN departements ON departements.code = counted.departement
    LEFT JOIN ranked AS first ON first.departement = counted.departement AND first.rank = 1
    LEFT JOIN ranked AS second ON second.departement = counted.departement AND second.rank = 2
    ORDER BY departements.code;
END;
COMMENT ON FUNCTION departement_status_at(timestamptz) IS
    'The latest status of each département that has desks; slots count when they lie after that instant.';

CREATE VIEW departement_status AS SELECT * FROM departement_status_at(now());
COMMENT ON VIEW departement_status IS 'One line per département that has desks: latest outcomes and next dates.';
COMMENT ON COLUMN departement_status.first_slot IS 'Earliest future date among desks whose latest outcome is offered.';
COMMENT ON COLUMN departement_status.second_slot IS 'The next distinct date after first_slot.';
COMMENT ON COLUMN departement_status.not_yet_observed IS 'Desks without any observation: missing, not zero.';

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

CREATE TABLE delay_totals (
    family text PRIMARY KEY,
    visits bigint NOT NULL,
    seconds_sum double precision NOT NULL,
    seconds_histogram bigint[] NOT NULL
);
COMMENT ON TABLE delay_totals IS 'From due to done, of baseline visits; these numbers only grow.';
COMMENT ON COLUMN delay_totals.seconds_histogram IS
    'Visits done at most 60, 300, 900, 1800, 3600, 7200 s after they were due, and later; each once.';

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
            max(slots.ends_at) AS last_at,
            array_agg(slots.starts_at) AS starts, array_agg(slots.ends_at) AS ends
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
                FROM unnest(whole.starts, whole.ends) AS slot (starts_at, ends_at)
                WHERE slot.starts_at >= desks.opened_at
                    AND (desks.closed_at IS NULL OR slot.ends_at <= desks.closed_at)
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
SELECT 1 AS days, figures.*
FROM availability_between((now() AT TIME ZONE 'Europe/Paris')::date - 1, (now() AT TIME ZONE 'Europe/Paris')::date + 1) AS figures
UNION ALL
SELECT 7 AS days, figures.*
FROM availability_between((now() AT TIME ZONE 'Europe/Paris')::date - 7, (now() AT TIME ZONE 'Europe/Paris')::date + 1) AS figures
UNION ALL
SELECT 30 AS days, figures.*
FROM availability_between((now() AT TIME ZONE 'Europe/Paris')::date - 30, (now() AT TIME ZONE 'Europe/Paris')::date + 1) AS figures;
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

-- Watch probes ---------------------------------------------------------------------------------------------------

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
) WITH (autovacuum_vacuum_scale_factor = 0.05);
-- serves drop_old: what is over a year old; rows come in order of time
CREATE INDEX watch_probes_begun_brin ON watch_probes USING brin (begun_at);
COMMENT ON INDEX watch_probes_begun_brin IS 'Serves drop_old: what is over a year old; rows come in order of time.';
COMMENT ON TABLE watch_probes IS
    'Each planned watch probe that was begun: why, and with which sampling weight; kept for 400 days. Never in a rate. A watch observation of that time without a row here comes from a crawl of every desk.';
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

CREATE FUNCTION close_visits_left(close_visits_at timestamptz[]) RETURNS integer
LANGUAGE sql STABLE
RETURN CASE
    WHEN close_visits_at[60] > now() - interval '24 hours' THEN 0
    WHEN close_visits_at[59] > now() - interval '24 hours' THEN 1
    ELSE 2
END;
COMMENT ON FUNCTION close_visits_left(timestamptz[]) IS
    'How many more visits of a desk may begin now within the form interval of the one before, 2 for more: rule 2, 60 in any 24 hours.';

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
            close_visits_left(desks.close_visits_at), form_interval
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

-- Who may do what ------------------------------------------------------------------------------------------------

REVOKE EXECUTE ON FUNCTION ensure_partitions(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_partitions(timestamptz, integer) TO guichets_writer;

GRANT SELECT ON
    alembic_version, departements, offices, hosts, desks, counters, channels, catalogue_versions,
    crawls, observations, slots, seals, evidence_holds, errata,
    observations_in_force, desk_status, departement_status,
    host_queue, host_events, baseline_patterns, baseline_visits, baseline_observations, coverage
TO guichets_reader, guichets_writer;

GRANT INSERT, UPDATE ON
    departements, offices, hosts, desks, counters, channels, crawls, host_queue
TO guichets_writer;

-- What was observed or synced is never changed or deleted by a crawl.
GRANT INSERT ON catalogue_versions, observations, slots TO guichets_writer;

GRANT SELECT ON texts, desk_facts TO guichets_reader, guichets_writer;
-- A text that was seen is never changed or deleted.
GRANT INSERT ON texts TO guichets_writer;

-- What was sealed, held or corrected is never changed; a hold may be released.
GRANT INSERT ON seals, evidence_holds, errata TO guichets_writer;
GRANT UPDATE (released_at) ON evidence_holds TO guichets_writer;

-- What was done to a host is never changed; a visit that a dead worker began may be begun again.
GRANT INSERT ON host_events, baseline_patterns, baseline_visits TO guichets_writer;
GRANT UPDATE (begun_at, probe, fencing_token) ON baseline_visits TO guichets_writer;

-- Rollups are derived: a crawl leaves word, and whoever reads figures may have them brought up to date.
GRANT SELECT ON
    rollup_queue, daily_outcomes, probe_totals, crawl_totals, nodes_seen, versions_seen, desk_days
TO guichets_reader, guichets_writer;
GRANT INSERT ON rollup_queue TO guichets_writer;
REVOKE EXECUTE ON FUNCTION recompute_days(text[], date[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION refresh_rollups(integer, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION refresh_rollups(integer, boolean) TO guichets_reader, guichets_writer;

GRANT SELECT ON
    watch_planner, watch_states, watch_queue, watch_probes, watch_totals, watch_rests,
    desk_releases, release_hours, host_watch
TO guichets_reader, guichets_writer;
GRANT INSERT, UPDATE ON watch_states TO guichets_writer;
GRANT UPDATE ON watch_planner, watch_totals TO guichets_writer;
-- A plan is no fact: it goes when it is carried out or too late. Why a visit was made goes when it is over a year old; what
-- it saw stays.
GRANT INSERT, DELETE ON watch_queue, watch_probes TO guichets_writer;

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
GRANT SELECT ON
    desk_queue, desk_freshness, availability, availability_now, outcome_days, desk_hours, host_ledger, markers,
    delay_totals
TO guichets_reader, guichets_writer;

INSERT INTO alembic_version (version_num) VALUES ('0013');
