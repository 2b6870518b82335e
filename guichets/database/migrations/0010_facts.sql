-- 0010 before the code: what pages tell of a desk beside the outcome, dated; long texts are kept once.

CREATE TABLE texts (
    sha256 text PRIMARY KEY,
    text text NOT NULL,
    CONSTRAINT texts_sha256_is_its_own CHECK (sha256 = encode(sha256(convert_to(text, 'UTF8')), 'hex'))
);
COMMENT ON TABLE texts IS 'Long texts that facts of observations name by their hash: each once, however often it was seen.';
COMMENT ON COLUMN texts.sha256 IS 'SHA-256 of the text in UTF-8, in hexadecimal.';

ALTER TABLE observations ADD COLUMN facts jsonb;
COMMENT ON COLUMN observations.facts IS
    'What else the pages told, by name: a text, or {"sha256": …} for a long one, which is in texts. Null: nothing. Never a secret; not exported.';

CREATE OR REPLACE VIEW observations_in_force AS
SELECT observations.*
FROM observations
WHERE NOT EXISTS (
    SELECT
    FROM observations AS newer
    -- the instant is the same, so that one month is looked into
    WHERE newer.supersedes = observations.id AND newer.observed_at = observations.observed_at
);

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

CREATE OR REPLACE VIEW baseline_observations AS
SELECT baseline_visits.slot_starts_at, observations_in_force.*
FROM baseline_visits
JOIN observations_in_force ON observations_in_force.probe = baseline_visits.probe;

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

GRANT SELECT ON texts, desk_facts TO guichets_reader, guichets_writer;
-- A text that was seen is never changed or deleted.
GRANT INSERT ON texts TO guichets_writer;
