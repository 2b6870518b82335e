-- 0004 before the code: a visit that a dead worker began may be begun again, and the slot is then the new one's.

GRANT UPDATE (begun_at, probe, fencing_token) ON baseline_visits TO guichets_writer;
COMMENT ON TABLE baseline_visits IS
    'The probe begun last for each desk and slot: one, whatever the workers do. Only these enter rates.';
