"""Learning from sightings, and allotting watch probes minute by minute."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from random import Random

import numpy as np

from guichets.schedule.watch.arrays import Bools
from guichets.schedule.watch.budget import Budget
from guichets.schedule.watch.explain import explain
from guichets.schedule.watch.habits import HORIZON, ROUTINE, Habits, learn_habits
from guichets.schedule.watch.instants import CLOSE_PER_DAY, CLOSEST_SECONDS, Minute
from guichets.schedule.watch.model import LearntDesk, PlannedProbe, Reason, Sighting, WatchedDesk
from guichets.schedule.watch.outlook import Outlook
from guichets.schedule.watch.prices import Prices
from guichets.schedule.watch.prior import PARTS, Kinship
from guichets.schedule.watch.record import Record
from guichets.schedule.watch.zones import local_seconds

DAY = 86_400.0
MORNING = 8 * 3600.0  # after midnight, all slots of the night are over
LEARNT = 0.004  # openings that come back, per minute, from which on a minute is inside a learnt release
GRACE = 10  # minutes after those, still inside: a release may be late
FOLLOW_UPS = 3  # visits that bound how long an opening lasted
KNOWN_LENGTH = 10  # endings seen, from which on few openings are followed up
FOLLOWED_SHARE = 0.15
EXPLORED_SHARE = 0.1  # of the budget: drawn at random, whatever they promise
PRICE_EVERY = 60  # minutes
PRICE_EVERY_AT_FIRST = 5  # while desks are still to be thought over, after a start
REFIT_MINUTES = 1440
SOONEST_REFIT_MINUTES = 30
FITS_PER_MINUTE = 8
FITS_AT_FIRST = 24  # a minute, while desks are new: the sooner all are known, the better
FEWEST_TO_TEACH = 3  # openings
REREAD_MINUTES = 20  # in which all known baseline instants are read anew
TOGETHER = 10  # minutes: desks learnt within them share what depends on the instant alone
LONGEST_GAP = 30  # minutes without planning that are made up for one by one


class Watch:
    """Learns from sightings and allots watch probes, one minute at a time.

    ``every_minutes`` is the whole budget, baseline probes included: one probe per desk in that time on
    average; 0 or less means none. A probe keeps its host busy for ``delay_seconds``, or the host's own if
    longer, × ``requests_per_probe``.
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
        self._delay_seconds, self._requests = delay_seconds, requests_per_probe
        self._interval = form_interval_seconds
        self._seed = seed
        self._budget = Budget(every_minutes=every_minutes, desks=0)
        self._prices = Prices()
        self._novelty_of_day = 0.0  # the mean over its minutes
        self._resting: frozenset[str] = frozenset()
        self._minute: int | None = None
        self._desks: list[WatchedDesk] = []
        self._index: dict[str, int] = {}
        self._records: list[Record] = []
        self._habits: list[Habits | None] = []
        self._outlook = Outlook(0)
        self.set_desks(desks)

    def set_desks(self, desks: Iterable[WatchedDesk]) -> None:
        """The catalogue changed: what is known of the desks that stay is kept, whatever else of them
        changed.
        """
        before, old, records, habits = self._index, self._desks, self._records, self._habits
        self._desks = list({desk.id: desk for desk in desks}.values())
        self._index = {desk.id: number for number, desk in enumerate(self._desks)}
        stay = [(number, before[name]) for name, number in self._index.items() if name in before]
        count = len(self._desks)
        self._records = [Record() for _ in self._desks]
        self._habits = [None] * count
        self._next_fit = np.zeros(count, dtype=np.int64)
        for here, there in stay:
            self._records[here] = records[there]
            if self._desks[here].timezone == old[there].timezone:
                self._habits[here] = habits[there]
        outlook = Outlook(count)
        outlook.keep(self._outlook, stay)
        self._outlook = outlook
        self._budget.resize(count)
        numbers = {host: number for number, host in enumerate(sorted({desk.host for desk in self._desks}))}
        self._zones = Counter(desk.timezone for desk in self._desks)
        self._clock_changes = (-math.inf, 0.0)  # since when, and how many probes more
        self._host = [numbers[desk.host] for desk in self._desks]
        members: list[list[int]] = [[] for _ in numbers]
        for number, host in enumerate(self._host):
            members[host].append(number)
        self._host_last = [-math.inf] * len(numbers)
        self._busy_seconds = [
            self._requests
            * max(self._delay_seconds, *(self._desks[number].delay_seconds or 0.0 for number in of_host))
            for of_host in members
        ]
        self._longest_busy = max(self._busy_seconds, default=0.0)
        self._parts = np.zeros((count, PARTS), dtype=np.float32)
        self._dated = np.full(count, math.nan)
        self._kinship = Kinship(self._desks)
        for number, known in enumerate(self._habits):
            if known is not None:
                self._teach(number, known)
        self._kinship.teach(self._parts, self._dated)
        self._due: list[datetime | None] = [None] * count
        self._due_at = np.full(count, math.inf)
        self._follow = np.full(count, math.inf)
        self._followed = [0] * count
        self._dense_price = np.zeros(count)
        self._last = np.full(count, -math.inf)
        for number in range(count):
            self._take_last(number)
        self.rest(self._resting)

    def rest(self, hosts: Collection[str]) -> None:
        """These hosts, and no others, get no watch probes until the next call."""
        self._resting = frozenset(hosts)
        self._rests = np.fromiter((desk.host in self._resting for desk in self._desks), dtype=bool)

    # Learning

    def learn(self, sighting: Sighting) -> None:
        """Take one visit in. Of desks that are not watched: ignored."""
        number = self._index.get(sighting.desk_id)
        if number is None:
            return
        at = sighting.at.timestamp()
        host = self._host[number]
        if at > self._host_last[host]:
            self._host_last[host] = at
        self._budget.note(int(at // 60))
        found = sighting.is_offered
        if not self._records[number].add(at, found, self._interval):
            return
        self._last[number] = at
        if found is None:
            return
        is_new = found and self._outlook.open[number] < 0.3
        self._outlook.saw(number, is_offered=found)
        if not found:
            self._follow[number] = math.inf
            return
        if is_new:
            self._followed[number] = 0
            self._hasten_fit(number)
        self._plan_follow_up(number, at)

    def learn_history(self, desk_id: str, sightings: Iterable[Sighting]) -> None:
        """``learn`` of many sightings of one desk, in order of time: the same outcome, sooner."""
        number = self._index.get(desk_id)
        if number is None:
            return
        record, interval = self._records[number], self._interval
        for sighting in sightings:
            record.add(sighting.at.timestamp(), sighting.is_offered, interval)
        self._take_last(number)
        for at in record.since(self._last[number] - DAY):
            self._budget.note(int(at // 60))
        self._next_fit[number] = 0

    def _take_last(self, number: int) -> None:
        """What the last visits of a record mean for the next one."""
        record = self._records[number]
        if not record.times:
            return
        self._last[number] = record.times[-1]
        host = self._host[number]
        self._host_last[host] = max(self._host_last[host], record.times[-1])
        self._outlook.open[number] = 1.0 if record.was_open() else 0.0

    def _hasten_fit(self, number: int) -> None:
        """A desk opened: the less was known of it, the sooner that is thought over."""
        habits = self._habits[number]
        known = 0 if habits is None else len(habits.openings)
        wished = self._records[number].fitted + int(SOONEST_REFIT_MINUTES * (1 + known) ** 1.3)
        self._next_fit[number] = min(self._next_fit[number], wished)

    def _plan_follow_up(self, number: int, at: float) -> None:
        count, habits = self._followed[number], self._habits[number]
        self._follow[number] = math.inf
        if count >= FOLLOW_UPS or habits is None:
            return
        length = habits.length
        fate = Random(f"{self._seed} {self._desks[number].id} {at}")
        if length.evidence > KNOWN_LENGTH and fate.random() > FOLLOWED_SHARE:
            return
        self._followed[number] = count + 1
        self._follow[number] = at + max(1.25 * CLOSEST_SECONDS, 42 * length.minutes * 2**count)

    def _fit(self, number: int, now: int) -> None:
        record = self._records[number]
        first = now // TOGETHER * TOGETHER
        habits, _ = self._think_over(number, 60.0 * now, first)
        self._habits[number] = habits
        self._outlook.set(number, habits, first)
        self._dense_price[number] = 0.35 * habits.pattern.sum() / CLOSE_PER_DAY
        self._teach(number, habits)
        # The first time, desks are spread over the day; afterwards each keeps its minute.
        spread = number * 7 % 120 if record.fitted < 0 else 0
        self._next_fit[number] = first + REFIT_MINUTES - TOGETHER * spread
        record.fitted = now

    def _think_over(self, number: int, now: float, first: int) -> tuple[Habits, int]:
        """What visits before ``now`` say of a desk, foretold from minute ``first`` on; how many they are."""
        times, offered = self._records[number].evidence(now)
        habits = learn_habits(
            times,
            offered,
            timezone=self._desks[number].timezone,
            now=now,
            first=first,
            prior=self._kinship.prior(number),
        )
        return habits, len(times)

    def _teach(self, number: int, habits: Habits) -> None:
        """Keep what the desk says about others."""
        self._parts[number] = 0.0
        self._dated[number] = math.nan
        learnt = habits.learnt
        if learnt is None:
            return
        share = learnt.shares[:ROUTINE].sum(axis=0)
        parts = (learnt.place.minute // (1440 // PARTS)).astype(np.int64)
        self._parts[number] = np.minimum(np.bincount(parts, share * (share > 0.5), PARTS), 1.0)
        if len(share) >= FEWEST_TO_TEACH:
            self._dated[number] = share.mean()

    # Allotting

    def plan(self, minute: datetime, baseline: Mapping[str, datetime]) -> list[PlannedProbe]:
        """Watch probes of [minute, minute + 60 s), in order of time; they are to be made, and learnt.

        ``baseline``: next baseline instant of each desk; those that are more than a quarter of an hour away
        may be left out. Baseline probes are the caller's and never moved: the plan keeps its distance.
        """
        if self._budget.every_minutes <= 0 or not self._desks:
            return []
        start = minute.timestamp()
        now = int(start // 60)
        self._forget_future(start)
        self._advance(now)
        self._note_due(now, start + 60, baseline)
        due = (np.minimum(np.maximum(self._due_at, 0.0), 1e12) / 60).astype(np.int64)
        room = self._budget.room(now, due=due, clock_change=self._clock_change(start))
        if room <= 0:
            return []
        fate = Random(f"{self._seed} {now}")
        slots = Minute(start, interval_seconds=self._interval, fate=fate)
        host_due = self._host_due(start)
        planned: list[PlannedProbe] = []
        for number, reason, weight, is_dense in self._candidates(now, slots):
            if len(planned) >= room:
                break
            self._read_due([number], baseline)
            host = self._host[number]
            at = slots.place(
                host,
                self._records[number],
                last=self._last[number],
                due=self._due_at[number],
                host_last=self._host_last[host],
                probe_seconds=self._busy_seconds[host],
                host_due=host_due[host],
                is_dense=is_dense,
            )
            if at is not None:
                instant = datetime.fromtimestamp(at, UTC)
                planned.append(PlannedProbe(self._desks[number].id, instant, reason, weight, is_dense))
        self._budget.note_planned(now, len(planned))
        planned.sort(key=lambda probe: probe.at)
        for probe in planned:  # it keeps its host busy before it is learnt, too
            self._host_last[self._host[self._index[probe.desk_id]]] = probe.at.timestamp()
        return planned

    def _candidates(self, now: int, minute: Minute) -> Iterator[tuple[int, Reason, float, bool]]:
        """Desks worth a visit, the best first, then follow-ups, then some drawn at random; none twice."""
        outlook, place = self._outlook, now % len(self._outlook.intensity)
        price = self._prices.price
        gain = outlook.gain(now)
        since = minute.end - self._last
        wait = self._due_at - minute.start
        is_free = (since > self._interval) & (wait > self._interval) & ~self._rests
        lately = outlook.pattern[(place - np.arange(GRACE + 1)) % len(outlook.pattern)].max(axis=0)
        is_learnt = (lately >= LEARNT) & ~self._rests & (wait > 0)
        wanted = is_free & (gain >= price) & outlook.is_best_soon(now, since)
        wanted |= is_learnt & (gain >= np.maximum(price, self._dense_price)) & (since > CLOSEST_SECONDS)
        order = np.flatnonzero(wanted)
        for number in order[np.argsort(-gain[order], kind="stable")].tolist():
            yield number, self._reason(number, place), 1.0, bool(is_learnt[number])
        following = np.flatnonzero((self._follow < minute.end) & ~wanted & ~self._rests)
        self._follow[self._follow < minute.end] = math.inf
        for number in following.tolist():
            lately = outlook.pattern[(place - np.arange(20)) % len(outlook.pattern), number]
            yield number, Reason.FOLLOW_UP, 1.0, bool(lately.max() >= LEARNT)
        is_free &= ~wanted
        is_free[following] = False
        for number, chance in self._drawn(now, is_free):
            yield number, Reason.EXPLORE, 1 / chance, False

    def _drawn(self, now: int, is_free: Bools) -> Iterator[tuple[int, float]]:
        """The explored share: half of it anywhere, half where most is unknown."""
        fresh = np.where(is_free, self._outlook.fresh + 1e-9, 0.0)
        total = fresh.sum()
        if not total:
            return
        count = len(self._desks)
        novelty = self._outlook.novelty
        by_day = novelty[now % len(novelty)].sum() / max(float(self._novelty_of_day), 1e-12)
        rate = EXPLORED_SHARE * count / self._budget.every_minutes * min(3.0, by_day)
        chance = np.minimum(1.0, rate * (fresh / total + is_free / count) / 2)
        draws = np.random.default_rng([self._seed & 0xFFFFFFFF, now]).random(count)
        for number in np.flatnonzero(draws < chance).tolist():
            yield number, float(chance[number])

    def _reason(self, number: int, place: int) -> Reason:
        outlook = self._outlook
        if outlook.novelty[place, number] > 0.5 * outlook.intensity[place, number]:
            return Reason.EXPLORE
        return Reason.CYCLE if outlook.is_cycle[place, number] else Reason.RELEASE

    def _advance(self, now: int) -> None:
        outlook = self._outlook
        if self._minute is None or not 0 <= now - self._minute <= LONGEST_GAP:
            self._minute = now - 1
            outlook.resume(now, (60.0 * now - np.maximum(self._last, 0.0)) / 60)
        is_weighed = now % PRICE_EVERY == 0
        if not is_weighed or not self._prices.known:  # one of the two, for no minute to take long
            for number in self._due_fits(now):
                self._fit(number, now)
        while self._minute < now:
            self._minute += 1
            outlook.advance(self._minute)
        is_started = now % PRICE_EVERY_AT_FIRST == 0 and None in self._habits
        if is_weighed or is_started or not self._prices.known:
            self._kinship.teach(self._parts, self._dated)
            foretold = 1 - self._habits.count(None) / len(self._habits)
            self._prices.set(outlook, now, self._budget, foretold=foretold)
            self._novelty_of_day = float(outlook.novelty.sum(dtype=np.float64)) / HORIZON

    def _due_fits(self, now: int) -> list[int]:
        """Desks to be thought over in this minute: those that were seen open first, where all are new."""
        due = np.flatnonzero(self._next_fit <= now).tolist()
        if len(due) <= FITS_PER_MINUTE:
            return due
        due.sort(key=lambda number: (self._habits[number] is not None, not self._records[number].has_opened))
        new = sum(self._habits[number] is None for number in due)
        return due[: min(max(new, FITS_PER_MINUTE), FITS_AT_FIRST)]

    def _note_due(self, now: int, end: float, baseline: Mapping[str, datetime]) -> None:
        """Read anew what is past or unknown, and some of the rest: an instant to come seldom changes."""
        stale = (self._due_at < end) | np.isinf(self._due_at)
        stale[now % REREAD_MINUTES :: REREAD_MINUTES] = True
        self._read_due(np.flatnonzero(stale).tolist(), baseline)

    def _read_due(self, numbers: Iterable[int], baseline: Mapping[str, datetime]) -> None:
        due, desks = self._due, self._desks
        for number in numbers:
            at = baseline.get(desks[number].id)
            if at is not due[number]:
                due[number] = at
                self._due_at[number] = math.inf if at is None else at.timestamp()

    def _host_due(self, start: float) -> Mapping[int, list[float]]:
        """Baseline probes to come that may keep a host busy in the minute that begins, by host."""
        reach = self._longest_busy
        found: defaultdict[int, list[float]] = defaultdict(list)
        near = (self._due_at > start - reach) & (self._due_at < start + 60 + reach)
        for number in np.flatnonzero(near).tolist():
            found[self._host[number]].append(float(self._due_at[number]))
        return found

    def _clock_change(self, start: float) -> float:
        """How many more baseline probes than usual come within a day because clocks go forward.

        They come in the morning after the night, an hour sooner than the day before: until then room is kept.
        """
        quarter = start // 900 * 900  # clocks change at full quarters of an hour
        if self._clock_changes[0] != quarter:
            instants = np.asarray([quarter - MORNING, quarter + DAY])
            more = 0.0
            for timezone, count in self._zones.items():
                now, later = local_seconds(timezone, instants)
                more += count * max(0.0, (later - now - DAY - MORNING) / 3600)
            self._clock_changes = quarter, more
        return self._clock_changes[1]

    def _forget_future(self, start: float) -> None:
        """A clock jumped: visits later than now cannot have been."""
        for number in np.flatnonzero(self._last > start + DAY).tolist():
            self._records[number].forget_after(start)
            self._last[number] = -math.inf
            self._take_last(number)
            self._host_last[self._host[number]] = self._last[number]

    # States

    def snapshot(self, desk_id: str) -> bytes:
        """What is known of a desk, small and versioned, for ``restore``."""
        return self._records[self._index[desk_id]].packed()

    def restore(self, desk_id: str, state: bytes) -> None:
        """Take up a desk where a snapshot left it. Raises WatchStateError when it cannot be read."""
        record = Record.unpacked(desk_id, state, self._interval)
        number = self._index[desk_id]
        counted = {round(at) for at in self._records[number].since(self._last[number] - DAY)}
        self._records[number] = record
        self._habits[number] = None
        self._next_fit[number] = 0
        self._take_last(number)
        for at in record.since(self._last[number] - DAY):
            if round(at) not in counted:  # a desk relearnt while it is watched
                self._budget.note(int(at // 60))

    def learnt(self, desk_id: str) -> LearntDesk:
        """What has been learnt of a desk, for people. Raises KeyError for a desk that is not watched."""
        number = self._index[desk_id]
        now = 60.0 * (self._last[number] // 60 + 1) if self._records[number].times else 0.0
        habits, sightings = self._think_over(number, now, int(now // 60))
        return explain(habits, timezone=self._desks[number].timezone, sightings=sightings)
