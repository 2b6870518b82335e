-- lock --
-- One sync at a time in this database; held until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('guichets.sync_catalogue', 0));

-- last_version --
SELECT version, program, desks FROM catalogue_versions ORDER BY id DESC LIMIT 1;

-- taken_back --
-- Where the catalogue in force came from and when, if ours was in force before it: a return, not a change.
SELECT latest.folder, latest.synced_at
FROM (SELECT version, folder, synced_at FROM catalogue_versions ORDER BY id DESC LIMIT 1) AS latest
WHERE latest.version <> %(version)s
    AND EXISTS (SELECT FROM catalogue_versions AS earlier WHERE earlier.version = %(version)s);

-- add_version --
INSERT INTO catalogue_versions (version, program, folder, synced_at, desks)
VALUES (%(version)s, %(program)s, %(folder)s, %(now)s, %(desks)s);

-- upsert_departement --
INSERT INTO departements (code, name, region, chef_lieu, timezone)
VALUES (%(code)s, %(name)s, %(region)s, %(chef_lieu)s, %(timezone)s)
ON CONFLICT (code) DO UPDATE
SET name = excluded.name, region = excluded.region, chef_lieu = excluded.chef_lieu, timezone = excluded.timezone
WHERE (departements.name, departements.region, departements.chef_lieu, departements.timezone)
    IS DISTINCT FROM (excluded.name, excluded.region, excluded.chef_lieu, excluded.timezone);

-- offices --
SELECT departement, name, id FROM offices;

-- add_office --
INSERT INTO offices (departement, name) VALUES (%(departement)s, %(name)s);

-- hosts --
SELECT host, min_delay_seconds, forbidden, forbidden_why, forbidden_by FROM hosts;

-- add_host --
-- A crawl that meets a new host may be quicker.
INSERT INTO hosts (host) VALUES (%(host)s) ON CONFLICT DO NOTHING;

-- rule_host --
-- What hosts.toml says; the host's pace, lease and robots.txt are left alone.
UPDATE hosts
SET min_delay_seconds = %(min_delay_seconds)s,
    forbidden = %(forbidden)s,
    forbidden_why = %(forbidden_why)s,
    forbidden_by = %(forbidden_by)s
WHERE host = %(host)s;

-- desks --
SELECT
    id, family, departement, office_id, procedure, label, url, params, host,
    valid_from, valid_to, moved_to, source, note, closed_at IS NOT NULL AS is_closed
FROM desks;

-- add_desk --
INSERT INTO desks (
    id, family, departement, office_id, procedure, label, url, params, host,
    valid_from, valid_to, moved_to, source, note, opened_at, next_due_at
) VALUES (
    %(id)s, %(family)s, %(departement)s, %(office_id)s, %(procedure)s, %(label)s, %(url)s, %(params)s, %(host)s,
    %(valid_from)s, %(valid_to)s, %(moved_to)s, %(source)s, %(note)s, %(now)s, %(now)s
);

-- change_desk --
-- Its due time is kept: a corrected label is no reason for a visit. One that comes back is due at once.
UPDATE desks
SET family = %(family)s, departement = %(departement)s, office_id = %(office_id)s, procedure = %(procedure)s,
    label = %(label)s, url = %(url)s, params = %(params)s, host = %(host)s, valid_from = %(valid_from)s,
    valid_to = %(valid_to)s, moved_to = %(moved_to)s, source = %(source)s, note = %(note)s,
    next_due_at = CASE WHEN closed_at IS NULL THEN next_due_at ELSE %(now)s END,
    closed_at = NULL
WHERE id = %(id)s;

-- close_desk --
UPDATE desks SET closed_at = %(now)s WHERE id = %(id)s AND closed_at IS NULL;

-- channels --
SELECT id, office_id, departement, procedure, channel, exclusive, valid_from, valid_to, source, note,
    closed_at IS NOT NULL AS is_closed
FROM channels;

-- add_channel --
INSERT INTO channels (office_id, departement, procedure, channel, exclusive, valid_from, valid_to, source, note)
VALUES (
    %(office_id)s, %(departement)s, %(procedure)s, %(channel)s, %(exclusive)s,
    %(valid_from)s, %(valid_to)s, %(source)s, %(note)s
);

-- change_channel --
UPDATE channels
SET departement = %(departement)s, exclusive = %(exclusive)s, valid_to = %(valid_to)s, source = %(source)s,
    note = %(note)s, closed_at = NULL
WHERE id = %(id)s;

-- close_channel --
UPDATE channels SET closed_at = %(now)s WHERE id = %(id)s AND closed_at IS NULL;
