-- incoming_observations --
-- Where COPY puts a batch before it is merged; idempotence needs ON CONFLICT, which COPY lacks.
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_observations (LIKE observations INCLUDING DEFAULTS) ON COMMIT DELETE ROWS;

-- incoming_slots --
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_slots (LIKE slots INCLUDING DEFAULTS) ON COMMIT DELETE ROWS;

-- ensure_partitions --
-- The months of a batch, and two more ahead.
SELECT ensure_partitions(%(instant)s, 2);

-- keep_text --
-- A long text of a fact, once; observations name it by its hash.
INSERT INTO texts (sha256, text) VALUES (%(sha256)s, %(text)s) ON CONFLICT DO NOTHING;

-- merge_observations --
-- Writing an observation again changes nothing.
INSERT INTO observations SELECT * FROM incoming_observations ON CONFLICT DO NOTHING;

-- merge_slots --
INSERT INTO slots SELECT * FROM incoming_slots ON CONFLICT DO NOTHING;

-- merge_counters --
-- Counters come and go: each is remembered with the first and the last time it was seen.
INSERT INTO counters (desk_id, key, label, first_seen_at, last_seen_at)
SELECT
    incoming.desk_id,
    incoming.counter_key,
    (array_agg(incoming.counter_label ORDER BY incoming.observed_at DESC))[1],
    min(incoming.observed_at),
    max(incoming.observed_at)
FROM incoming_observations AS incoming
JOIN desks ON desks.id = incoming.desk_id
WHERE incoming.counter_key IS NOT NULL
GROUP BY incoming.desk_id, incoming.counter_key
ORDER BY incoming.desk_id, incoming.counter_key
ON CONFLICT (desk_id, key) DO UPDATE
SET label = CASE
        WHEN excluded.last_seen_at >= counters.last_seen_at THEN excluded.label ELSE counters.label
    END,
    first_seen_at = least(counters.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(counters.last_seen_at, excluded.last_seen_at);
