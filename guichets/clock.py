"""The one place where real time comes in; decisions take the instant as an argument."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

# Goes on while the machine sleeps, as other machines do: a lease must not outlive the lid of a laptop.
_ALWAYS_RUNNING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """Wall clock (aware, UTC), monotonic seconds, and a way to wait."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.clock_gettime(_ALWAYS_RUNNING)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class AgreedClock:
    """The machine's clock until the database has told its time, then that one: all workers agree on it.

    Once told, only monotonic seconds are counted: a wall clock that is wrong, or is set, changes nothing.
    """

    def __init__(self, base: Clock | None = None) -> None:
        self.base: Clock = base or SystemClock()
        self._agreed: tuple[datetime, float] | None = None

    def agree(self, instant: datetime) -> None:
        """It is ``instant`` now, says the database."""
        self._agreed = (instant, self.base.monotonic())

    def now(self) -> datetime:
        if self._agreed is None:
            return self.base.now()
        instant, at = self._agreed
        return instant + timedelta(seconds=self.base.monotonic() - at)

    def monotonic(self) -> float:
        return self.base.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self.base.sleep(seconds)
