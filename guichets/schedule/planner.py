"""Learns from what was observed and plans the cluster's watch probes, minute by minute. Database time rules.

One planner at a time: whoever holds the one row of ``watch_planner``, an expiring lease with a fencing token.
What it has learnt lives in ``watch_states``, so that the next planner goes on from there; what is missing
there, or cannot be read, or is old, is relearnt from the observations, a little in each pass.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from guichets import database
from guichets.database.queries import load_queries
from guichets.errors import DatabaseError
from guichets.schedule.watch import LearntRelease, Sighting, Watch, WatchedDesk, WatchStateError

QUERIES = load_queries("guichets.schedule", "planner.sql")

LEASE_SECONDS = 60.0  # how long nobody plans after a planner was killed
LEAD_SECONDS = 15.0  # how long before a minute it is planned: a worker that waits looks every 15 s
UNDER_WAY = timedelta(minutes=3)  # from the instant planned to what it saw being read here, or never
GRACE_SECONDS = 75.0  # a watch probe that late is dropped: what it was to see may be over
RELEARN_SECONDS = 0.5  # of each pass, given to desks to be relearnt
HISTORY = timedelta(days=400)  # of a desk's past that is relearnt
RELEARN_AFTER = timedelta(days=7)  # late spools and corrections change the past
BEHIND = timedelta(days=2)  # a state that lacks more than that is relearnt
LATE = timedelta(hours=1)  # by which an observation may come after younger ones of other desks
TELL_AFTER = timedelta(hours=1)  # how old what people read of a state may be
PROBES_KEPT = timedelta(days=400)  # why they were made: a year and a month, as pages; observations stay
DROP_EVERY = timedelta(hours=1)
MOST_DROPPED = 10_000  # at once: a day of 1,500 desks is 45,000
CLOCK_SET_BACK = timedelta(
    minutes=2
)  # nothing is planned or learnt so far ahead, unless the clock was set back
# What it writes is made anew from observations, should a crash of the server forget it.
SESSION = "SET statement_timeout = '30s'; SET synchronous_commit = off"
_MINUTE = timedelta(minutes=1)


@dataclass(slots=True)
class _Kept:
    """What ``watch_states`` holds of a desk besides the state."""

    timezone: str
    newest_at: datetime
    relearnt_at: datetime
    told_at: datetime | None  # None: to be told with the next state


class Planner:
    """Plans while it holds the lease. Every call blocks.

    Raises DatabaseError when PostgreSQL is away; what was to be done is done when it is called again.
    """

    def __init__(
        self,
        dsn: str,
        *,
        owner: str,
        every_minutes: float,
        delay_seconds: float,
        form_interval_seconds: float,
    ) -> None:
        self._dsn = dsn
        self._owner = owner
        self._new_watch = partial(
            Watch,
            every_minutes=every_minutes,
            delay_seconds=delay_seconds,
            form_interval_seconds=form_interval_seconds,
        )
        self._connection: psycopg.Connection[dict[str, Any]] | None = None
        self._token: int | None = None
        self.forget()

    def forget(self) -> None:
        """Keep nothing in memory; what was learnt is taken up again from the database."""
        self._watch = self._new_watch([])
        self._desks: dict[str, WatchedDesk] = {}
        self._due: dict[str, datetime] = {}  # each desk's next baseline instant
        self._kept: dict[str, _Kept] = {}
        self._changed: set[str] = set()  # learnt since their states were kept
        self._under_way: dict[str, datetime] = {}  # instant of each desk's last planned probe
        self._read_until: datetime | None = None
        self._dropped_at: datetime | None = None

    def work(self) -> bool:
        """Learn, and plan the next minute when it is time. False while another planner is at work."""
        with self._broken_off_is_told():
            lease = self._hold()
            if lease is None:
                return False
            now: datetime = lease["now"]
            if not self._desks:
                self._take_up("desks", now)
            self._relearn_some(now)
            minute = _minute_of(now + timedelta(seconds=LEAD_SECONDS))
            if minute > now and not _is_planned(minute, lease["planned_until"], now):
                self._take_up("desks", now)
                self._learn(now)
                self._plan(minute)
                self._keep(now)
                self._drop_old(now)
        return True

    def relearn_all(self) -> Iterator[tuple[int, int]]:
        """Make every state anew from observations alone; yields how many of how many are done.

        Whoever plans meanwhile loses the lease, and takes up the new states afterwards.
        """
        with self._broken_off_is_told():
            lease = self._hold(by_force=True)
            assert lease is not None  # by force it is always granted
            self._desks, self._due = self._read_desks("all_desks")
            self._watch.set_desks(self._desks.values())
            for number, desk_id in enumerate(self._desks, start=1):
                self._relearn(desk_id, lease["now"])
                yield number, len(self._desks)
                if number % 20 == 0 and self._hold() is None:
                    raise DatabaseError("another command relearns at the same time: let it end")

    def close(self) -> None:
        """Let another one plan."""
        if self._connection is None:
            return
        with suppress(psycopg.Error):
            if self._token is not None and not self._connection.closed:
                self._rows("let_go")
            self._connection.close()
        self._connection = None

    def _hold(self, *, by_force: bool = False) -> dict[str, Any] | None:
        rows = self._rows(
            "hold", owner=self._owner, lease=timedelta(seconds=LEASE_SECONDS), by_force=by_force
        )
        token = rows[0]["token"] if rows else None
        if token != self._token:  # what another one learnt meanwhile is not in here
            self.forget()
        self._token = token
        return rows[0] if rows else None

    def _read_desks(self, query: str) -> tuple[dict[str, WatchedDesk], dict[str, datetime]]:
        rows = self._rows(query)
        due = {row["id"]: row.pop("next_due_at") for row in rows}
        return {row["id"]: WatchedDesk(**row) for row in rows}, due

    def _take_up(self, query: str, now: datetime) -> None:
        """The desks as they are now and, the first time, what was learnt of them before."""
        desks, self._due = self._read_desks(query)
        if desks != self._desks:
            self._watch.set_desks(desks.values())
            self._kept = {desk_id: kept for desk_id, kept in self._kept.items() if desk_id in desks}
            self._changed &= set(desks)
        is_first, self._desks = not self._desks, desks
        if not is_first:
            return
        for row in self._rows("states", desks=list(desks)):
            if max(row["newest_at"], row["relearnt_at"]) < now - BEHIND:
                continue
            with suppress(WatchStateError):  # it is relearnt
                self._watch.restore(row["desk_id"], bytes(row["state"]))
                self._kept[row["desk_id"]] = _Kept(
                    row["timezone"], row["newest_at"], row["relearnt_at"], row["told_at"]
                )

    def _learn(self, now: datetime) -> None:
        """Take in what was observed since; of desks to be relearnt, that comes with their history."""
        since = self._read_until or min((kept.newest_at for kept in self._kept.values()), default=now)
        for row in self._rows("sightings", since=max(since - LATE, now - BEHIND)):
            kept = self._kept.get(row["desk_id"])
            if kept is not None and row["at"] > kept.newest_at:
                self._watch.learn(Sighting(**row))
                kept.newest_at = row["at"]
                self._changed.add(row["desk_id"])
        self._read_until = now

    def _plan(self, minute: datetime) -> None:
        self._rows("drop_late")
        self._watch.rest([row["host"] for row in self._rows("rests")])
        probes = [
            probe for probe in self._watch.plan(minute, self._due) if not self._awaits(probe.desk_id, minute)
        ]
        if not self._rows("mark_planned", until=minute + _MINUTE):
            return
        self._rows(
            "plan",
            grace=timedelta(seconds=GRACE_SECONDS),
            desks=[probe.desk_id for probe in probes],
            instants=[probe.at for probe in probes],
            reasons=[str(probe.reason) for probe in probes],
            weights=[probe.weight for probe in probes],
            dense=[probe.is_dense for probe in probes],
        )

        self._under_way.update((probe.desk_id, probe.at) for probe in probes)

    def _awaits(self, desk_id: str, minute: datetime) -> bool:
        """Whether a probe of the desk was planned that is not learnt yet: another one would be of no use."""
        planned_at, kept = self._under_way.get(desk_id), self._kept.get(desk_id)
        return (
            planned_at is not None
            and timedelta(0) <= minute - planned_at < UNDER_WAY
            and (kept is None or kept.newest_at < planned_at)
        )

    def _keep(self, now: datetime) -> None:
        """Write the states of the desks learnt of, and now and then what people read of them."""
        assert self._connection is not None  # what was learnt was read by it
        with self._connection.transaction():
            for desk_id in sorted(self._changed):
                kept = self._kept[desk_id]
                if kept.told_at is None or now - kept.told_at > TELL_AFTER:
                    self._tell(desk_id, now)
                else:
                    state = self._watch.snapshot(desk_id)
                    self._rows("keep_state", desk=desk_id, state=state, newest_at=kept.newest_at)
        self._changed.clear()

    def _tell(self, desk_id: str, now: datetime) -> None:
        kept, learnt = self._kept[desk_id], self._watch.learnt(desk_id)
        self._rows(
            "tell_state",
            desk=desk_id,
            state=self._watch.snapshot(desk_id),
            timezone=kept.timezone,
            newest_at=kept.newest_at,
            relearnt_at=kept.relearnt_at,
            sightings=learnt.sightings,
            openings=learnt.openings,
            weekly_map=[expected for day in learnt.weekly_map for expected in day],
            releases=Jsonb([_plain(release) for release in learnt.releases]),
        )
        kept.told_at = now

    def _drop_old(self, now: datetime) -> None:
        if self._dropped_at is None or not timedelta(0) <= now - self._dropped_at < DROP_EVERY:
            self._rows("drop_old", kept=PROBES_KEPT, at_most=MOST_DROPPED)
            self._dropped_at = now

    def _relearn_some(self, now: datetime) -> None:
        ends_at = time.monotonic() + RELEARN_SECONDS
        for desk_id in self._desks:
            if self._is_stale(desk_id, now):
                if time.monotonic() > ends_at:
                    return
                self._relearn(desk_id, now)

    def _is_stale(self, desk_id: str, now: datetime) -> bool:
        kept = self._kept.get(desk_id)
        return (
            kept is None
            or kept.timezone != self._desks[desk_id].timezone
            or kept.newest_at > now + CLOCK_SET_BACK
            or abs(now - kept.relearnt_at) > RELEARN_AFTER
        )

    def _relearn(self, desk_id: str, now: datetime) -> None:
        """Make one desk's state from its observations alone, and keep it."""
        desk = self._desks[desk_id]
        sightings = [Sighting(**row) for row in self._rows("history", desk=desk_id, history=HISTORY)]
        alone = self._new_watch([desk])
        alone.learn_history(desk_id, sightings)
        self._watch.restore(desk_id, alone.snapshot(desk_id))
        newest_at = sightings[-1].at if sightings else now - HISTORY
        self._kept[desk_id] = _Kept(desk.timezone, newest_at, now, None)
        self._tell(desk_id, now)
        self._changed.discard(desk_id)

    @contextmanager
    def _broken_off_is_told(self) -> Iterator[None]:
        try:
            with database.broken_off_is_told(self._dsn):
                yield
        except DatabaseError:
            if self._connection is not None:
                with suppress(psycopg.Error):
                    self._connection.close()
            self._connection = None
            raise

    def _rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        if self._connection is None:
            connection = database.connect("writer", dsn=self._dsn, autocommit=True)
            connection.execute(SESSION)
            connection.row_factory = dict_row  # type: ignore[assignment]
            self._connection = connection  # type: ignore[assignment]
        assert self._connection is not None
        cursor = self._connection.execute(QUERIES[query], {"token": self._token, **parameters})
        return cursor.fetchall() if cursor.description else []


def _minute_of(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)


def _is_planned(minute: datetime, planned_until: datetime | None, now: datetime) -> bool:
    return planned_until is not None and minute < planned_until <= now + CLOCK_SET_BACK


def _plain(release: LearntRelease) -> dict[str, Any]:
    """A learnt release as JSON: weekdays from 1 (Monday), as in SQL; times and days as text."""
    plain = asdict(release)
    plain["weekdays"] = [weekday + 1 for weekday in release.weekdays]
    plain["local_time"] = None if release.local_time is None else f"{release.local_time:%H:%M:%S}"
    plain["since"] = release.since.isoformat()
    return plain
