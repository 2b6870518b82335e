"""Simulated time: the only clock the sandbox's lives know."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from guichets.clock import Clock, SystemClock


def floor_to_minute(at: datetime) -> datetime:
    """The minute ``at`` belongs to: lives change by the minute, so that one can be computed once."""
    return at.replace(second=0, microsecond=0)


@dataclass(slots=True)
class SimulatedClock:
    """Starts at ``start`` and runs ``speed`` times as fast as real time; 0 stands still."""

    start: datetime  # aware
    speed: float = 1.0
    clock: Clock = field(default_factory=SystemClock)
    _origin: float = field(init=False)  # monotonic seconds at which the simulation stood at ``start``

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise ValueError(f"start {self.start!r} has no time zone")
        self.start = self.start.astimezone(UTC)
        self._origin = self.clock.monotonic()

    def now(self) -> datetime:
        """The simulated instant, in UTC."""
        return self.start + timedelta(seconds=(self.clock.monotonic() - self._origin) * self.speed)

    def advance(self, seconds: float) -> None:
        """Jump forward; never back, because lives of visits already made would contradict the ledger."""
        if seconds < 0:
            raise ValueError(f"cannot advance by {seconds} seconds: time does not run backwards")
        self.start += timedelta(seconds=seconds)

    def change_speed(self, speed: float) -> None:
        """Run at another speed from now on."""
        self.start = self.now()
        self._origin = self.clock.monotonic()
        self.speed = speed
