"""The last look at the lease, at the instant the bytes of a request leave.

A worker may be stopped (a suspended machine, SIGSTOP, a swap storm) between any two of its instructions, and
go on when its lease is long over. Nothing can be checked after the system took the bytes; so it is checked
right before, and no buffer of ours lies between: some ten microseconds remain (docs/decisions/0007).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

from aiohttp.client_proto import ResponseHandler

from guichets.clock import Clock
from guichets.schedule.lease import HostLease, LeaseLost


class Sending:
    """The request this task sends, under which lease."""

    def __init__(self, lease: HostLease, clock: Clock) -> None:
        self._lease = lease
        self._clock = clock
        self.refused = False  # it never left, or not wholly

    def check(self) -> None:
        now = self._clock.monotonic()
        if self._lease.lost or now >= self._lease.expires_at:
            self.refused = True
            raise LeaseLost(self._lease.host)
        # The delay counts from here, should the worker have been held up since its turn came.
        pace = self._lease.pace
        pace.ready_at = max(pace.ready_at, now + pace.delay_seconds)


sending: ContextVar[Sending | None] = ContextVar("sending", default=None)


class WatchedHandler(ResponseHandler):
    """aiohttp's protocol of one connection, on a transport that looks at the lease before each write."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "set_write_buffer_limits")
        transport.set_write_buffer_limits(0)  # uvloop then writes at once, not at the end of its round
        self.transport = _Watched(transport)  # type: ignore[assignment]


class _Watched:
    """A transport; whatever is not a write is the real one's."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.is_closing = transport.is_closing  # asked several times for each request
        self.get_extra_info = transport.get_extra_info

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if (now := sending.get()) is not None:
            now.check()
        self._transport.write(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        if (now := sending.get()) is not None:
            now.check()
        self._transport.writelines(pieces)
