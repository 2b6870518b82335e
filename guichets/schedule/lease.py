"""A worker's exclusive, expiring right to talk to one host, and the interface of who grants it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Literal, Protocol
from uuid import UUID

from guichets.catalogue.model import Desk
from guichets.schedule.pace import Pace

Purpose = Literal["baseline", "watch"]
"""What a visit counts for: a slot of the baseline schedule, or nothing but itself."""

LEASE_MARGIN = 0.25  # share of the lease: we stop talking this long before another worker may begin


class LeaseLost(Exception):
    """The lease ended or was taken by another worker: nothing more may be sent to the host."""


class HostPaused(Exception):
    """The host refused us, or is failing and asked for patience: it is left alone until the pause ends."""

    def __init__(self, host: str, *, refused: bool) -> None:
        self.refused = refused
        super().__init__(host)


@dataclass(slots=True)
class RobotsRecord:
    """A host's robots.txt as last fetched. ``text`` is None when the host had none to show."""

    text: str | None
    status: int
    fetched_at: datetime  # aware


@dataclass(frozen=True, slots=True)
class DueDesk:
    """One desk to probe, with the zone its people live in."""

    desk: Desk
    timezone: str  # IANA name
    due_at: datetime | None = None  # aware; None: now
    is_new: bool = True  # never visited
    watch_at: datetime | None = None  # aware; the planned instant of a watch probe; None: a baseline probe


class CutShort:
    """``async with`` it: what waits inside ends by TimeoutError once its limit, in ``under_way``, is moved.

    By hand, because one made of a generator costs every request three times as much.
    """

    def __init__(self, under_way: set[asyncio.Timeout]) -> None:
        self._under_way = under_way
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._under_way.add(self._limit)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._under_way.discard(self._limit)
        await self._limit.__aexit__(kind, error, trace)


@dataclass(slots=True, kw_only=True)
class HostLease:
    """What a worker holds of one host. ``expires_at`` is in seconds of its own monotonic clock."""

    host: str
    pace: Pace
    token: int = 0
    expires_at: float = float("inf")
    desks: Sequence[DueDesk] = ()
    robots: RobotsRecord | None = None
    lost: bool = False
    crawl_delay_seconds: float | None = None  # as robots.txt asks
    forbidden: bool = False  # by an operator, meanwhile
    requests: int = 0  # sent since the lease was last saved
    peak_per_minute: int = 0  # most requests within a minute so far
    refusals: list[str] = field(
        default_factory=list
    )  # since the lease was last saved: what the host answered
    done: list[tuple[str, datetime | None]] = field(default_factory=list)  # likewise: visited, next due
    save: Callable[[], Awaitable[None]] | None = None  # makes the pace known to all workers, now
    _sent_at: deque[float] = field(default_factory=deque)  # of the last minute
    _under_way: set[asyncio.Timeout] = field(default_factory=set)

    def check(self, now: float) -> None:
        """Raise LeaseLost or HostPaused when nothing may be sent at ``now`` (monotonic seconds)."""
        if self.lost or now >= self.expires_at:
            raise LeaseLost(self.host)
        if self.forbidden:
            raise HostPaused(self.host, refused=False)
        if self.pace.is_paused(now):
            raise HostPaused(self.host, refused=self.pace.refused)

    def note_request(self, now: float) -> None:
        """A request is leaving: counted for the ledger of hosts."""
        self.requests += 1
        self._sent_at.append(now)
        while self._sent_at[0] <= now - 60:
            self._sent_at.popleft()
        self.peak_per_minute = max(self.peak_per_minute, len(self._sent_at))

    async def tell(self) -> None:
        """Make what was just learnt of the host known to all workers, should this one die now."""
        if self.save is not None and not self.lost:
            await self.save()

    def cut_short_when_given_back(self) -> CutShort:
        """What waits in here, for its turn or for an answer, ends by TimeoutError with the lease."""
        return CutShort(self._under_way)

    def give_back(self) -> None:
        """Nothing more is sent to the host, and nothing more is awaited from it."""
        self.lost = True
        for limit in self._under_way:
            limit.reschedule(0)
        self._under_way.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which desks a crawl is about."""

    family: str
    departements: tuple[str, ...] | None = None  # None: all
    desks: tuple[str, ...] | None = None  # None: all
    everything: bool = False  # due=all: every matching desk once, due or not


class Schedule(Protocol):
    """Grants leases and remembers visits: in PostgreSQL for the cluster, in memory for trials."""

    def check(self) -> None:
        """Raise ArgumentError when desks or départements of the selection do not exist. Blocking."""

    async def open(self) -> None:
        """Get ready for the crawl."""

    async def claim(self, at_most: int = 1) -> list[HostLease]:
        """The hosts due longest that nobody holds, with their due desks; fewer than asked, or none, now.

        What is claimed while the caller is cancelled is given back by ``close``.
        """

    async def next_due_seconds(self) -> float | None:
        """Seconds until a desk of the selection may be claimed; None when none ever will."""

    async def begin(self, lease: HostLease, due: DueDesk, probe: UUID) -> Purpose | None:
        """Record that a visit of the form begins; None when it is not due any more.

        Raises LeaseLost when the token is stale, HostPaused when the host was paused or forbidden meanwhile.
        """

    def finish(self, lease: HostLease, due: DueDesk) -> None:
        """The visit is over: the form is due again in the next slot."""

    async def renew(self, lease: HostLease) -> None:
        """Keep the host, and make its pace, pauses and robots.txt known to all workers."""

    async def release(self, lease: HostLease) -> None:
        """Give the host back."""

    async def close(self) -> None:
        """Let go of everything."""
