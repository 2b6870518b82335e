from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from guichets.schedule.watch import Sighting, Watch, WatchedDesk, WatchStateError

START = datetime(2026, 5, 18, tzinfo=UTC)  # a Monday


def desks(count: int, hosts: int = 1) -> list[WatchedDesk]:
    return [
        WatchedDesk(id=f"d{number}", host=f"h{number % hosts}", timezone="Europe/Paris")
        for number in range(count)
    ]


def test_visits_of_a_desk_that_never_opens_keep_their_distance() -> None:
    watch = Watch(desks(6, hosts=2), every_minutes=20)
    seen = defaultdict(list)
    for minute in range(24 * 60):
        for probe in watch.plan(START + timedelta(minutes=minute), {}):
            watch.learn(Sighting(probe.desk_id, probe.at, False))
            seen[probe.desk_id].append(probe.at)
    assert len(seen) == 6
    for instants in seen.values():
        assert all(later - one >= timedelta(minutes=15) for one, later in pairwise(instants))


def test_without_a_budget_nothing_is_planned() -> None:
    watch = Watch(desks(3), every_minutes=0)
    assert [watch.plan(START + timedelta(minutes=minute), {}) for minute in range(60)] == [[]] * 60


def test_resting_host_gets_no_probe() -> None:
    watch = Watch(desks(10, hosts=10), every_minutes=15)
    watch.rest({"h1"})
    planned = [probe for minute in range(90) for probe in watch.plan(START + timedelta(minutes=minute), {})]
    assert planned
    assert "d1" not in {probe.desk_id for probe in planned}


@pytest.mark.parametrize("state", [b"", b"nonsense", b"[99, 1]", b"{}"], ids=repr)
def test_snapshot_that_cannot_be_read_is_refused_in_one_line(state: bytes) -> None:
    with pytest.raises(WatchStateError, match=r"^d0: its learnt state cannot be read: relearn it$"):
        Watch(desks(1), every_minutes=30).restore("d0", state)
