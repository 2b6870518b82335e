"""The schedule in PostgreSQL: leases and pace shared by all workers. Database time rules."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from guichets import __version__, database
from guichets.catalogue.model import Desk
from guichets.clock import Clock
from guichets.database.queries import load_queries
from guichets.errors import DatabaseUnreachable
from guichets.schedule.arguments import check_known
from guichets.schedule.lease import LEASE_MARGIN, DueDesk, HostLease, LeaseLost, RobotsRecord, Selection
from guichets.schedule.pace import Pace

logger = logging.getLogger(__name__)

QUERIES = load_queries("guichets.schedule", "schedule.sql")


class PostgresSchedule:
    """Grants leases from the ``hosts`` table. One connection, one statement at a time."""

    def __init__(
        self,
        dsn: str,
        selection: Selection,
        *,
        crawl_id: UUID,
        archive_id: UUID | None = None,
        worker: str,
        clock: Clock,
        delay_seconds: float,
        form_interval_seconds: float,
        probe_interval_seconds: float,
        lease_seconds: float,
    ) -> None:
        self._dsn = dsn
        self._clock = clock
        self._delay_seconds = delay_seconds
        self._lease_seconds = lease_seconds
        self._selection = selection
        self._crawl_id = crawl_id
        self._archive_id = archive_id
        self._parameters: dict[str, Any] = {
            "family": selection.family,
            "departements": list(selection.departements) if selection.departements is not None else None,
            "desks": list(selection.desks) if selection.desks is not None else None,
            "everything": selection.everything,
            "form_interval": timedelta(seconds=form_interval_seconds),
            "interval": timedelta(seconds=probe_interval_seconds),
            "lease": timedelta(seconds=lease_seconds),
            "worker": worker,
            "version": __version__,
        }
        self._connection: psycopg.AsyncConnection | None = None
        self._lock = asyncio.Lock()

    def check(self) -> None:
        with database.connect("writer", dsn=self._dsn) as connection:
            departements = {row[0] for row in connection.execute(QUERIES["known_departements"])}
            desks = {row[0]: row[1] for row in connection.execute(QUERIES["known_desks"])}
        check_known(self._selection, desks=desks, departements=departements)

    async def open(self) -> None:
        rows = await self._rows(
            "start_crawl",
            crawl=self._crawl_id,
            archive=self._archive_id,
            arguments=Jsonb(asdict(self._selection)),
        )
        started_at: datetime = rows[0]["started_at"]
        self._parameters["started_at"] = started_at

    async def claim(self) -> HostLease | None:
        asked_at = self._clock.monotonic()
        rows = await self._rows("claim_host")
        if not rows:
            return None
        row = rows[0]
        pace = Pace(
            self._delay_seconds,
            ready_at=self._clock.monotonic() + (row["wait_seconds"] or 0.0),
            strikes=row["strikes"],
            strikes_on=row["strikes_on"],
        )
        pace.slow_down_to(row["least_delay_seconds"] or 0.0)
        return HostLease(
            host=row["host"],
            pace=pace,
            token=row["fencing_token"],
            expires_at=self._expiry(asked_at),
            desks=[_due_desk(desk) for desk in await self._rows("due_desks", host=row["host"])],
            robots=RobotsRecord(row["robots_txt"], row["robots_status"], row["robots_fetched_at"])
            if row["robots_fetched_at"] is not None
            else None,
        )

    async def next_due_seconds(self) -> float | None:
        rows = await self._rows("next_due")
        return rows[0]["seconds"] if rows else None

    async def begin(self, lease: HostLease, desk_id: str) -> None:
        lease.check(self._clock.monotonic())
        done = list(lease.done)
        rows = await self._rows("begin_visit", host=lease.host, token=lease.token, desk=desk_id, done=done)
        if not rows:
            lease.lost = True
            raise LeaseLost(lease.host)
        del lease.done[: len(done)]

    def finish(self, lease: HostLease, desk_id: str) -> None:
        lease.done.append(desk_id)

    async def renew(self, lease: HostLease) -> None:
        await self._save(lease, ends=False)

    async def release(self, lease: HostLease) -> None:
        await self._save(lease, ends=True)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _save(self, lease: HostLease, *, ends: bool) -> None:
        asked_at = self._clock.monotonic()
        pace, robots, done, requests = lease.pace, lease.robots, list(lease.done), lease.requests
        rows = await self._rows(
            "save_host",
            host=lease.host,
            token=lease.token,
            wait=timedelta(seconds=pace.wait_seconds(asked_at)),
            pause=timedelta(seconds=max(0.0, pace.paused_until - asked_at)),
            refused=pace.refused,
            strikes=pace.strikes,
            strikes_on=pace.strikes_on,
            crawl_delay=lease.crawl_delay_seconds,
            robots_txt=robots.text if robots else None,
            robots_status=robots.status if robots else None,
            robots_fetched_at=robots.fetched_at if robots else None,
            requests=requests,
            done=done,
            ends=ends,
        )
        if not rows:
            lease.lost = True
            logger.warning(
                "the lease was lost, the host is left alone: %s", lease.host, extra={"action": "lease_lost"}
            )
            return
        del lease.done[: len(done)]
        lease.requests -= requests
        lease.expires_at = self._expiry(asked_at)

    def _expiry(self, asked_at: float) -> float:
        """Counted from before the question, and short of the real end: we stop before another begins."""
        return asked_at + self._lease_seconds * (1 - LEASE_MARGIN)

    async def _rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Run one named query, connecting again when the last connection broke."""
        async with self._lock:
            if self._connection is None or self._connection.closed:
                self._connection = await database.connect_async(
                    "writer", dsn=self._dsn, check=False, autocommit=True
                )
            try:
                async with self._connection.cursor(row_factory=dict_row) as cursor:
                    await cursor.execute(QUERIES[query], {**self._parameters, **parameters})
                    return await cursor.fetchall()
            except psycopg.OperationalError as error:
                await self._connection.close()
                raise DatabaseUnreachable(f"PostgreSQL is away: {str(error).splitlines()[0]}") from error


def _due_desk(row: Mapping[str, Any]) -> DueDesk:
    fields = {name: value for name, value in row.items() if name != "timezone"}
    return DueDesk(Desk(**fields), row["timezone"])
