"""The watch: what it sees over eight weeks of several mixes and seeds, and how fast it plans and learns."""

from __future__ import annotations

import gc
import time
from datetime import UTC, date, datetime, timedelta
from itertools import product
from random import Random

import numpy as np

from guichets.schedule.simulation.generator import MIXES, generate_trace
from guichets.schedule.simulation.run import PolicyName, simulate
from guichets.schedule.simulation.score import Score, score
from guichets.schedule.simulation.trace import Trace
from guichets.schedule.watch import Sighting, Watch, WatchedDesk

DESKS, HOSTS, WEEKS = 80, 20, 8
SEEDS = (11, 12)
START = date(2026, 3, 2)  # clocks change in the fourth week
NATION, NATION_HOSTS = 1500, 150
DATED = ("weekly", "daily", "long")


def main() -> None:
    print("watch")
    for every, mix in product((30.0, 60.0), MIXES):
        _reach(mix, every)
    _learning()
    _nation()


def _reach(mix: str, every: float) -> None:
    """All seeds of a mix together, against evenly spaced visits really made on the same traces."""
    found, uniform = [], 0
    for seed in SEEDS:
        trace = generate_trace(desks=DESKS, hosts=HOSTS, start=START, weeks=WEEKS, seed=seed, mix=MIXES[mix])
        found.append(_score(trace, PolicyName.WATCH, every, seed))
        uniform += _score(trace, PolicyName.UNIFORM, every, seed).all_kinds.seen
    seen = sum(one.all_kinds.seen for one in found)
    openings = sum(one.all_kinds.openings for one in found)
    expected = sum(one.all_kinds.uniform for one in found)
    longer = sum(one.longer_than_five.openings for one in found)
    longer_seen = sum(one.longer_than_five.seen for one in found)
    soon = sum(one.longer_than_five.soon for one in found)
    rates = [one.rates for one in found if one.rates is not None]
    dated, pulses, chance = (_share(found, kinds) for kinds in (DATED, ("pulse",), ("cancellation",)))
    broken = sum(sum(one.violations.values()) for one in found)
    error = sum(one.mean_error for one in rates) / len(rates)
    together = max(one.overall_error for one in rates)
    covered = sum(one.covered for one in rates) / len(rates)
    again, moved = sum(one.found_again for one in found), sum(one.moved for one in found)
    print(
        f"  --every {every:g} {mix}: {seen / openings:.1%} of {openings} openings, "
        f"{seen / expected:.2f} × uniform on average, {seen / uniform:.2f} × uniform as run\n"
        f"    weekly, daily and long {dated:.1%}, pulses {pulses:.1%}, cancellations {chance:.1%}; "
        f"over 5 min and seen within 2 min {soon / longer:.1%} "
        f"({soon / longer_seen:.1%} of those seen); "
        f"moved hours found again within 3 weeks {again} of {moved}\n"
        f"    {broken} violations in {sum(one.probes for one in found)} probes; "
        f"rates: mean error of a desk {error:.3f} points, of all desks together at most {together:.3f}; "
        f"{covered:.1%} of intervals hold the truth"
    )


def _score(trace: Trace, policy: PolicyName, every: float, seed: int) -> Score:
    return score(trace, simulate(trace, policy, every_minutes=every, seed=seed), every_minutes=every)


def _share(scores: list[Score], kinds: tuple[str, ...]) -> float:
    seen = [one.kinds[kind] for one in scores for kind in kinds if kind in one.kinds]
    openings = sum(one.openings for one in seen)
    return sum(one.seen for one in seen) / openings if openings else float("nan")


def _learning() -> None:
    """A year of one desk: hourly baseline visits and as many watch visits again, all relearnt."""
    fate = Random(1)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    instants = sorted(start + timedelta(days=365 * fate.random()) for _ in range(16_500))
    year = [Sighting("d", at, at.hour == 8 and at.minute < 15) for at in instants]
    desk = WatchedDesk(id="d", host="h", timezone="Europe/Paris")
    one_by_one, at_once = (Watch([desk], every_minutes=30) for _ in range(2))
    began = time.perf_counter()
    for sighting in year:
        one_by_one.learn(sighting)
    each = (time.perf_counter() - began) / len(year)
    began = time.perf_counter()
    at_once.learn_history("d", year)
    at_once.learnt("d")
    print(
        f"  learning from one observation {1000 * each:.4f} ms; goal 0.2\n"
        f"  a year of one desk relearnt {1000 * (time.perf_counter() - began):.0f} ms; goal 50\n"
        f"  its state {len(at_once.snapshot('d'))} bytes"
    )


def _nation() -> None:
    trace = generate_trace(desks=NATION, hosts=NATION_HOSTS, start=START, weeks=WEEKS, seed=5)
    minutes: list[float] = []  # processor time each took to plan
    plan = Watch.plan
    gc.freeze()  # looking through all of the trace again is no part of planning

    def timed(self: Watch, minute: datetime, baseline: dict[str, datetime]) -> list[object]:
        began = time.thread_time()
        planned = plan(self, minute, baseline)
        minutes.append(time.thread_time() - began)
        return planned  # type: ignore[return-value]

    Watch.plan = timed  # type: ignore[method-assign,assignment]
    try:
        began, cpu = time.perf_counter(), time.process_time()
        probes = sum(1 for _ in simulate(trace, PolicyName.WATCH, every_minutes=30))
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    finally:
        Watch.plan = plan  # type: ignore[method-assign]
    print(
        f"  {WEEKS} weeks of {NATION} desks: {probes} probes in {took:.0f} s; goal 300\n"
        f"    {cpu:.0f} s of processor time\n"
        f"  planning a minute: mean {1000 * sum(minutes) / len(minutes):.1f} ms, "
        f"the first {1000 * minutes[0]:.0f} ms, "
        f"99.9 % of the others at most {1000 * float(np.quantile(minutes[1:], 0.999)):.0f} ms, "
        f"longest {1000 * max(minutes[1:]):.0f} ms; goal 50"
    )


if __name__ == "__main__":
    main()
