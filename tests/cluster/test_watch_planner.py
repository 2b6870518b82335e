"""The planner in the database: one at a time, each minute once; what is learnt survives who learnt it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from guichets.errors import DatabaseError
from guichets.schedule import planner as planner_module
from guichets.schedule.planner import Planner
from tests.bench.schedule import fill
from tests.crawl_fixtures import read_rows
from tests.database_fixtures import Database
from tests.watch_history import seed_history

DESKS = 80  # so many, with so large a budget, that each minute has its probes, by night too
EVERY = timedelta(minutes=20)


@pytest.fixture
def connection(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    """Desks that the baseline schedule visits, none soon; and each pass plans the next minute."""
    fill(database.dsn, hosts=DESKS, desks=DESKS)
    monkeypatch.setattr(planner_module, "LEAD_SECONDS", 60.0)
    monkeypatch.setattr(planner_module, "RELEARN_SECONDS", 60.0)
    with database.connect() as opened:
        opened.execute("UPDATE desks SET next_due_at = now() + interval '2 hours'")
        yield opened


@pytest.fixture
def new_planner(database: Database, connection: object) -> Iterator[Callable[..., Planner]]:
    made: list[Planner] = []

    def build(owner: str = "red", every_minutes: float = 0.1) -> Planner:
        planner = Planner(
            database.dsn,
            owner=owner,
            every_minutes=every_minutes,
            delay_seconds=10.0,
            form_interval_seconds=900.0,
        )
        made.append(planner)
        return planner

    yield build
    for planner in made:
        planner.close()


def planned(database: Database) -> list[dict[str, Any]]:
    return read_rows(database, "SELECT * FROM watch_queue ORDER BY planned_at")


def states(database: Database) -> dict[str, dict[str, Any]]:
    return {row["desk_id"]: row for row in read_rows(database, "SELECT * FROM watch_states")}


def pass_minute(connection: psycopg.Connection[Any]) -> None:
    """As if what is planned had been planned for the minute before."""
    connection.execute("UPDATE watch_planner SET planned_until = planned_until - interval '1 minute'")
    connection.execute("DELETE FROM watch_queue")


def plan_some(planner: Planner, database: Database) -> list[dict[str, Any]]:
    """What is planned for the next minute."""
    assert planner.work()
    rows = planned(database)
    assert rows
    return rows


def test_planned_probes_lie_in_the_minute_and_say_why_and_how_likely(
    new_planner: Callable[..., Planner], database: Database, connection: psycopg.Connection[Any]
) -> None:
    for row in plan_some(new_planner(), database):
        (until,) = read_rows(database, "SELECT planned_until, now() AS now FROM watch_planner")
        assert until["planned_until"] - timedelta(minutes=1) <= row["planned_at"] < until["planned_until"]
        assert row["planned_at"] > until["now"] - timedelta(minutes=1)
        assert row["expires_at"] - row["planned_at"] == timedelta(seconds=planner_module.GRACE_SECONDS)
        assert row["reason"] in {"release", "cycle", "follow_up", "explore"}
        assert row["weight"] >= 1
        assert row["host"].startswith("h")
    (totals,) = read_rows(database, "SELECT sum(planned) AS planned FROM watch_totals")
    assert totals["planned"] >= 1


def test_one_planner_at_a_time_and_the_next_one_when_it_lets_go(
    new_planner: Callable[..., Planner], database: Database
) -> None:
    red, green = new_planner("red"), new_planner("green")
    assert red.work()
    assert not green.work()
    assert read_rows(database, "SELECT owner FROM watch_planner") == [{"owner": "red"}]
    red.close()
    assert green.work()
    assert not red.work()
    assert read_rows(database, "SELECT owner, token FROM watch_planner") == [{"owner": "green", "token": 2}]


def test_planner_that_was_killed_is_replaced_when_its_lease_has_run_out(
    new_planner: Callable[..., Planner], connection: psycopg.Connection[Any]
) -> None:
    red, green = new_planner("red"), new_planner("green")
    assert red.work()
    (left,) = connection.execute("SELECT expires_at - now() FROM watch_planner").fetchone() or (None,)
    assert left is not None
    assert timedelta(seconds=30) < left <= timedelta(seconds=planner_module.LEASE_SECONDS)
    connection.execute("UPDATE watch_planner SET expires_at = now() - interval '1 s'")
    assert green.work()
    assert not red.work(), "who was stopped past its lease must not go on"


def test_no_minute_is_planned_twice_whoever_plans(
    new_planner: Callable[..., Planner], database: Database, connection: psycopg.Connection[Any]
) -> None:
    red = new_planner("red")
    before = plan_some(red, database)
    (until,) = connection.execute("SELECT planned_until FROM watch_planner").fetchone() or (None,)
    assert red.work()
    red.close()
    green = new_planner("green")
    assert green.work()
    assert green.work()
    # the next minute may have begun meanwhile
    assert [row for row in planned(database) if row["planned_at"] < until] == before


def test_desk_whose_probe_is_not_learnt_yet_is_not_planned_again(
    new_planner: Callable[..., Planner], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    planner = new_planner()
    plan_some(planner, database)
    for ahead in (120.0, 180.0):
        monkeypatch.setattr(planner_module, "LEAD_SECONDS", ahead)
        assert planner.work()
    desks = [row["desk_id"] for row in planned(database)]
    assert len(desks) > 1
    assert len(desks) == len(set(desks))


def test_what_is_too_late_is_dropped_and_counted(
    new_planner: Callable[..., Planner], database: Database, connection: psycopg.Connection[Any]
) -> None:
    planner = new_planner()
    rows = plan_some(planner, database)
    connection.execute(
        "UPDATE watch_queue SET planned_at = planned_at - interval '1 h', expires_at = now() - interval '1 s'"
    )
    connection.execute("UPDATE watch_planner SET planned_until = planned_until - interval '1 minute'")
    assert planner.work()
    (totals,) = read_rows(database, "SELECT sum(dropped) AS dropped FROM watch_totals")
    assert totals["dropped"] == len(rows)
    assert all(row["expires_at"] > rows[0]["planned_at"] for row in planned(database))


def test_budget_is_for_desks_the_baseline_schedule_visits(
    new_planner: Callable[..., Planner], database: Database, connection: psycopg.Connection[Any]
) -> None:
    connection.execute(
        "UPDATE desks SET last_probed_at = now() - interval '2 days' WHERE substr(id, 2)::integer > 40"
    )
    assert {int(row["desk_id"][1:]) for row in plan_some(new_planner(), database)} <= set(range(1, 41))


def test_no_probes_for_hosts_where_the_watch_rests(
    new_planner: Callable[..., Planner], database: Database, connection: psycopg.Connection[Any]
) -> None:
    connection.execute(
        "UPDATE hosts SET last_refusal_at = now() - interval '1 day' WHERE substr(host, 2)::integer > 40"
    )
    assert {int(row["host"][1:]) for row in plan_some(new_planner(), database)} <= set(range(1, 41))


@pytest.mark.parametrize("query", ["desks", "all_desks"])
def test_planner_reads_what_hosts_ask_of_their_pace(connection: psycopg.Connection[Any], query: str) -> None:
    """The slower of hosts.toml and robots.txt, as a worker that claims the host does."""
    connection.execute("UPDATE hosts SET min_delay_seconds = 20 WHERE host IN ('h1', 'h2')")
    connection.execute("UPDATE hosts SET crawl_delay_seconds = 60 WHERE host IN ('h2', 'h3')")
    connection.row_factory = dict_row  # type: ignore[assignment]
    rows: list[Any] = connection.execute(planner_module.QUERIES[query]).fetchall()
    delays = {row["host"]: row["delay_seconds"] for row in rows}
    assert len(delays) == DESKS
    assert {host: delay for host, delay in delays.items() if delay is not None} == {
        "h1": 20,
        "h2": 60,
        "h3": 60,
    }


def test_states_are_made_from_observations_and_grow_with_them(
    new_planner: Callable[..., Planner], database: Database, connection: psycopg.Connection[Any]
) -> None:
    seed_history(connection, "d1", days=20, every=EVERY, opens_at=_now(connection))
    planner = new_planner()
    assert planner.work()
    first = states(database)
    assert set(first) == {f"d{number}" for number in range(1, DESKS + 1)}
    assert first["d1"]["sightings"] > 1000
    assert 10 <= first["d1"]["openings"] <= 20
    assert first["d2"]["sightings"] == 0
    _observe(connection, "d1", "offered", "-30 s")
    pass_minute(connection)
    assert planner.work()
    later = states(database)["d1"]
    assert later["newest_at"] > first["d1"]["newest_at"]
    assert later["state"] != first["d1"]["state"]
    assert later["relearnt_at"] == first["d1"]["relearnt_at"]


def test_next_planner_goes_on_from_what_was_learnt(
    new_planner: Callable[..., Planner], database: Database, connection: psycopg.Connection[Any]
) -> None:
    seed_history(connection, "d1", days=20, every=EVERY, opens_at=_now(connection))
    red, green = new_planner("red"), new_planner("green")
    assert red.work()
    red.close()
    before = states(database)["d1"]
    _observe(connection, "d1", "none", "-30 s")
    pass_minute(connection)
    assert green.work()
    after = states(database)["d1"]
    assert after["relearnt_at"] == before["relearnt_at"]
    assert after["newest_at"] > before["newest_at"]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE watch_states SET state = '\\x00ff' WHERE desk_id = 'd1'",
        "UPDATE watch_states SET state = '' WHERE desk_id = 'd1'",
        "DELETE FROM watch_states WHERE desk_id = 'd1'",
        "UPDATE watch_states SET newest_at = now() - interval '3 d', relearnt_at = now() - interval '3 d'",
        "UPDATE watch_states SET relearnt_at = now() - interval '8 days'",
        "UPDATE watch_states SET newest_at = now() + interval '1 hour'",
        "UPDATE departements SET timezone = 'Indian/Mayotte'",
    ],
    ids=["unreadable", "empty", "missing", "behind", "old", "clock-set-back", "zone-changed"],
)
def test_state_that_cannot_be_used_is_relearnt(
    new_planner: Callable[..., Planner],
    database: Database,
    connection: psycopg.Connection[Any],
    damage: str,
) -> None:
    seed_history(connection, "d1", days=20, every=EVERY, opens_at=_now(connection))
    red = new_planner("red")
    assert red.work()
    red.close()
    before = states(database)["d1"]
    connection.execute(damage)
    assert new_planner("green").work()
    after = states(database)["d1"]
    assert after["relearnt_at"] > before["relearnt_at"]
    assert (after["sightings"], after["openings"]) == (before["sightings"], before["openings"])
    assert after["newest_at"] == before["newest_at"]


def test_observations_of_the_future_teach_nothing(
    new_planner: Callable[..., Planner], database: Database, connection: psycopg.Connection[Any]
) -> None:
    _observe(connection, "d1", "offered", "1 hour")
    _observe(connection, "d1", "none", "-1 hour")
    planner = new_planner()
    assert planner.work()
    pass_minute(connection)
    assert planner.work()
    assert (states(database)["d1"]["sightings"], states(database)["d1"]["openings"]) == (1, 0)


def test_clock_that_was_ahead_stops_no_planning(
    new_planner: Callable[..., Planner], database: Database, connection: psycopg.Connection[Any]
) -> None:
    planner = new_planner()
    connection.execute("UPDATE watch_planner SET planned_until = now() + interval '1 day'")
    assert planner.work()
    (row,) = read_rows(database, "SELECT planned_until - now() AS ahead FROM watch_planner")
    assert row["ahead"] <= timedelta(minutes=2)


@pytest.mark.parametrize("outcome", ["unreachable", "captcha", "observer_fault"])
def test_a_year_of_errors_is_no_opening(
    new_planner: Callable[..., Planner],
    database: Database,
    connection: psycopg.Connection[Any],
    outcome: str,
) -> None:
    seed_history(connection, "d1", days=365, every=timedelta(hours=1), outcome=outcome)
    assert plan_some(new_planner(), database)
    state = states(database)["d1"]
    assert state["openings"] == 0
    assert state["releases"] == []


def test_contributed_pages_and_counters_lines_are_no_visits(
    new_planner: Callable[..., Planner], database: Database, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("SELECT ensure_partitions(now(), 1)")
    _observe(connection, "d1", "none", "-3 hours")
    _observe(connection, "d1", "offered", "-2 hours", purpose="contributed")
    _observe(connection, "d1", "offered", "-1 hours", counter_key="a")
    assert new_planner().work()
    assert states(database)["d1"]["sightings"] == 1


def test_corrected_observation_counts_as_corrected(
    new_planner: Callable[..., Planner], database: Database, connection: psycopg.Connection[Any]
) -> None:
    seed_history(connection, "d1", days=20, every=EVERY, opens_at=_now(connection))
    connection.execute(
        "INSERT INTO observations (id, probe, desk_id, family, departement, observed_at, outcome, rule,"
        " purpose, requests, parser, worker, host, supersedes)"
        " SELECT gen_random_uuid(), probe, desk_id, family, departement, observed_at, 'unrecognised', rule,"
        " purpose, requests, parser, worker, host, id FROM observations WHERE outcome = 'offered'"
    )
    assert new_planner().work()
    assert states(database)["d1"]["openings"] == 0


def test_relearning_takes_over_from_who_plans(
    new_planner: Callable[..., Planner], database: Database, connection: psycopg.Connection[Any]
) -> None:
    seed_history(connection, "d1", days=20, every=EVERY, opens_at=_now(connection))
    red, command = new_planner("red"), new_planner("command")
    assert red.work()
    before = states(database)
    connection.execute("UPDATE watch_states SET state = 'x', sightings = 0")
    assert list(command.relearn_all())[-1] == (DESKS, DESKS)
    assert not red.work()
    command.close()
    assert red.work()
    after = states(database)
    assert [after[desk]["state"] for desk in after] == [before[desk]["state"] for desk in after]
    assert after["d1"]["sightings"] == before["d1"]["sightings"]


def test_probes_of_over_a_year_ago_are_dropped_and_nothing_learnt_is_lost(
    new_planner: Callable[..., Planner],
    database: Database,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand are old, and 600 go at once: the rest in the next hour."""
    seed_history(connection, "d1", days=20, every=EVERY, opens_at=_now(connection))
    connection.execute(
        "INSERT INTO watch_probes"
        " SELECT probe, desk_id, observed_at, observed_at, 1, 'release', 1, false, false FROM observations"
    )
    for days in (399, 401):
        connection.execute(
            "INSERT INTO watch_probes SELECT gen_random_uuid(), 'd1', old.at, old.at, 1, 'explore', 2, false,"
            " false FROM (SELECT now() - %s * interval '1 day' AS at) AS old, generate_series(1, 1000)",
            [days],
        )
    monkeypatch.setattr(planner_module, "MOST_DROPPED", 600)
    kept = "SELECT probe FROM watch_probes WHERE begun_at > now() - interval '400 days' ORDER BY probe"
    old = "SELECT count(*) AS probes FROM watch_probes WHERE begun_at < now() - interval '400 days'"
    before = read_rows(database, kept)
    assert len(before) > 2000
    planner = new_planner()
    left = []
    for every in (timedelta(hours=1), timedelta(hours=1), timedelta(0)):
        monkeypatch.setattr(planner_module, "DROP_EVERY", every)
        assert planner.work()
        pass_minute(connection)
        left.append(read_rows(database, old)[0]["probes"])
    assert left == [400, 400, 0]
    assert read_rows(database, kept) == before
    told = states(database)["d1"]
    connection.execute("DELETE FROM watch_probes")
    assert list(new_planner("command").relearn_all())
    again = states(database)["d1"]
    assert (again["state"], again["releases"]) == (told["state"], told["releases"])


