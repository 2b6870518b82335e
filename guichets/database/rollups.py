"""Keeps the rollups: what was written since last time goes into the tables that figures are read from.

Anybody may call it, as often as they like: the exporter does every quarter of a minute, a crawl at its
end, `guichets db rollup`, and whatever publishes figures before it reads. Two at once do not disturb each
other, and a day counted twice is counted the same: see decision 0034.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg

BATCH_ROWS = 2_000  # taken in one transaction: about 0.1 s, so that a stop never waits


def refresh(
    connection: psycopg.Connection[Any], *, patiently: bool = False, seconds: float | None = None
) -> int:
    """Take in what waits, batch by batch, each in a transaction of its own; how many rows were taken.

    ``patiently``: wait for another one at work, then go on until nothing is left: the figures are then
    those of every observation committed before the call. Else whoever finds another at work leaves it.
    ``seconds``: stop when so much time is spent. A reader's connection will do.
    """
    until = None if seconds is None else time.monotonic() + seconds
    total = 0
    while True:
        with connection.transaction():
            row = connection.execute("SELECT refresh_rollups(%s, %s)", (BATCH_ROWS, patiently)).fetchone()
        taken = row[0] if row else 0
        total += taken
        if taken < BATCH_ROWS or (until is not None and time.monotonic() >= until):
            return total


def waiting(connection: psycopg.Connection[Any]) -> int:
    """How many rows no rollup has taken in yet."""
    row = connection.execute("SELECT count(*) FROM rollup_queue").fetchone()
    return row[0] if row else 0
