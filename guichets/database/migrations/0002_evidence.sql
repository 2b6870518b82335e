-- 0002 before the code: seals, holds and errata; an observation may supersede another, or come from a contributor.

ALTER TABLE observations ADD COLUMN supersedes uuid;
ALTER TABLE observations ADD COLUMN contributor text;
COMMENT ON COLUMN observations.supersedes IS
    'Id of the observation this one corrects, of the same observed_at: both stay, the corrected one counts no more.';
COMMENT ON COLUMN observations.contributor IS 'Id of the person who contributed the page; not exported.';
COMMENT ON COLUMN observations.evidence IS
    'The responses it rests on, in order: url, status, sha256 and size (of the decoded body), and where each is archived: file, offset, length, record_id, digest (null without archive).';

-- serves observations_in_force; nearly empty, because corrections are rare
CREATE INDEX observations_supersedes_idx ON observations (supersedes) WHERE supersedes IS NOT NULL;
COMMENT ON INDEX observations_supersedes_idx IS 'Serves observations_in_force: is this one superseded?';

ALTER TABLE crawls ADD COLUMN archive uuid;
COMMENT ON COLUMN crawls.archive IS 'Archive its pages went into; null: none, or not known.';

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

CREATE OR REPLACE VIEW desk_status AS
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

GRANT SELECT ON seals, evidence_holds, errata, observations_in_force TO guichets_reader, guichets_writer;

-- What was sealed, held or corrected is never changed; a hold may be released.
GRANT INSERT ON seals, evidence_holds, errata TO guichets_writer;
GRANT UPDATE (released_at) ON evidence_holds TO guichets_writer;
