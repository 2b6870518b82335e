"""The schedule in PostgreSQL: leases and pace shared by all workers. Database time rules."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from guichets import __version__, database
from guichets.catalogue.model import Desk
from guichets.clock import AgreedClock, Clock
from guichets.database.queries import load_queries
from guichets.errors import DatabaseError, DatabaseUnreachable
from guichets.schedule.arguments import check_known
from guichets.schedule.baseline import Pattern, next_due, replanned
from guichets.schedule.lease import (
    LEASE_MARGIN,
    DueDesk,
    HostLease,
    LeaseLost,
    Purpose,
    RobotsRecord,
    Selection,
)
from guichets.schedule.pace import MOST_DOUBLINGS, Pace

logger = logging.getLogger(__name__)

QUERIES = load_queries("guichets.schedule", "schedule.sql")
ANSWER_SECONDS = 30.0  # longest wait for one statement: a cut network gives no sign
CLAIM_BATCH = 8  # hosts claimed by one statement: 0.3 ms each alone, 0.1 ms each together
ATTEMPTS = 3  # of a statement that deadlocked: who loses was rolled back, nothing of it happened
QUEUE_DEPTH = 20  # hosts of the queue's head looked at to tell when the next one is due

# The plan of a claim takes twice as long to make as to follow, and PostgreSQL would make it each time: the
# parameters that may be null make a plan for all values look dearer than it is.
SESSION = "SET plan_cache_mode = force_generic_plan"


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
        pattern: Pattern,
        lease_seconds: float,
        watches: bool = False,
        minutes: float | None = None,
    ) -> None:
        """``watches``: whether planned watch probes are made, besides what is due; ``minutes``: how long the
        crawl is to last, None when it ends as soon as nothing is due. Both are told with the crawl's row.
        """
        self._dsn = dsn
        self._clock = clock
        self._delay_seconds = delay_seconds
        self._lease_seconds = lease_seconds
        self._patience_seconds = min(ANSWER_SECONDS, max(1.0, lease_seconds / 3))
        self._selection = selection
        self._told = {**asdict(selection), "minutes": minutes, "watches": watches}
        self._pattern = pattern
        self._crawl_id = crawl_id
        self._archive_id = archive_id
        self._parameters: dict[str, Any] = {
            "family": selection.family,
            "departements": list(selection.departements) if selection.departements is not None else None,
            "desks": list(selection.desks) if selection.desks is not None else None,
            "everything": selection.everything,
            "watches": watches and not selection.everything,
            "form_interval": timedelta(seconds=form_interval_seconds),
            "lease": timedelta(seconds=lease_seconds),
            "worker": worker,
            "version": __version__,
        }
        self._connection: psycopg.AsyncConnection | None = None
        self._unwanted: asyncio.Task[list[HostLease]] | None = None  # claimed by a caller that was cancelled
        self._lock = asyncio.Lock()

    def check(self) -> None:
        with database.session("writer", dsn=self._dsn) as connection:
            departements = {row[0] for row in connection.execute(QUERIES["known_departements"])}
            desks = {row[0]: row[1] for row in connection.execute(QUERIES["known_desks"])}
        check_known(self._selection, desks=desks, departements=departements)

    async def open(self) -> None:
        rows = await self._rows(
            "start_crawl",
            crawl=self._crawl_id,
            archive=self._archive_id,
            arguments=Jsonb(self._told),
        )
        started_at: datetime = rows[0]["started_at"]
        self._parameters["started_at"] = started_at
        self._agree(started_at)
        await self._rows(
            "note_pattern",
            day_from=self._pattern.day_from,
            day_until=self._pattern.day_until,
            day_slot=timedelta(seconds=self._pattern.day_slot_seconds),
            night_slot=timedelta(seconds=self._pattern.night_slot_seconds),
        )

    async def claim(self, at_most: int = 1) -> list[HostLease]:
        claiming = asyncio.create_task(self._claim(min(at_most, CLAIM_BATCH)))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:  # what was asked for may be granted all the same
            self._unwanted = claiming
            raise

    async def _claim(self, at_most: int) -> list[HostLease]:
        asked_at = self._clock.monotonic()
        query = "claim_any_host" if self._selection.everything else "claim_host"
        rows = await self._rows(query, at_most=at_most)
        if not rows and self._parameters["watches"]:
            rows = await self._rows("claim_watched_host", at_most=at_most)
        if not rows:
            return []
        if died := [row for row in rows if row["died_at"] is not None]:
            await self._rows(
                "count_from_death",
                hosts=[row["host"] for row in died],
                died_at=[row["died_at"] for row in died],
            )
        desks = await self._rows("due_desks", hosts=[row["host"] for row in rows])
        if desks:
            self._agree(desks[0]["now"])
        due: dict[str, list[DueDesk]] = {row["host"]: [] for row in rows}
        for desk in desks:
            due[desk["host"]].append(_due_desk(desk))
        return [self._lease(row, due[row["host"]], asked_at) for row in rows]

    def _lease(self, row: Mapping[str, Any], desks: list[DueDesk], asked_at: float) -> HostLease:
        pace = Pace(
            self._delay_seconds,
            ready_at=self._clock.monotonic() + (row["wait_seconds"] or 0.0),
            strikes=row["strikes"],
            strikes_on=row["strikes_on"],
            failures=row["failures"],
        )
        pace.slow_down_to(row["least_delay_seconds"] or 0.0)
        if (ago := row["died_seconds_ago"]) is not None:  # its last request is not known
            pace.ready_at = max(pace.ready_at, self._clock.monotonic() + pace.delay_seconds - ago)
        lease = HostLease(
            host=row["host"],
            pace=pace,
            token=row["fencing_token"],
            expires_at=self._expiry(asked_at),
            desks=desks,
            robots=RobotsRecord(row["robots_txt"], row["robots_status"], row["robots_fetched_at"])
            if row["robots_fetched_at"] is not None
            else None,
        )
        lease.save = partial(self._tell, lease)
        return lease

    async def next_due_seconds(self) -> float | None:
        query = "next_any_due" if self._selection.everything else "next_due"
        rows = await self._rows(query, hosts=QUEUE_DEPTH)
        return rows[0]["seconds"] if rows else None

    async def begin(self, lease: HostLease, due: DueDesk, probe: UUID) -> Purpose | None:
        lease.check(self._clock.monotonic())
        if due.watch_at is not None:
            is_begun = await self._begin("begin_watch", lease, due, probe, planned_at=due.watch_at)
            return "watch" if is_begun else None
        now, zone = self._clock.now(), ZoneInfo(due.timezone)
        due_at = due.due_at
        if due_at is not None and not due.is_new:
            due_at = replanned(self._pattern, due.desk.id, zone, due_at=due_at, now=now)
        counts = due_at is None or due.is_new or due_at <= now
        if not counts and not self._selection.everything:
            await self._rows(
                "postpone_desk", host=lease.host, token=lease.token, desk=due.desk.id, due=due_at
            )
            return None
        slot = self._pattern.slot_at(now, zone).starts_at if counts else None
        if not await self._begin("begin_visit", lease, due, probe, slot=slot):
            return None
        return "baseline" if counts else "watch"

    async def _begin(self, query: str, lease: HostLease, due: DueDesk, probe: UUID, **more: Any) -> bool:
        """Record that a visit begins, and what the ones before it did; False when it may not."""
        done, requests = list(lease.done), lease.requests
        (row,) = await self._rows(
            query,
            host=lease.host,
            token=lease.token,
            desk=due.desk.id,
            probe=probe,
            wait=timedelta(seconds=lease.pace.wait_seconds(self._clock.monotonic())),
            requests=requests,
            peak=lease.peak_per_minute,
            done=[desk_id for desk_id, _ in done],
            done_due=[instant for _, instant in done],
            **more,
        )
        if not row["is_held"]:
            self._lose(lease)
            raise LeaseLost(lease.host)
        del lease.done[: len(done)]
        lease.requests -= requests
        self._heed(lease, row)
        lease.check(self._clock.monotonic())
        return bool(row["is_begun"])

    def finish(self, lease: HostLease, due: DueDesk) -> None:
        now = self._clock.now()
        is_extra = self._selection.everything and due.due_at is not None and due.due_at > now
        # it leaves the baseline schedule as it is
        if due.watch_at is not None or (is_extra and not due.is_new):
            lease.done.append((due.desk.id, None))
        else:
            zone = ZoneInfo(due.timezone)
            lease.done.append((due.desk.id, next_due(self._pattern, due.desk.id, zone, now)))

    async def renew(self, lease: HostLease) -> None:
        await self._save(lease, ends=False)

    async def release(self, lease: HostLease) -> None:
        lease.give_back()
        await self._save(lease, ends=True)

    async def close(self) -> None:
        if self._unwanted is not None:
            with suppress(DatabaseError):
                for lease in await self._unwanted:
                    await self.release(lease)
            self._unwanted = None
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _tell(self, lease: HostLease) -> None:
        """Save a pause or a failure at once: a worker that dies now must not take it along."""
        try:
            await self._save(lease, ends=False)
        except DatabaseError as error:
            logger.warning("%s; lease of %s not renewed", error, lease.host, extra={"action": "not_renewed"})

    async def _save(self, lease: HostLease, *, ends: bool) -> None:
        asked_at = self._clock.monotonic()
        pace, robots, done, requests = lease.pace, lease.robots, list(lease.done), lease.requests
        refusals = list(lease.refusals)
        rows = await self._rows(
            "save_host",
            host=lease.host,
            token=lease.token,
            wait=timedelta(seconds=pace.wait_seconds(asked_at)),
            pause=timedelta(seconds=max(0.0, pace.paused_until - asked_at)),
            refusals=refusals,
            strikes=pace.strikes,
            strikes_on=pace.strikes_on,
            failures=min(pace.failures, MOST_DOUBLINGS),
            crawl_delay=lease.crawl_delay_seconds,
            robots_txt=robots.text if robots else None,
            robots_status=robots.status if robots else None,
            robots_fetched_at=robots.fetched_at if robots else None,
            requests=requests,
            peak=lease.peak_per_minute,
            done=[desk_id for desk_id, _ in done],
            done_due=[instant for _, instant in done],
            ends=ends,
        )
        if not rows:
            logger.warning(
                "the lease was lost, the host is left alone: %s", lease.host, extra={"action": "lease_lost"}
            )
            self._lose(lease)
            return
        del lease.done[: len(done)]
        del lease.refusals[: len(refusals)]
        lease.requests -= requests
        lease.expires_at = self._expiry(asked_at)
        self._heed(lease, rows[0])

    def _heed(self, lease: HostLease, row: Mapping[str, Any]) -> None:
        """What an operator, or another family's worker before us, wants of the host."""
        lease.forbidden = row["forbidden"]
        if (seconds := row["paused_seconds"] or 0.0) > 0:
            lease.pace.paused_until = max(lease.pace.paused_until, self._clock.monotonic() + seconds)

    def _lose(self, lease: HostLease) -> None:
        """Another worker may hold the host: nothing more is sent, what is under way is cut short."""
        lease.give_back()

    def _agree(self, instant: datetime) -> None:
        if isinstance(self._clock, AgreedClock):
            self._clock.agree(instant)

    def _expiry(self, asked_at: float) -> float:
        """Counted from before the question, and short of the real end: we stop before another begins."""
        return asked_at + self._lease_seconds * (1 - LEASE_MARGIN)

    async def _rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Run one named query; again when it and a sync of the catalogue waited for each other's rows."""
        for _ in range(ATTEMPTS - 1):
            with suppress(psycopg.errors.DeadlockDetected):
                return await self._rows_once(query, **parameters)
        try:
            return await self._rows_once(query, **parameters)
        except psycopg.errors.DeadlockDetected as error:
            raise DatabaseUnreachable(f"PostgreSQL is busy: {query}: deadlock detected") from error

    async def _rows_once(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Run one named query, connecting again when the last connection broke."""
        async with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = await database.connect_async(
                        "writer", dsn=self._dsn, check=False, autocommit=True
                    )
                    async with database.hung_up_after(self._patience_seconds, self._connection):
                        await self._connection.execute(SESSION)
                async with (
                    database.hung_up_after(self._patience_seconds, self._connection),
                    self._connection.cursor(row_factory=dict_row) as cursor,
                ):
                    await cursor.execute(QUERIES[query], {**self._parameters, **parameters})
                    return await cursor.fetchall() if cursor.description else []
            except psycopg.errors.DeadlockDetected:  # the connection is as good as before
                raise
            except psycopg.OperationalError as error:
                if self._connection is not None:
                    with suppress(psycopg.Error):
                        await self._connection.close()
                reason = str(error).strip().splitlines() or ["no answer"]
                raise DatabaseUnreachable(f"PostgreSQL is away: {reason[0]}") from error
            except psycopg.Error as error:
                raise DatabaseError(f"PostgreSQL refused {query}: {str(error).splitlines()[0]}") from error


def _due_desk(row: Mapping[str, Any]) -> DueDesk:
    others = {"host", "timezone", "next_due_at", "is_new", "now", "watch_at"}
    fields = {name: value for name, value in row.items() if name not in others}
    return DueDesk(Desk(**fields), row["timezone"], row["next_due_at"], row["is_new"], row["watch_at"])
