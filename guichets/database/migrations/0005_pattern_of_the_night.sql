-- 0005 before the code: a pattern of slots holds for the whole of the day, or of the night, in which it came.

CREATE OR REPLACE FUNCTION baseline_slots(zone text, from_day date, until_day date)
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
