"""Learning from sightings, and allotting watch probes minute by minute."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from guichets.schedule.watch.model import (
    LearntDesk,
    PlannedProbe,
    Reason,
    Sighting,
    WatchedDesk,
    WatchStateError,
)

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


@dataclass(slots=True)
class _Known:
    sightings: int = 0
    openings: int = 0
    last: datetime | None = None
    was_offered: bool = False


class Watch:
    """Learns from sightings and allots watch probes, one minute at a time.

    ``every_minutes`` is the whole budget, baseline probes included: one probe per desk in that time on
    average; 0 or less means none. A probe keeps its host busy for ``delay_seconds`` × ``requests_per_probe``.
    """

    def __init__(
        self,
        desks: Iterable[WatchedDesk],
        *,
        every_minutes: float,
        delay_seconds: float = 10.0,
        requests_per_probe: float = 4.0,
        form_interval_seconds: float = 900.0,
        seed: int = 0,
    ) -> None:
        self._every_minutes = every_minutes
        self._probe_seconds = delay_seconds * requests_per_probe
        self._form_interval = timedelta(seconds=form_interval_seconds)
        self._seed = seed
        self._desks: dict[str, WatchedDesk] = {}
        self._known: dict[str, _Known] = {}
        self._resting: frozenset[str] = frozenset()
        self._spent: deque[datetime] = deque()
        self.set_desks(desks)

    def set_desks(self, desks: Iterable[WatchedDesk]) -> None:
        """The catalogue changed: what is known of the desks that stay is kept."""
        self._desks = {desk.id: desk for desk in desks}
        self._known = {name: self._known.get(name, _Known()) for name in self._desks}

    def rest(self, hosts: Collection[str]) -> None:
        """These hosts, and no others, get no watch probes until the next call."""
        self._resting = frozenset(hosts)

    def learn(self, sighting: Sighting) -> None:
        """Take one visit in. Of desks that are not watched, or older than the last: ignored."""
        known = self._known.get(sighting.desk_id)
        if known is None:
            return
        self._spent.append(sighting.at)
        if known.last is not None and sighting.at < known.last:
            return
        known.last = sighting.at
        known.sightings += 1
        if sighting.is_offered is not None:
            known.openings += sighting.is_offered and not known.was_offered
            known.was_offered = sighting.is_offered

    def learn_history(self, desk_id: str, sightings: Iterable[Sighting]) -> None:
        """``learn`` of many sightings of one desk, in order of time: the same outcome, sooner."""
        for sighting in sightings:
            self.learn(sighting)

    def plan(self, minute: datetime, baseline: Mapping[str, datetime]) -> list[PlannedProbe]:
        """Watch probes of [minute, minute + 60 s), in order of time; they are to be made, and learnt.

        ``baseline``: next baseline instant of each desk; those that are more than a quarter of an hour away
        may be left out. Baseline probes are the caller's and never moved: the plan keeps its distance.
        """
        if self._every_minutes <= 0:
            return []
        while self._spent and self._spent[0] <= minute - _DAY:
            self._spent.popleft()
        fate = Random(f"{self._seed} {minute.timestamp()}")
        chance = max(0.0, 1 / self._every_minutes - 18 / 1440)
        busy: set[str] = set()
        planned = []
        for name, desk in self._desks.items():
            at = minute + fate.random() * _MINUTE
            last, due = self._known[name].last, baseline.get(name)
            if fate.random() >= chance or desk.host in self._resting or desk.host in busy:
                continue
            if (last is not None and at - last < self._form_interval) or (
                due is not None and abs(due - at) < self._form_interval
            ):
                continue
            busy.add(desk.host)
            planned.append(PlannedProbe(name, at, Reason.EXPLORE, 1 / chance, False))
        return sorted(planned, key=lambda probe: probe.at)

    def snapshot(self, desk_id: str) -> bytes:
        """What is known of a desk, small and versioned, for ``restore``."""
        known = self._known[desk_id]
        last = None if known.last is None else known.last.isoformat()
        return json.dumps([1, known.sightings, known.openings, last, known.was_offered]).encode()

    def restore(self, desk_id: str, state: bytes) -> None:
        """Take up a desk where a snapshot left it. Raises WatchStateError when it cannot be read."""
        try:
            version, sightings, openings, last, was_offered = json.loads(state)
            if version != 1:
                raise ValueError(version)
            at = None if last is None else datetime.fromisoformat(last)
        except (ValueError, TypeError) as error:
            raise WatchStateError(f"{desk_id}: its learnt state cannot be read: relearn it") from error
        self._known[desk_id] = _Known(sightings, openings, at, was_offered)

    def learnt(self, desk_id: str) -> LearntDesk:
        """What has been learnt of a desk, for people. Raises KeyError for a desk that is not watched."""
        known = self._known[desk_id]
        hours = tuple(tuple(0.0 for _ in range(24)) for _ in range(7))
        return LearntDesk(releases=(), weekly_map=hours, sightings=known.sightings, openings=known.openings)
