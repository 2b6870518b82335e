from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from guichets.cli.hosts import HOSTS_FIELDS, read_duration
from guichets.errors import ArgumentError
from tests.cli.observation_rows import add_desk
from tests.crawl_fixtures import read_rows
from tests.database_fixtures import Database

Run = Callable[..., tuple[int, str, str]]
HOST = "www.essonne.gouv.fr"


@pytest.fixture
def filled(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    monkeypatch.setenv("COLUMNS", "160")
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO hosts (host, requests_today, peak_per_minute, requests_on, robots_status)"
            " VALUES (%s, 42, 5, (now() AT TIME ZONE 'UTC')::date, 200),"
            " ('other.example', 7, 7, '2020-01-01', NULL)",
            [HOST],
        )
    return database


def test_hosts_lists_the_ledger_of_today(filled: Database, run: Run) -> None:
    status, out, _ = run("hosts")
    assert status == 0
    essonne, other = (next(line for line in out.splitlines() if name in line) for name in (HOST, "other"))
    assert essonne.split() == [HOST, "42", "5", "·", "–", "·", "200", "libre"]
    assert other.split()[1:3] == ["·", "·"]  # counted on another day
    assert "2 hôtes, 42 requêtes aujourd’hui" in out


@pytest.fixture
def watched(filled: Database) -> Database:
    """One desk: of 4 visits today one was a watch probe, and of 20 in seven days two."""
    with filled.connect() as connection:
        add_desk(connection, "91-evry", "91")
        connection.execute("UPDATE desks SET host = %s", [HOST])
        for days_ago, purpose, probes in ((0, "baseline", 3), (0, "watch", 1), (6, "baseline", 15),
                                          (6, "watch", 1), (7, "watch", 9)):  # fmt: skip
            connection.execute(
                "INSERT INTO daily_outcomes SELECT '91-evry', NULL,"
                " (now() AT TIME ZONE 'Europe/Paris')::date - %s, %s, false, 'none', %s, 0, 0, NULL, '{}',"
                " 0, 0, '{}', now(), now()",
                [days_ago, purpose, probes],
            )
    return filled


def test_hosts_shows_what_share_of_the_visits_the_watch_made(watched: Database, run: Run) -> None:
    line = next(line for line in run("hosts")[1].splitlines() if HOST in line)
    assert "25 % / 10 %" in line
    (row,) = (row for row in json.loads(run("hosts", "--format", "json")[1]) if row["host"] == HOST)
    assert [row[name] for name in ("visits_today", "watch_today", "visits_week", "watch_week")] == [
        4,
        1,
        20,
        2,
    ]
    assert row["watch_rests"] is None


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("last_refusal_at = now() - interval '6 days'", "refus"),
        ("failures = 2", "en panne"),
        ("paused_until = now() + interval '1 h'", "pause"),
        ("forbidden = true", "interdit"),
    ],
)
def test_hosts_says_why_the_watch_rests(watched: Database, run: Run, state: str, word: str) -> None:
    with watched.connect() as connection:
        connection.execute(f"UPDATE hosts SET {state} WHERE host = %s", [HOST])
    assert f"repos ({word})" in next(line for line in run("hosts")[1].splitlines() if HOST in line)


def test_hosts_in_formats_for_programs(filled: Database, run: Run) -> None:
    rows = json.loads(run("hosts", "--format", "json")[1])
    assert [tuple(row) for row in rows] == [HOSTS_FIELDS] * 2
    lines = list(csv.DictReader(io.StringIO(run("hosts", "--format", "csv")[1])))
    assert [(line["host"], line["requests_today"]) for line in lines] == [
        ("other.example", "0"),
        (HOST, "42"),
    ]


def test_pause_resume_and_forbid_are_kept_with_who_when_and_why(filled: Database, run: Run) -> None:
    assert run("hosts", "pause", HOST, "--for", "3h", "--why", "travaux annoncés")[0] == 0
    assert "en pause jusqu’au" in run("hosts", "pause", HOST.upper(), "--for", "30m", "--why", "encore")[1]
    (row,) = read_rows(filled, "SELECT paused_until - now() AS left FROM hosts WHERE host = %s", HOST)
    assert row["left"] > timedelta(hours=2, minutes=59)  # the longer one stays
    assert "pause jusqu’au" in run("hosts")[1]
    assert run("hosts", "resume", HOST, "--why", "travaux finis")[0] == 0
    assert run("hosts", "forbid", HOST, "--why", "demande de la préfecture")[0] == 0
    assert "interdit (demande de la préfecture)" in run("hosts")[1]
    assert run("hosts", "resume", HOST, "--why", "accord retrouvé")[0] == 0
    events = read_rows(filled, "SELECT * FROM host_events ORDER BY id")
    assert [event["what"] for event in events] == ["paused", "paused", "resumed", "forbidden", "resumed"]
    assert all("@" in event["who"] and event["why"] for event in events)
    (row,) = read_rows(filled, "SELECT forbidden, paused_until FROM hosts WHERE host = %s", HOST)
    assert row == {"forbidden": False, "paused_until": None}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pause", "www.esonne.gouv.fr", "--why", "x"], f"is not known. Did you mean {HOST}?"),
        (["pause", HOST, "--for", "soon", "--why", "x"], "--for 'soon': expected a duration such as 90s"),
        (["pause", HOST, "--why", " "], "--why is empty"),
        (["resume", HOST, "--why", "x"], "neither paused nor forbidden"),
    ],
    ids=["unknown", "duration", "no-reason", "nothing-to-resume"],
)
def test_a_mistake_ends_in_one_line_and_changes_nothing(
    filled: Database, run: Run, arguments: list[str], message: str
) -> None:
    status, out, err = run("hosts", *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert read_rows(filled, "SELECT * FROM host_events") == []


def test_what_the_catalogue_forbids_is_changed_there(filled: Database, run: Run) -> None:
    with filled.connect() as connection:
        connection.execute("UPDATE hosts SET forbidden = true, forbidden_by = 'catalogue'")
    assert "forbidden by the catalogue's hosts.toml" in run("hosts", "resume", HOST, "--why", "x")[2]


def test_durations() -> None:
    assert [read_duration(text) for text in ("90s", "30m", "2h", "3d", "1 j")] == [
        timedelta(seconds=90),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(days=3),
        timedelta(days=1),
    ]
    for wrong in ("", "2", "-2h", "0h", "400d", "2 weeks"):
        with pytest.raises(ArgumentError, match="expected a duration"):
            read_duration(wrong)


def test_live_status_prints_once_where_there_is_no_terminal(filled: Database, run: Run) -> None:
    with filled.connect() as connection:
        connection.execute(
            "UPDATE hosts SET lease_owner = 'robot-1', lease_expires_at = now() + interval '1 minute'"
            " WHERE host = %s",
            [HOST],
        )
    status, out, err = run("status", "--live")
    assert (status, err) == (0, "")
    assert "Hôtes      2, tenus 1, en pause 0, interdits 0 ; 42 requêtes" in out
    assert "robot-1" in out
    assert "Guichets   0, dus 0" in out


def test_live_status_takes_no_other_option(filled: Database, run: Run) -> None:
    assert "leave the other options out" in run("status", "--live", "--format", "json")[2]
