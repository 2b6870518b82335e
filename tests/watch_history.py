"""A past of visits for desks, put straight into a test's database, from which there is something to learn."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

HISTORY = """
INSERT INTO observations (
    id, probe, desk_id, family, departement, observed_at, outcome, rule, purpose, requests, parser, worker,
    host
)
SELECT
    gen_random_uuid(), gen_random_uuid(), desks.id, desks.family, desks.departement, visit.at,
    CASE
        WHEN %(outcome)s::text IS NOT NULL THEN %(outcome)s::text
        WHEN mod(mod(visit.seconds_after, 86400) + 86400, 86400) < %(open_seconds)s THEN 'offered'
        ELSE 'none'
    END::outcome,
    'test.rule', 'baseline', 4, desks.family || '@1', 'test', desks.host
FROM desks
JOIN departements ON departements.code = desks.departement
CROSS JOIN LATERAL (
    SELECT
        made.at,
        extract(epoch FROM (made.at AT TIME ZONE timezone) - (%(opens_at)s AT TIME ZONE timezone))
            AS seconds_after
    FROM generate_series(
        now() - %(days)s * interval '1 day', now() - interval '20 minutes', %(every)s
    ) AS made (at)
) AS visit
WHERE desks.id = %(desk)s
    AND (NOT %(only_near)s OR mod(mod(visit.seconds_after + 1800, 86400) + 86400, 86400) < 4500)
"""


def seed_history(
    connection: psycopg.Connection[Any],
    desk: str,
    *,
    days: int,
    every: timedelta,
    opens_at: datetime | None = None,
    open_minutes: float = 12,
    outcome: str | None = None,
    only_near: bool = False,
) -> None:
    """Visits of the last ``days``: it opens every day at ``opens_at``, in local time, or has one outcome.

    ``only_near``: visits from half an hour before an opening to three quarters after it alone.
    """
    connection.execute("SELECT ensure_partitions(now() - %s * interval '1 day', %s)", [days, days // 28 + 2])
    connection.execute(
        HISTORY,
        {
            "desk": desk,
            "days": days,
            "every": every,
            "opens_at": opens_at,
            "open_seconds": open_minutes * 60 if opens_at is not None else 0,
            "only_near": only_near,
            "outcome": outcome if outcome is not None or opens_at is not None else "none",
        },
    )
