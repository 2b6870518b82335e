"""A worker's exclusive, expiring right to talk to one host, and the interface of who grants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from guichets.catalogue.model import Desk
from guichets.schedule.pace import Pace

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
    requests: int = 0  # sent since the lease was last saved
    done: list[str] = field(default_factory=list)  # desks visited since the lease was last saved

    def check(self, now: float) -> None:
        """Raise LeaseLost or HostPaused when nothing may be sent at ``now`` (monotonic seconds)."""
        if self.lost or now >= self.expires_at:
            raise LeaseLost(self.host)
        if self.pace.is_paused(now):
            raise HostPaused(self.host, refused=self.pace.refused)


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

    async def claim(self) -> HostLease | None:
        """The host due longest that nobody holds, with its due desks; None when there is none now."""

    async def next_due_seconds(self) -> float | None:
        """Seconds until a desk of the selection may be claimed; None when none ever will."""

    async def begin(self, lease: HostLease, desk_id: str) -> None:
        """Record that a visit of the form begins. Raises LeaseLost when the token is stale."""

    def finish(self, lease: HostLease, desk_id: str) -> None:
        """The visit is over: the form is due again one interval later."""

    async def renew(self, lease: HostLease) -> None:
        """Keep the host, and make its pace, pauses and robots.txt known to all workers."""

    async def release(self, lease: HostLease) -> None:
        """Give the host back."""

    async def close(self) -> None:
        """Let go of everything."""
