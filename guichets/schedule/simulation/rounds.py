"""Rounds of visits known ahead: the baseline's, and those of uniform visits, as hosts can serve them.

A host serves its due desks one after the other, each for as long as a probe takes. Nothing here looks at a
trace.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from zoneinfo import ZoneInfo

from guichets.schedule.baseline import Pattern, Slot, instant_in
from guichets.schedule.watch import WatchedDesk

FORM_INTERVAL_SECONDS = 900.0
PROBE_SECONDS = 40.0  # four requests, one each ten seconds


@dataclass(frozen=True, slots=True, order=True)
class Visit:
    """One visit that will be made."""

    at: float  # unix seconds
    desk_id: str


def baseline_round(desks: Sequence[WatchedDesk], start: float, end: float) -> list[Visit]:
    """Baseline visits from ``start`` until before ``end``, in order: the schedule's own instants.

    A visit waits for its host, and for a quarter of an hour after the desk's last; a slot that is over by
    then stays missed.
    """
    slots = {zone: list(_slots(ZoneInfo(zone), start, end)) for zone in {desk.timezone for desk in desks}}
    visits: list[Visit] = []
    for members in _by_host(desks).values():
        visits += _serve(members, slots, start, end)
    return sorted(visits)


def uniform_round(
    desks: Sequence[WatchedDesk], start: float, end: float, *, every_minutes: float, seed: int
) -> list[Visit]:
    """Each desk once in ``every_minutes``, evenly, from a random phase; none closer than a form allows."""
    every = max(60 * every_minutes, FORM_INTERVAL_SECONDS)
    fate = Random(f"{seed}/uniform")
    visits: list[Visit] = []
    for members in _by_host(desks).values():
        due = [(start + fate.random() * every, desk.id) for desk in members]
        heapq.heapify(due)
        free = start
        while due[0][0] < end:
            ready, desk_id = due[0]
            at = max(ready, free)
            if at >= end:
                break
            visits.append(Visit(at, desk_id))
            free = at + PROBE_SECONDS
            following = ready + every
            heapq.heapreplace(due, (max(following, at + FORM_INTERVAL_SECONDS), desk_id))
    return sorted(visits)


def _by_host(desks: Sequence[WatchedDesk]) -> dict[str, list[WatchedDesk]]:
    hosts: dict[str, list[WatchedDesk]] = {}
    for desk in desks:
        hosts.setdefault(desk.host, []).append(desk)
    return hosts


def _slots(zone: ZoneInfo, start: float, end: float) -> Iterator[Slot]:
    pattern = Pattern()
    slot = pattern.slot_at(datetime.fromtimestamp(start, UTC), zone)
    while slot.starts_at.timestamp() < end:
        yield slot
        slot = pattern.slot_after(slot, zone)


def _serve(
    members: Sequence[WatchedDesk], slots: dict[str, list[Slot]], start: float, end: float
) -> Iterator[Visit]:
    ends = {zone: [slot.ends_at.timestamp() for slot in rows] for zone, rows in slots.items()}
    due: list[tuple[float, int, int]] = []  # instant, desk, number of the slot
    for place, desk in enumerate(members):
        ready = instant_in(slots[desk.timezone][0], desk.id).timestamp()
        number = 0
        if ready < start:
            number, ready = _later(desk, slots[desk.timezone], 1)
        due.append((ready, place, number))
    heapq.heapify(due)
    free = start
    while due and due[0][0] < end:
        ready, place, number = due[0]
        desk = members[place]
        at = max(ready, free)
        if at >= ends[desk.timezone][number]:  # over before its turn came
            if number + 1 == len(ends[desk.timezone]):
                heapq.heappop(due)
                continue
            number, instant = _later(desk, slots[desk.timezone], number + 1)
            heapq.heapreplace(due, (max(instant, ready), place, number))
            continue
        if at >= end:
            break
        yield Visit(at, desk.id)
        free = at + PROBE_SECONDS
        number, instant = _later(desk, slots[desk.timezone], number + 1)
        heapq.heapreplace(due, (max(instant, at + FORM_INTERVAL_SECONDS), place, number))


def _later(desk: WatchedDesk, slots: Sequence[Slot], number: int) -> tuple[int, float]:
    if number == len(slots):
        return number - 1, float("inf")
    return number, instant_in(slots[number], desk.id).timestamp()
