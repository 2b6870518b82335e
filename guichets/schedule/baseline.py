"""The baseline schedule: one probe in every slot of the desk's day, at a random instant of the slot.

Stratified random times make published rates unbiased: every hour of the day is looked at, and nothing in a
site's own rhythm can fall in step with ours. Pure: instants are arguments, and the random instant is drawn
from desk and slot, so that every worker computes the same. A slot that is over stays missed.

A day is cut at two hours of the desk's own zone, and each part into the nearest whole number of equal slots:
a night of 8 or 10 hours, when clocks change, has as many slots as any other, a little shorter or longer.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

EARLIEST_DAY = 4  # clocks change before 4 h in every zone we know
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Slot:
    """From ``starts_at`` until before ``ends_at``, both UTC."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """How a day is cut into slots."""

    day_from: int = 7  # hours of the desk's zone
    day_until: int = 22
    day_slot_seconds: float = 3600.0
    night_slot_seconds: float = 3 * 3600.0

    def __post_init__(self) -> None:
        if not EARLIEST_DAY <= self.day_from < self.day_until <= 23:
            raise ValueError(f"a day from {self.day_from} h to {self.day_until} h cannot be cut into slots")
        if self.day_slot_seconds < 1 or self.night_slot_seconds < 1:
            raise ValueError("a slot lasts a second at least")

    def slot_at(self, instant: datetime, zone: ZoneInfo) -> Slot:
        """The slot that holds an aware instant."""
        local = instant.astimezone(zone)
        day = local.date()
        if instant < _at(day, self.day_from, zone):
            day -= timedelta(days=1)
        noon, evening = _at(day, self.day_from, zone), _at(day, self.day_until, zone)
        if instant < evening:
            return _cut(noon, evening, self.day_slot_seconds, instant)
        return _cut(
            evening, _at(day + timedelta(days=1), self.day_from, zone), self.night_slot_seconds, instant
        )

    def slot_after(self, slot: Slot, zone: ZoneInfo) -> Slot:
        """The slot that begins when ``slot`` ends."""
        return self.slot_at(slot.ends_at, zone)


def instant_in(slot: Slot, desk_id: str) -> datetime:
    """The desk's random instant in a slot: the same for whoever asks."""
    text = f"{desk_id} {_microseconds(slot.starts_at)}"
    draw = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64
    return slot.starts_at + int((slot.ends_at - slot.starts_at) / _MICROSECOND * draw) * _MICROSECOND


def next_due(pattern: Pattern, desk_id: str, zone: ZoneInfo, now: datetime) -> datetime:
    """When a desk visited at ``now`` is due again: its instant in the next slot."""
    return instant_in(pattern.slot_after(pattern.slot_at(now, zone), zone), desk_id)


def replanned(pattern: Pattern, desk_id: str, zone: ZoneInfo, *, due_at: datetime, now: datetime) -> datetime:
    """When a desk that was due at ``due_at`` is due, seen from ``now``.

    The same instant while its slot lasts. Afterwards that slot is missed, and the desk waits for its instant
    in the present slot, which may be past or to come: an outage is not made up for in a burst.
    """
    if pattern.slot_at(due_at, zone).ends_at > now:
        return due_at
    return instant_in(pattern.slot_at(now, zone), desk_id)


def _at(day: date, hour: int, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(hour), tzinfo=zone).astimezone(UTC)


def _cut(starts_at: datetime, ends_at: datetime, slot_seconds: float, instant: datetime) -> Slot:
    """The one of the equal slots between two instants that holds a third. Whole microseconds, as in SQL."""
    length = _microseconds(ends_at) - _microseconds(starts_at)
    wanted = round(slot_seconds * 1_000_000)
    count = max(1, (2 * length + wanted) // (2 * wanted))
    number = (_microseconds(instant) - _microseconds(starts_at)) * count // length
    while (number + 1) * length // count <= _microseconds(instant) - _microseconds(starts_at):
        number += 1  # a bound was rounded down
    return Slot(
        starts_at + number * length // count * _MICROSECOND,
        starts_at + (number + 1) * length // count * _MICROSECOND,
    )


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
