-- 0012 before the code: watch probes of over a year ago are dropped: their observations stay.

ALTER TABLE watch_probes SET (autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON INDEX watch_probes_begun_brin IS 'Serves drop_old: what is over a year old; rows come in order of time.';
COMMENT ON TABLE watch_probes IS
    'Each planned watch probe that was begun: why, and with which sampling weight; kept for 400 days. Never in a rate. A watch observation of that time without a row here comes from a crawl of every desk.';
-- Why a visit was made goes when it is over a year old; what it saw stays.
GRANT DELETE ON watch_probes TO guichets_writer;
