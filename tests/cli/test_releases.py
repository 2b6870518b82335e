from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from guichets.cli.releases import RELEASES_FIELDS
from tests.bench.schedule import fill
from tests.database_fixtures import Database
from tests.watch_history import seed_history

Run = Callable[..., tuple[int, str, str]]

HABIT = {
    "kind": "weekly",
    "weekdays": [1],
    "local_time": "09:00:00",
    "minutes_of_hour": [],
    "spread_minutes": 4.2,
    "usual_length_minutes": 11.6,
    "confidence": 0.87,
    "since": "2026-03-02",
    "evidence": 41,
}
CYCLE = {
    **HABIT,
    "kind": "cycle",
    "weekdays": [1, 2, 3, 4, 5, 6, 7],
    "local_time": None,
    "minutes_of_hour": [10, 30, 50],
    "spread_minutes": 0.5,
    "usual_length_minutes": None,
    "confidence": 0.4,
}


def learn(connection: psycopg.Connection, desk: str, *releases: object, hours: dict[int, float]) -> None:
    """As if the planner had written it; ``hours``: expected openings by hour of the week."""
    connection.execute(
        "INSERT INTO watch_states VALUES (%s, 'x', 'Europe/Paris', now(), now(), now(), 310, 8, %s, %s)",
        [desk, [hours.get(place, 0.0) for place in range(168)], Jsonb(releases)],
    )


@pytest.fixture
def learnt(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    monkeypatch.setenv("COLUMNS", "100")
    fill(database.dsn, hosts=3, desks=3)
    with database.connect() as connection:
        learn(connection, "d1", HABIT, CYCLE, hours={9: 0.9, 10: 0.5, 24: 0.3, 167: 0.1})
        learn(connection, "d2", hours={})
    return database


def test_habits_are_told_in_words_and_the_week_hour_by_hour_without_colours(
    learnt: Database, run: Run
) -> None:
    status, out, _ = run("releases")
    assert status == 0
    text = " ".join(out.split())
    assert "d1 lundi vers 9 h 00, à 4 min près 12 min 87 % 02/03/2026 41/310" in text
    assert "aux minutes 10, 30 et 50 de l'heure – 40 % 02/03/2026 41/310" in text
    assert "1 guichet sans habitude apprise." in text
    assert "guichets export --desks d1 --since 2026-03-02" in text
    assert "à ne pas publier" in text
    week = {
        line.split()[0]: [line[9 + 2 * hour : 11 + 2 * hour] for hour in range(24)]
        for line in out.splitlines()
        if line.startswith(("lundi  ", "mardi  ", "dimanche "))
    }
    assert week["lundi"] == [" ·"] * 9 + ["██", "▓▓"] + [" ·"] * 13
    assert week["mardi"] == ["▒▒"] + [" ·"] * 23
    assert week["dimanche"] == [" ·"] * 23 + ["░░"]
    assert "██ 0,68 et plus" in text


def test_a_desk_asked_for_is_shown_even_without_habits(learnt: Database, run: Run) -> None:
    out = " ".join(run("releases", "--desk", "d2")[1].split())
    assert "d2 pas d'habitude (310 visites)" in out
    assert "Aucune n'est attendue." in out
    assert "d1" not in out


def test_formats_for_programs_hold_desks_habits_and_weeks(learnt: Database, run: Run) -> None:
    found = json.loads(run("releases", "--format", "json", "--departement", "92")[1])
    assert [(desk["desk_id"], len(desk["releases"])) for desk in found] == [("d1", 2), ("d2", 0)]
    assert {name: found[0]["releases"][0][name] for name in HABIT} == HABIT
    assert [len(day) for day in found[0]["weekly_map"]] == [24] * 7
    assert found[0]["weekly_map"][0][9] == 0.9
    lines = list(csv.DictReader(io.StringIO(run("releases", "--format", "csv")[1])))
    assert [tuple(line) for line in lines] == [RELEASES_FIELDS] * 3
    assert [(line["kind"], line["weekdays"], line["minutes_of_hour"]) for line in lines] == [
        ("weekly", "1", ""),
        ("cycle", "1 2 3 4 5 6 7", "10 30 50"),
        ("", "", ""),
    ]


@pytest.mark.parametrize(
    ("weekdays", "says"),
    [
        ([1, 2, 3, 4, 5, 6, 7], "tous les jours vers 9 h 00, à 4 min près"),
        ([1, 2, 3, 4, 5], "du lundi au vendredi vers 9 h 00"),
        ([2, 3, 4], "du mardi au jeudi vers 9 h 00"),
        ([6, 7], "samedi et dimanche vers 9 h 00"),
        ([1, 2, 3, 5], "lundi, mardi, mercredi et vendredi vers 9 h 00"),
    ],
)
def test_days_of_a_habit_are_told_as_people_say_them(
    learnt: Database, run: Run, weekdays: list[int], says: str
) -> None:
    with learnt.connect() as connection:
        learn(connection, "d3", {**HABIT, "kind": "daily", "weekdays": weekdays}, hours={9: 0.9})
    assert says in " ".join(run("releases", "--desk", "d3")[1].split())


def test_a_daily_release_in_observations_is_one_line_on_the_terminal(learnt: Database, run: Run) -> None:
    with learnt.connect() as connection:
        opens_at = datetime.now(UTC).replace(hour=7, minute=30, second=0, microsecond=0)
        seed_history(connection, "d3", days=24, every=timedelta(minutes=8), opens_at=opens_at)
    status, out, _ = run("releases", "--relearn", "--desk", "d3")
    assert status == 0
    (line,) = (line for line in out.splitlines() if " vers " in line)
    assert line.startswith("d3 ")
    assert "tous les jours vers " in line
    assert out.count("tous les jours") == 1


def test_nothing_learnt_is_said_with_what_to_do(
    database: Database, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    status, out, _ = run("releases")
    assert status == 0
    assert "Rien n'est encore appris" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--desk", "d11"), '--desk: "d11" is unknown. Did you mean "d1"?'),
        (("--departement", "920"), '--departement: "920" is unknown.'),
    ],
)
def test_a_mistake_is_one_line(learnt: Database, run: Run, arguments: tuple[str, ...], says: str) -> None:
    status, out, err = run("releases", *arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_relearning_makes_states_from_observations_alone(learnt: Database, run: Run) -> None:
    status, out, err = run("releases", "--relearn", "--format", "json")
    assert status == 0
    assert "3/3" in err
    found = json.loads(out)
    assert [(desk["desk_id"], desk["sightings"], desk["releases"]) for desk in found] == [
        ("d1", 0, []),
        ("d2", 0, []),
        ("d3", 0, []),
    ]
