-- 0009 before the code: desks that came during a day cost a walk through all slots each; a fresh catalogue is all such.

CREATE OR REPLACE FUNCTION slots_due_between(from_day date, until_day date)
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

-- planned period by period
CREATE OR REPLACE VIEW availability AS
SELECT 1 AS days, figures.*
FROM availability_between((now() AT TIME ZONE 'Europe/Paris')::date - 1, (now() AT TIME ZONE 'Europe/Paris')::date + 1) AS figures
UNION ALL
SELECT 7 AS days, figures.*
FROM availability_between((now() AT TIME ZONE 'Europe/Paris')::date - 7, (now() AT TIME ZONE 'Europe/Paris')::date + 1) AS figures
UNION ALL
SELECT 30 AS days, figures.*
FROM availability_between((now() AT TIME ZONE 'Europe/Paris')::date - 30, (now() AT TIME ZONE 'Europe/Paris')::date + 1) AS figures;
