-- What the site and the open data read: the views of public_data, and nothing else.

-- departements --
SELECT code, name, region, chef_lieu, timezone, published_until FROM public_data.departements ORDER BY code

-- desks --
SELECT
    id, family, departement, office, procedure, label, url, valid_from, valid_to, moved_to, source, observed_since,
    observed_until
FROM public_data.desks
ORDER BY departement, office, procedure, id

-- channels --
SELECT departement, office, procedure, channel, exclusive, valid_from, valid_to, source
FROM public_data.channels
ORDER BY departement, office, procedure, channel, valid_from NULLS FIRST

-- desk_days --
-- In the order of the fields of guichets.statistics.facts.Counts.
SELECT
    desk_id, day, slots_due, observed, offered, "none", closed, open, moved, captcha, blocked, overloaded, unreachable,
    gone, unrecognised, rated_night, offered_night, tried_human, offered_human, pairs_day, pairs_edge, pairs_night,
    gap_minutes
FROM public_data.desk_days
ORDER BY desk_id, day

-- desk_days_between --
-- The same of some days.
SELECT
    desk_id, day, slots_due, observed, offered, "none", closed, open, moved, captcha, blocked, overloaded, unreachable,
    gone, unrecognised, rated_night, offered_night, tried_human, offered_human, pairs_day, pairs_edge, pairs_night,
    gap_minutes
FROM public_data.desk_days
WHERE day BETWEEN %(first)s AND %(last)s
ORDER BY desk_id, day

-- desk_delays --
SELECT desk_id, month, days, firsts, seconds FROM public_data.desk_delays ORDER BY desk_id, month, days

-- openings --
SELECT desk_id, quarter, at_least_minutes, at_most_minutes FROM public_data.openings ORDER BY desk_id, quarter, 3, 4

-- releases --
SELECT departement, quarter, weekday, part, openings FROM public_data.releases ORDER BY departement, quarter, weekday, part

-- errata --
SELECT id, day, parser_from, parser_to, observations, outcomes, desks, figures, note
FROM public_data.errata
ORDER BY day DESC, id
