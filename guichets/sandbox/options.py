"""What can be asked of a sandbox, checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from guichets.errors import ArgumentError
from guichets.sandbox.families import families
from guichets.sandbox.plans import MAX_DESKS

MAX_SPEED = 100_000.0
DEFAULT_DEPARTEMENTS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One sandbox, as asked for."""

    port: int = 8000  # of the control, and of the hosts by address; 0 = any free one
    seed: int = 1
    desks: int = 120
    departements: int = DEFAULT_DEPARTEMENTS  # at most as many as desks
    speed: float = 1.0  # simulated seconds per real second; 0 = time stands still
    start: datetime = field(default_factory=lambda: datetime.now(UTC))  # simulated instant at which it opens
    mixture: str = "realistic"
    host_scheme: str = "auto"
    latency_ms: float = 0.0  # before each answer
    families: tuple[str, ...] = ("ezbooking",)
    ledger: Path | None = None  # None: a temporary file, removed at the end
    catalogue: Path | None = None  # None: a temporary folder, removed at the end

    def __post_init__(self) -> None:
        _within("--port", self.port, 0, 65_535)
        _within("--desks", self.desks, 1, MAX_DESKS)
        _within("--departements", self.departements, 1, 101)
        _within("--speed", self.speed, 0, MAX_SPEED)
        _within("--latency", self.latency_ms, 0, 600_000)
        if self.start.tzinfo is None:
            raise ArgumentError(f"--start {self.start.isoformat()} has no time zone; end it with Z for UTC")
        for name in self.families:
            if name not in families():
                raise ArgumentError(
                    f"--family {name!r} cannot be played; known: all, {', '.join(families())}"
                )
        if not 0 < len(self.families) <= self.desks:
            raise ArgumentError(
                f"--desks {self.desks}: fewer than the {len(self.families)} families asked for"
            )


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # also refuses NaN
        raise ArgumentError(f"{name} {value}: expected a number from {least} to {most}")
