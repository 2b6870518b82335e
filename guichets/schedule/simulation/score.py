"""What a run was worth: openings seen, how soon, rules kept, and how true its baseline rates are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from guichets.schedule.baseline import Pattern
from guichets.schedule.simulation.rounds import FORM_INTERVAL_SECONDS, PROBE_SECONDS
from guichets.schedule.simulation.run import Made
from guichets.schedule.simulation.trace import Trace
from guichets.schedule.watch.arrays import Bools, Floats
from guichets.statistics.intervals import Pairs, Slots, error_factor, wilson

DAY = 86_400.0
WARM_UP_DAYS = 14.0  # not scored
LATE_SECONDS = 120.0
FOUND_AGAIN_DAYS = 21.0
LENGTHS = ((0, 5), (5, 15), (15, 60), (60, float("inf")))  # minutes
CLOSE_PER_DAY = 60  # visits of a desk that may come within a form's interval
CLOSEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """Openings of one sort, and how many were seen."""

    openings: int
    seen: int
    soon: int  # seen within two minutes
    uniform: float  # how many evenly spaced visits of the same budget see on average

    @property
    def share(self) -> float:
        return self.seen / self.openings if self.openings else float("nan")

    @property
    def against_uniform(self) -> float:
        return self.seen / self.uniform if self.uniform else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Rates of the baseline probes against the trace."""

    desks: int
    mean_error: float  # of desks, in points (hundredths)
    covered: float  # share of desks whose 95 % interval holds the truth
    overall_error: float  # of all desks together, in points


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A run, scored from two weeks after its start on (at once, when it is shorter than that)."""

    probes: int
    baseline: int
    all_kinds: Seen
    longer_than_five: Seen
    kinds: Mapping[str, Seen]
    lengths: Mapping[str, Seen]
    violations: Mapping[str, int]
    rates: Rates | None  # None: no baseline probes
    moved: int  # desks whose hour moved, three weeks or more before the end of the trace
    found_again: int  # of these, seen open at the new hour within three weeks


def score(trace: Trace, probes: Iterable[Made], *, every_minutes: float) -> Score:
    """Score the probes of a run, all of them, in order of time."""
    times: dict[str, list[float]] = {desk.id: [] for desk in trace.desks}
    rated: dict[str, list[float]] = {desk.id: [] for desk in trace.desks}
    for made in probes:
        at = made.at.timestamp()
        times[made.desk_id].append(at)
        if made.purpose == "baseline":
            rated[made.desk_id].append(at)
    visits = {name: np.asarray(rows, dtype=np.float64) for name, rows in times.items()}
    since = trace.start + WARM_UP_DAYS * DAY
    if since >= trace.end:
        since = trace.start
    rows, kinds = _openings(trace, visits, since)
    lengths = (rows[:, 1] - rows[:, 0]) / 60
    again = _found_again(trace, visits)
    chance = np.minimum(1.0, lengths / every_minutes) if every_minutes > 0 else np.zeros(len(rows))
    names = np.asarray(kinds, dtype=object)
    count = sum(map(len, visits.values()))
    baseline = sum(map(len, rated.values()))
    return Score(
        probes=count,
        baseline=baseline,
        all_kinds=_seen(rows, chance, np.ones(len(rows), dtype=bool)),
        longer_than_five=_seen(rows, chance, lengths > 5),
        kinds={kind: _seen(rows, chance, names == kind) for kind in sorted(set(kinds))},
        lengths={
            f"{low} to {high:g} min" if high < float("inf") else f"over {low} min": _seen(
                rows, chance, (lengths >= low) & (lengths < high)
            )
            for low, high in LENGTHS
        },
        violations=violations(trace, visits, every_minutes=every_minutes),
        rates=_rates(trace, rated, since) if baseline else None,
        moved=len(again),
        found_again=sum(again),
    )


def _found_again(trace: Trace, visits: Mapping[str, Floats]) -> list[bool]:
    """Of each desk whose hour moved early enough: whether it was seen open at the new one in time."""
    found = []
    for desk in trace.desks:
        moved = [row for row in trace.openings.get(desk.id, ()) if row.is_moved]
        if not moved or moved[0].opens + FOUND_AGAIN_DAYS * DAY > trace.end:
            continue
        at = visits[desk.id]
        bounds = np.asarray([(row.opens, row.closes) for row in moved])
        bounds = bounds[bounds[:, 0] <= moved[0].opens + FOUND_AGAIN_DAYS * DAY]
        found.append(bool(np.any(np.searchsorted(at, bounds[:, 0]) < np.searchsorted(at, bounds[:, 1]))))
    return found


def _openings(trace: Trace, visits: Mapping[str, Floats], since: float) -> tuple[Floats, list[str]]:
    """Of each scored opening: when it opens and closes, and its first visit (infinity: none); its kind."""
    rows: list[Floats] = []
    kinds: list[str] = []
    for desk in trace.desks:
        openings = [row for row in trace.openings.get(desk.id, ()) if since <= row.opens < trace.end]
        if not openings:
            continue
        bounds = np.asarray([(row.opens, row.closes) for row in openings])
        at = np.append(visits[desk.id], np.inf)
        first = at[np.searchsorted(at, bounds[:, 0])]
        first[first >= bounds[:, 1]] = np.inf
        rows.append(np.column_stack([bounds, first]))
        kinds += [row.kind or "unnamed" for row in openings]
    return (np.concatenate(rows) if rows else np.empty((0, 3))), kinds


def _seen(rows: Floats, chance: Floats, chosen: Bools) -> Seen:
    late = rows[chosen, 2] - rows[chosen, 0]
    return Seen(
        openings=int(chosen.sum()),
        seen=int(np.isfinite(late).sum()),
        soon=int((late <= LATE_SECONDS).sum()),
        uniform=float(chance[chosen].sum()),
    )


def violations(trace: Trace, visits: Mapping[str, Floats], *, every_minutes: float) -> dict[str, int]:
    """How often each rule was broken; budgets in every sliding window."""
    close = too_close = 0
    hosts: dict[str, list[Floats]] = {}
    for desk in trace.desks:
        at = visits[desk.id]
        hosts.setdefault(desk.host, []).append(at)
        gaps = np.diff(at)
        too_close += int((gaps < CLOSEST_SECONDS - 1e-3).sum())
        near = at[1:][gaps < FORM_INTERVAL_SECONDS - 1e-3]
        close += _over(near, DAY, CLOSE_PER_DAY)
    paced = sum(
        int((np.diff(np.sort(np.concatenate(rows))) < PROBE_SECONDS - 1e-3).sum()) for rows in hosts.values()
    )
    everything = np.sort(np.concatenate([*visits.values()]))
    per_hour = len(trace.desks) * 60 / every_minutes if every_minutes > 0 else 0.0
    return {
        "visits of a desk within 60 s": too_close,
        "more than 60 close visits in 24 h": close,
        "visits of a host within 40 s": paced,
        "over the budget of 24 h": _over(everything, DAY, 24 * per_hour),
        "over twice the budget of an hour": _over(everything, 3600.0, 2 * per_hour),
    }


def _over(at: Floats, window: float, most: float) -> int:
    """How many instants have more than ``most`` within the window that ends with them."""
    first = np.searchsorted(at, at - window, side="right")
    return int((np.arange(1, len(at) + 1) - first > most + 1e-9).sum())


def _rates(trace: Trace, rated: Mapping[str, Sequence[float]], since: float) -> Rates:
    errors, covered = [], 0
    found = true = weight = 0.0
    for desk in trace.desks:
        zone = ZoneInfo(desk.timezone)
        windows = np.asarray(trace.windows(desk.id)).reshape(-1, 2)
        at = np.asarray([instant for instant in rated[desk.id] if instant >= since])
        if not len(at):
            continue
        place = np.searchsorted(windows[:, 0], at, side="right") - 1
        offers = (place >= 0) & (at < windows[np.maximum(place, 0), 1]) if len(windows) else at < 0
        bounds = _slot_bounds(zone, since, trace.end)
        truth = float(np.mean(np.diff(_open_until(windows, bounds)) / np.diff(bounds)))
        share = float(offers.mean())
        errors.append(abs(share - truth) * 100)
        told = _interval(at, offers, bounds)
        covered += told[0] - 1e-9 <= truth <= told[1] + 1e-9
        found, true, weight = found + share, true + truth, weight + 1
    return Rates(
        desks=len(errors),
        mean_error=float(np.mean(errors)),
        covered=covered / len(errors),
        overall_error=abs(found - true) / weight * 100,
    )


_SLOTS: dict[tuple[str, float, float], Floats] = {}


def _slot_bounds(zone: ZoneInfo, since: float, until: float) -> Floats:
    """Bounds of the baseline slots from ``since`` on."""
    key = (zone.key, since, until)
    if key not in _SLOTS:
        pattern = Pattern()
        slot = pattern.slot_at(datetime.fromtimestamp(since, zone), zone)
        found = [slot.starts_at.timestamp()]
        while slot.ends_at.timestamp() <= until:
            found.append(slot.ends_at.timestamp())
            slot = pattern.slot_after(slot, zone)
        _SLOTS[key] = np.asarray(found)
    return _SLOTS[key]


def _open_until(windows: Floats, at: Floats) -> Floats:
    """Seconds a desk was open before each instant."""
    if not len(windows):
        return np.zeros(len(at))
    lengths = np.concatenate([[0.0], np.cumsum(windows[:, 1] - windows[:, 0])])
    place = np.searchsorted(windows[:, 0], at, side="right")
    part = np.where(place > 0, np.maximum(0.0, windows[place - 1, 1] - at), 0.0)
    return lengths[place] - part


def _interval(at: Floats, offers: Bools, bounds: Floats) -> tuple[float, float]:
    """The 95 % interval the published rates would tell."""
    slot = np.searchsorted(bounds, at, side="right") - 1
    long = np.diff(bounds)[np.clip(slot, 0, len(bounds) - 2)] > 5400
    unlike = offers[1:] != offers[:-1]
    kinds = long[1:].astype(int) + long[:-1]
    gaps = np.diff(at)[unlike] / 3600
    pairs = Pairs(
        day=int((kinds == 0).sum()),
        edge=int((kinds == 1).sum()),
        night=int((kinds == 2).sum()),
        gaps=tuple(gaps),
    )
    share = float(offers.mean())
    factor = error_factor(
        share, rated=len(at), night=int(long.sum()), due=len(bounds) - 1, pairs=pairs, slots=Slots()
    )
    told = wilson(share, len(at) / factor)
    return told.low, told.high
