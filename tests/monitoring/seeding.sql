-- Queries of tests/monitoring/seeding.py.

-- departements --
INSERT INTO departements
SELECT * FROM unnest(%(codes)s::text[], %(names)s::text[], %(regions)s::text[], %(towns)s::text[], %(zones)s::text[])
ON CONFLICT DO NOTHING;

-- offices --
INSERT INTO offices (departement, name) SELECT code, 'Préfecture de ' || name FROM departements ON CONFLICT DO NOTHING;

-- hosts --
INSERT INTO hosts (host, requests_today, requests_on, peak_per_minute, robots_status, robots_fetched_at)
SELECT 'site-' || n || '.example', n, (now() AT TIME ZONE 'UTC')::date, 1 + n % 6, 200, now()
FROM generate_series(0, {hosts} - 1) AS n;

-- desks --
INSERT INTO desks (id, family, departement, office_id, procedure, label, url, host, opened_at, next_due_at)
SELECT
    'desk-' || n,
    (%(families)s::text[])[1 + n %% cardinality(%(families)s::text[])],
    place.departement,
    place.id,
    (%(procedures)s::text[])[1 + (n / place.places) %% cardinality(%(procedures)s::text[])],
    'Guichet ' || n,
    'https://site-' || n %% %(hosts)s || '.example/' || n,
    'site-' || n %% %(hosts)s || '.example',
    %(opened)s,
    now() + (n %% 60) * interval '1 minute'
FROM generate_series(0, %(desks)s - 1) AS n
JOIN (
    SELECT departement, id, row_number() OVER (ORDER BY departement) - 1 AS place, count(*) OVER () AS places
    FROM offices
) AS place ON place.place = n %% place.places;

-- visits --
-- Each desk in eighteen slots of a day: fifteen by day, three at night, as far as they are past.
INSERT INTO baseline_visits (desk_id, slot_starts_at, begun_at, probe, fencing_token)
SELECT
    desks.id, at, at,
    (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008'
        || substr(md5(desks.id || ' ' || at), 1, 15))::uuid,
    1
FROM desks
CROSS JOIN generate_series(
    %(day)s::date + interval '5 hours', %(day)s::date + interval '22 hours', interval '1 hour'
) AS slot (at)
WHERE at < now() - interval '1 minute' AND desks.id LIKE 'desk-%%'
ON CONFLICT DO NOTHING;

-- observations --
-- A state lasts three hours; an eighth of the desks never change.
INSERT INTO observations (
    id, probe, desk_id, family, departement, observed_at, outcome, rule, purpose, step, first_slot, second_slot,
    slot_has_time, slot_count, http_status, latency_ms, requests, evidence, parser, worker, host
)
SELECT
    visit.probe, visit.probe, desks.id, desks.family, desks.departement, visit.begun_at + interval '40 seconds',
    drawn.outcome, desks.family || '.' || drawn.outcome, 'baseline', (dice %% 3)::text,
    CASE WHEN drawn.outcome = 'offered' THEN visit.begun_at + (1 + dice %% 60) * interval '1 day' END,
    CASE WHEN drawn.outcome = 'offered' THEN visit.begun_at + (2 + dice %% 60) * interval '1 day' END,
    CASE WHEN drawn.outcome = 'offered' THEN true END,
    CASE WHEN drawn.outcome = 'offered' THEN 1 + dice %% 30 END,
    200, 200 + dice %% 900, 3, '[{"size": 20000}, {"size": 15000}]', desks.family || '@1',
    'node-' || dice %% 3 || '-4242', desks.host
FROM baseline_visits AS visit
JOIN desks ON desks.id = visit.desk_id
CROSS JOIN LATERAL (
    SELECT (hashtextextended(
        desks.id || date_bin('3 hours', visit.slot_starts_at, '2020-01-01 00:00+00'), 7
    ) & 1023)::integer AS dice
) AS thrown
CROSS JOIN LATERAL (
    SELECT (CASE
        WHEN hashtextextended(desks.id, 1) & 7 = 0 THEN 'none'
        WHEN dice < 90 THEN 'offered' WHEN dice < 760 THEN 'none' WHEN dice < 820 THEN 'closed'
        WHEN dice < 870 THEN 'captcha' WHEN dice < 900 THEN 'blocked' WHEN dice < 950 THEN 'overloaded'
        WHEN dice < 990 THEN 'unreachable' WHEN dice < 1005 THEN 'unrecognised' WHEN dice < 1015 THEN 'open'
        ELSE 'observer_fault'
    END)::outcome AS outcome
) AS drawn
WHERE visit.slot_starts_at >= %(day)s::date AND visit.slot_starts_at < %(day)s::date + 1
ON CONFLICT DO NOTHING;

-- count_days --
SELECT recompute_days(array_agg(desks.id), array_agg(day::date))
FROM desks CROSS JOIN generate_series(%(day)s::date, %(day)s::date + 1, interval '1 day') AS day;

-- totals --
INSERT INTO probe_totals
SELECT
    family, outcome, rule, step, count(*), sum(requests), ARRAY[0, 0, 0, count(*), 0, 0, 0, 0],
    35000 * count(*), count(*), 40 * count(*), ARRAY[0, 0, 0, 0, 0, count(*), 0, 0, 0], 0
FROM observations
GROUP BY family, outcome, rule, step;

-- nodes --
INSERT INTO nodes_seen
SELECT regexp_replace(worker, '-[0-9]+$', '') AS node, max(observed_at), max(observed_at), min(parser)
FROM observations
WHERE observed_at > now() - interval '2 days'
GROUP BY 1;

-- parsers --
INSERT INTO versions_seen
SELECT 'parser', family, parser, min(observed_at), max(observed_at) FROM observations GROUP BY family, parser;
