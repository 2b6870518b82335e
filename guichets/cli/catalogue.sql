-- over_days --
-- Days of each open desk on which visits could tell, and whether all of them found it gone or moved.
SELECT
    days.desk_id AS desk,
    days.day,
    bool_and(days.outcome IN ('gone', 'moved')) AS is_over
FROM daily_outcomes AS days
JOIN desks ON desks.id = days.desk_id
WHERE
    days.counter_key IS NULL
    AND desks.closed_at IS NULL
    AND days.day >= %(since)s
    AND days.purpose <> 'contributed'
    AND is_conclusive(days.outcome)
    AND days.outcome NOT IN ('overloaded', 'unreachable')
GROUP BY days.desk_id, days.day;

-- last_over --
-- The latest visit that found the desk gone or moved: what a proposal rests on.
SELECT id, outcome::text, note
FROM observations
WHERE desk_id = %(desk)s AND counter_key IS NULL AND observed_at >= %(since)s AND outcome IN ('gone', 'moved')
ORDER BY observed_at DESC
LIMIT 1;