def test_planner_goes_on_after_the_database_was_away(
    new_planner: Callable[..., Planner], database: Database, connection: psycopg.Connection[Any]
) -> None:
    planner = new_planner()
    assert planner.work()
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    with pytest.raises(DatabaseError):
        planner.work()
    assert planner.work()


def _now(connection: psycopg.Connection[Any]) -> datetime:
    row = connection.execute("SELECT now()").fetchone()
    assert row is not None
    return row[0]  # type: ignore[no-any-return]


def _observe(
    connection: psycopg.Connection[Any], desk: str, outcome: str, at: str, **columns: object
) -> None:
    values = {"purpose": "baseline", "counter_key": None, **columns}
    connection.execute("SELECT ensure_partitions(now() + %s::interval, 0)", [at])  # it may be last month's
    connection.execute(
        "INSERT INTO observations (id, probe, desk_id, counter_key, family, departement, observed_at,"
        " outcome, rule, purpose, requests, parser, worker, host)"
        " SELECT gen_random_uuid(), gen_random_uuid(), id, %(counter_key)s, family, departement,"
        " now() + %(at)s::interval, %(outcome)s, 'test', %(purpose)s, 1, 'test@1', 'test', host"
        " FROM desks WHERE id = %(desk)s",
        {"desk": desk, "outcome": outcome, "at": at, **values},
    )
