"""A desk's habits: when it is likely to open during the coming day, learnt from its visits.

Every opening that was seen is evidence for several explanations at once:

weekly    it comes back on the same weekday and minute
class     it comes back at the same minute of every workday, or of every day of the weekend
daily     it comes back at the same minute of every day
routine   it has no date: openings come at some hours, perhaps at some minutes of the hour (``routine.py``)

Each explanation counts how often it would have been right (openings near the same place of its fold) among
the times it could have been (days on which a visit would have seen it). Openings are shared out among the
explanations by how well the *other* openings foretell them; repeated some times, explanations that foretell
nothing fade. What is foretold of a minute is the sum over explanations, plus what nothing has been seen of
yet: it shrinks with every visit that found nothing there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from guichets.schedule.watch.arrays import Bools, Floats, Ints
from guichets.schedule.watch.lengths import Length, fit_length
from guichets.schedule.watch.openings import Openings, find_openings
from guichets.schedule.watch.prior import Prior
from guichets.schedule.watch.routine import Routine, RoutineFit, Visits
from guichets.schedule.watch.zones import DAY, local_seconds

HORIZON = 1440  # minutes foretold
MEMORY_DAYS = 42
MOST_OPENINGS = 96  # that are looked at two by two
MOST_ROUTINE = 300
HALF_LIFE_DAYS = 12.0
ROUTINE_DAYS = 24
WEEKLY_HALF_LIFE_DAYS = 24.0
BIN_SECONDS = 300
BINS = DAY // BIN_SECONDS  # of a day
CHAPTER_BINS = 64 * BINS  # whose places in the week are worked out at once
WIDTHS = (1.5, 4.0, 9.0)  # standard deviations of a release's minute that are tried
ROUNDS = 5
CURIOSITY = 5.0  # a return seen once is worth as many times more: to know whether it comes is worth much
WORTH = 3.0  # and so much more is a habit nothing was seen of yet: once found, it is seen week after week
RELEASE = 2.0  # openings without a date: what a release is worth, which holds more than one appointment
TAIL = 0.3  # of what comes back: strays farther than its returns so far, which came where we looked
NEAR_MINUTES = 12.0
DOUBT = 0.5  # days without it that are added to every explanation's record
REACH = 30  # minutes around an opening that its return is looked for in
WEEK_MINUTES = 7 * 1440

WEEKLY, CLASS, DAILY, ROUTINE = slice(0, 3), slice(3, 6), slice(6, 9), 9
EXPLANATIONS = 10

_OFFSETS = np.arange(-REACH, REACH + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Habits:
    """What is foretold of a desk from an instant on."""

    intensity: Floats  # expected openings in each of the coming minutes
    pattern: Floats  # the part of it that comes back: not chance, not the unknown
    novelty: Floats  # the part nothing has been seen of
    best: Floats  # the best chance, within a form's interval after each minute, of finding the desk open
    is_cycle: Bools  # whether what comes back then does so each hour
    length: Length
    openings: Openings
    learnt: Learnt | None = None  # None: it was never seen open


@dataclass(frozen=True, slots=True)
class Place:
    """Where openings fall in each fold."""

    week_minute: Floats
    minute: Floats  # of the day
    weekday: Ints
    is_weekend: Bools
    bin: Ints  # of the week


def learn_habits(
    times: Floats, offered: Bools, *, timezone: str, now: float, first: int, prior: Prior
) -> Habits:
    """``times``: visits before ``now``, in unix seconds, in order, with what they found.

    Foretold from ``first`` on, a minute since 1970.
    """
    length = fit_length(times, offered, usual_minutes=prior.length_minutes)
    openings = find_openings(times, offered, length_minutes=length.minutes, most=MOST_ROUTINE)
    watched, watched_longer = _watched(times, timezone, now, length.minutes)
    record = _Record.of(watched, watched_longer)
    if not len(openings):
        return _foretold(record, prior, timezone, first, length, openings)
    local = local_seconds(timezone, times)
    weights = 0.5 ** ((now - openings.seen_at) / (DAY * HALF_LIFE_DAYS))
    weights = np.where(openings.seen_at > now - ROUTINE_DAYS * DAY, weights, 1e-9)
    back = np.diff(times, prepend=times[0] - 3600) / 60
    lately = times > now - ROUTINE_DAYS * DAY
    age = (now - times[lately]) / DAY
    fit = RoutineFit(
        _visits(local[lately], back[lately], 0.5 ** (age / HALF_LIFE_DAYS)),
        _visits(local_seconds(timezone, openings.seen_at), openings.back, weights),
        length.minutes,
    )
    guess = fit.learn(np.ones(len(openings)))
    latest = slice(-MOST_OPENINGS, None)
    openings = Openings(
        openings.seen_at, openings.seen_at - 60 * guess.back, np.maximum(guess.spread, 0.2), openings.back
    )
    place = _place(local_seconds(timezone, openings.begun_at[latest]))
    age = (now - openings.seen_at[latest]) / DAY
    kept = np.empty((EXPLANATIONS, len(age)))
    kept[:] = 0.5 ** (age / HALF_LIFE_DAYS)
    kept[WEEKLY] = 0.5 ** (age / WEEKLY_HALF_LIFE_DAYS)
    shares = _shares(place, openings.spread[latest], kept, record, prior, guess.told[latest])
    usual = float((shares[ROUTINE] * kept[ROUTINE]).sum() / kept[ROUTINE].sum())
    without_date = np.full(len(openings), usual)
    without_date[latest] = shares[ROUTINE]
    routine = fit.learn(without_date, 1)
    return _foretold(
        record,
        prior,
        timezone,
        first,
        length,
        openings.latest(MOST_OPENINGS),
        Learnt(place, shares, kept, record.at(place), routine),
    )


def _visits(local: Floats, back: Floats, weight: Floats) -> Visits:
    minute = (local / 60).astype(np.int64)
    weekend = ((minute // 1440 + 3) % 7 >= 5).astype(np.int64)  # the first of January 1970 was a Thursday
    return Visits(minute % 1440, weekend, back, weight)


@dataclass(frozen=True, slots=True)
class Learnt:
    """What explains the openings of a desk."""

    place: Place
    shares: Floats  # explanations × openings; of an opening they add up to one
    kept: Floats  # weight of each opening by its age
    watched: Floats  # days, by age, on which each explanation could have been right there
    routine: Routine


def _place(local: Floats) -> Place:
    week_minute = (local / 60 - 4 * 1440) % WEEK_MINUTES  # the first of January 1970 was a Thursday
    weekday = (week_minute // 1440).astype(np.int64)
    minute = week_minute % 1440
    return Place(
        week_minute,
        minute,
        weekday,
        weekday >= 5,
        (week_minute * 60 // BIN_SECONDS).astype(np.int64) % (7 * BINS),
    )


def _watched(times: Floats, timezone: str, now: float, length_minutes: float) -> tuple[Floats, Floats]:
    """For each part of the week: on how many days an opening there would have been seen, by age."""
    if not len(times):
        return np.zeros((7, BINS)), np.zeros((7, BINS))
    first = max(times[0], now - MEMORY_DAYS * DAY) // BIN_SECONDS * BIN_SECONDS + BIN_SECONDS / 2
    middles = np.arange(first, min(now, times[-1]), BIN_SECONDS)
    if not len(middles):
        return np.zeros((7, BINS)), np.zeros((7, BINS))
    counts = np.bincount(
        ((times - first) // BIN_SECONDS + 1).astype(np.int64).clip(0), minlength=len(middles)
    )
    following = np.cumsum(counts[: len(middles)])
    waits = (times[following] - middles).astype(np.float32)
    kept = np.exp2((now - middles[::BINS]) / (-DAY * WEEKLY_HALF_LIFE_DAYS))
    kept = np.repeat(kept, BINS)[: len(middles)]
    seen = np.exp(waits * np.float32(-1 / (60 * length_minutes))) * kept
    bins = _week_bins(timezone, int(first // BIN_SECONDS), len(middles))
    longer = np.bincount(bins, seen, 7 * BINS)
    shorter = np.bincount(bins, seen * kept, 7 * BINS)
    return shorter.reshape(7, BINS).astype(np.float64), longer.reshape(7, BINS).astype(np.float64)


def _week_bins(timezone: str, first: int, count: int) -> Ints:
    """The part of the local week in which each of so many bins of five minutes since 1970 lies."""
    chapter, place = divmod(first, CHAPTER_BINS)
    return _chapter_bins(timezone, chapter)[place : place + count]


@lru_cache(maxsize=32)
def _chapter_bins(timezone: str, chapter: int) -> Ints:
    """Of all bins from a chapter's first on, and as many as anyone remembers more."""
    numbers = chapter * CHAPTER_BINS + np.arange(CHAPTER_BINS + (MEMORY_DAYS + 1) * BINS)
    local = local_seconds(timezone, BIN_SECONDS * (numbers + 0.5))
    return ((local - 4 * DAY) // BIN_SECONDS).astype(np.int64) % (7 * BINS)


@dataclass(frozen=True, slots=True)
class _Record:
    """Days on which each explanation could have been right, by place."""

    week: Floats  # 7 × BINS
    kinds: Floats  # workdays, weekend × BINS
    day: Floats  # BINS
    flat: float

    @classmethod
    def of(cls, watched: Floats, longer: Floats) -> _Record:
        kinds = np.stack([watched[:5].sum(axis=0), watched[5:].sum(axis=0)])
        day = kinds.sum(axis=0)
        return cls(week=longer, kinds=kinds, day=day, flat=float(day.mean()))

    def at(self, place: Place) -> Floats:
        """Explanations × openings."""
        found = np.empty((EXPLANATIONS, len(place.bin)))
        of_day = place.bin % BINS
        weekend = place.is_weekend.astype(np.int64)
        found[WEEKLY] = self.week.ravel()[place.bin]
        found[CLASS] = self.kinds[weekend, of_day]
        found[DAILY] = self.day[of_day]
        found[ROUTINE] = self.flat
        return found


def _shares(
    place: Place, spread: Floats, kept: Floats, record: _Record, prior: Prior, by_routine: Floats
) -> Floats:
    """What explains each opening: explanations × openings, each opening's shares adding up to one."""
    watched = record.at(place)
    unknown = prior.unknown(place.minute, watched)
    shares: Floats = unknown / unknown.sum(axis=0)
    if len(spread) == 1:
        return shares
    kernels = _kernels(place, spread)
    could = np.maximum(watched[:ROUTINE] - 0.8 * kept[:ROUTINE], 0.0) + DOUBT
    told = np.empty_like(shares)
    for _ in range(ROUNDS):
        counted = (shares * kept)[:ROUTINE].astype(np.float32)
        told[:ROUTINE] = np.matmul(kernels, counted[:, :, None])[:, :, 0] / could
        told[ROUTINE] = by_routine * (shares[ROUTINE] * kept[ROUTINE]).sum() / kept[ROUTINE].sum()
        told += unknown
        shares = told / told.sum(axis=0)
    return shares


def _kernels(place: Place, spread: Floats) -> Floats:
    """How much an opening foretells another, per minute: explanations × openings × openings, none itself."""
    count = len(spread)
    kernels = np.empty((ROUTINE, count, count), dtype=np.float32)
    minute = place.minute.astype(np.float32)
    apart = np.abs(minute[:, None] - minute)
    np.minimum(apart, 1440 - apart, out=apart)
    week_minute = place.week_minute.astype(np.float32)
    week_apart = np.abs(week_minute[:, None] - week_minute)
    same_weekday = np.minimum(week_apart, WEEK_MINUTES - week_apart) < 720
    alike = place.is_weekend[:, None] == place.is_weekend
    blur = (spread[:, None] ** 2 + spread**2).astype(np.float32)
    for number, width in enumerate(WIDTHS):
        spans = blur + width * width
        near = np.exp(apart * apart / (-2 * spans)) / np.sqrt(2 * np.pi * spans)
        kernels[number] = near * same_weekday
        kernels[3 + number] = near * alike
        kernels[6 + number] = near
    kernels[:, np.arange(count), np.arange(count)] = 0
    return kernels


def _foretold(
    record: _Record,
    prior: Prior,
    timezone: str,
    first: int,
    length: Length,
    openings: Openings,
    learnt: Learnt | None = None,
) -> Habits:
    ahead = _day_ahead(timezone, first)
    watched = record.at(ahead.bins)
    unknown = prior.unknown(ahead.bins.minute, watched)
    unknown[:ROUTINE] *= WORTH
    novelty = unknown.sum(axis=0)[ahead.bin_of]
    if learnt is None:
        nothing = np.zeros(HORIZON)
        best = _best_soon(novelty, length.minutes)
        return Habits(novelty, nothing, novelty, best, nothing > 0, length, openings)
    counted = learnt.shares * learnt.kept
    counted[:ROUTINE] *= RELEASE * (1 + CURIOSITY / _support(learnt.place) ** 2)
    pattern = _returns(learnt.place, openings.spread, counted, watched, ahead)
    routine = learnt.routine
    intensity = pattern + novelty + routine.rate[ahead.kind, ahead.minute]
    cycle = routine.pattern[ahead.kind, ahead.minute]
    is_cycle = cycle > pattern
    pattern += cycle
    best = _best_soon(intensity, length.minutes)
    return Habits(intensity, pattern, novelty, best, is_cycle, length, openings, learnt)


def _support(place: Place) -> Floats:
    """How many openings, each included, came near the minute of the day of each."""
    apart = np.abs(place.minute[:, None] - place.minute)
    near: Floats = (np.minimum(apart, 1440 - apart) < NEAR_MINUTES).sum(axis=1).astype(np.float64)
    return near


def _best_soon(intensity: Floats, length_minutes: float) -> Floats:
    """The best chance, within a quarter of an hour after each minute, that a desk not visited is open."""
    steps = (1, 2, 4, 8, 16, 32)
    before = sum(steps)
    open_then = np.concatenate([intensity[-before:], intensity])
    kept = math.exp(-1 / length_minutes)
    for step in steps:  # sums what began up to 63 minutes before, each doubling its reach
        open_then[step:] += kept**step * open_then[:-step]
    open_then = open_then[before:]
    best = np.concatenate([open_then, open_then[:16]])
    for step in (1, 2, 4, 8):
        best = np.maximum(best[:-step], best[step:])
    return best[1 : 1 + HORIZON]


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The coming minutes on the desk's clock, and the parts of the week they lie in."""

    bins: Place
    bin_of: Ints  # of each minute, its place in ``bins``
    position: Ints  # local minutes after the first
    start: int  # local minutes since 1970
    week_start: int
    minute: Ints  # of the day
    kind: Ints  # 0 workday, 1 weekend
    is_weekend_at: Bools  # by ``position``


@lru_cache(maxsize=16)
def _day_ahead(timezone: str, minute: int) -> _Ahead:
    local = local_seconds(timezone, 60.0 * (minute + np.arange(HORIZON)))
    numbers = local // BIN_SECONDS
    unique, bin_of = np.unique(numbers, return_inverse=True)
    place = _place(local)
    start = int(local[0] // 60)
    position = (local // 60).astype(np.int64) - start
    is_weekend_at = np.zeros(int(position.max()) + 1441, dtype=bool)
    is_weekend_at[position] = place.is_weekend
    return _Ahead(
        bins=_place(unique * BIN_SECONDS + BIN_SECONDS / 2),
        bin_of=bin_of,
        position=position,
        start=start,
        week_start=int(place.week_minute[0]),
        minute=place.minute.astype(np.int64),
        kind=place.is_weekend.astype(np.int64),
        is_weekend_at=is_weekend_at,
    )


def _returns(place: Place, spread: Floats, shares: Floats, watched: Floats, ahead: _Ahead) -> Floats:
    """Openings that come back at their minute of the day, on all days or some."""
    whole = np.floor(place.minute)
    away = (_OFFSETS - (place.minute - whole)[:, None]).astype(np.float32)
    away *= away
    near = np.empty((3, len(whole), len(_OFFSETS)), dtype=np.float32)
    for number, width in enumerate(WIDTHS):
        spans = (spread * spread + width * width)[:, None].astype(np.float32)
        near[number] = np.exp(away / (-2 * spans)) / np.sqrt(2 * np.pi * spans)
    near[:-1] = (1 - TAIL) * near[:-1] + TAIL * near[1:]
    total = np.zeros(HORIZON)
    grid = int(max(ahead.position[-1] + 1, 1440))
    minute = whole[:, None].astype(np.int64) + _OFFSETS
    day_place = (minute - ahead.start) % 1440
    week_minute = np.floor(place.week_minute)[:, None].astype(np.int64) + _OFFSETS
    week_place = (week_minute - ahead.week_start) % WEEK_MINUTES
    for part, where, number in ((WEEKLY, week_place, 0), (CLASS, day_place, 3), (DAILY, day_place, 6)):
        amount = np.einsum("ki,kij->ij", shares[part], near)
        if part is WEEKLY:
            inside = where < grid
            amount = amount * inside
            where = np.where(inside, where, 0)
        elif part is CLASS:
            amount = amount * (ahead.is_weekend_at[where] == place.is_weekend[:, None])
        sums = np.bincount(where.ravel(), amount.ravel(), grid)
        position = ahead.position if part is WEEKLY else ahead.position % 1440
        total += sums[position] / (watched[number] + DOUBT)[ahead.bin_of]
    return total
