"""``guichets status``: the table people read, and the same for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from observation_rows import add_desk, add_observation
from rich.console import Console

from guichets.catalogue import departements
from guichets.cli._status_table import COLUMNS, NOTHING_YET, render_status_table
from guichets.outcomes import OutcomeGroup

Run = Callable[..., tuple[int, str, str]]

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def row(departement: str, **values: Any) -> dict[str, Any]:
    return {
        "departement": departement,
        "name": departements()[departement].name,
        "not_yet_observed": 0,
        "first_slot": None,
        "second_slot": None,
        "first_slot_has_time": None,
        "second_slot_has_time": None,
        "last_observed_at": NOW,
        **{group.value: 0 for group in OutcomeGroup},
    } | values


def shown(*rows: dict[str, Any], width: int = 80) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render_status_table(rows, now=NOW))
    return console.export_text().splitlines()


def test_the_whole_table_fits_80_columns_and_cuts_only_names() -> None:
    far = NOW + timedelta(days=40)
    rows = [
        row(code, offered=12, none=45, unrecognised=7, first_slot=far, second_slot=far)
        for code in departements()
    ]
    lines = shown(*rows)
    assert max(map(len, lines)) <= 80
    alpes = next(line for line in lines if line.startswith("04"))
    assert alpes.split() == [
        *("04", "Alpes-de-H…", "12", "45", "·", "·", "·", "7", "·"),
        *("10/04", "10/04", "10:30"),
    ]
    assert "Alpes-de-Haute-Provence" in "\n".join(shown(*rows, width=120))


def test_every_group_of_outcomes_has_its_french_column() -> None:
    assert list(COLUMNS) == list(OutcomeGroup)
    heading = " ".join(" ".join(shown(row("92", offered=1))[:2]).split())
    for word in ("offert", "rien", "fermé", "en", "panne", "barrière", "non", "reconnu", "autre"):
        assert word in heading


def test_totals_and_age_stand_below() -> None:
    lines = shown(
        row("92", offered=1, none=2, last_observed_at=NOW - timedelta(hours=1)),
        row("93", none=3, barrier=1, not_yet_observed=2),
        row("94", last_observed_at=None, not_yet_observed=4),
    )
    assert not any(line.startswith("94") for line in lines)
    total = next(line for line in lines if line.startswith("Total"))
    assert total.split() == ["Total", "1", "5", "·", "·", "1", "·", "·"]
    assert lines[-3:] == [
        "7 guichets de 2 départements.",
        "Dernière observation : 01/03/2026 10:30 (heure de Paris).",
        "Pas encore observés : 6 guichets.",
    ]


@pytest.mark.parametrize(
    ("departement", "slot", "written"),
    [
        ("92", NOW + timedelta(days=1), "02/03"),
        ("92", NOW + timedelta(days=400), "04/2027"),
        ("974", datetime(2026, 3, 2, 21, tzinfo=UTC), "03/03"),
        ("971", datetime(2026, 3, 3, 2, tzinfo=UTC), "02/03"),
    ],
)
def test_dates_are_those_of_the_departement(departement: str, slot: datetime, written: str) -> None:
    line = next(
        line for line in shown(row(departement, offered=1, first_slot=slot)) if line.startswith(departement)
    )
    assert line.split()[-2:] == [written, "10:30"]


def test_an_observation_of_another_day_shows_its_day() -> None:
    assert shown(row("92", none=1, last_observed_at=NOW - timedelta(days=3)))[2].endswith("26/02")


def test_nothing_observed_is_said_in_a_sentence() -> None:
    assert shown(row("92", last_observed_at=None)) == [NOTHING_YET]
    assert shown() == [NOTHING_YET]


@pytest.fixture
def connection(database: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The database the command reads, to fill."""
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    with database.connect() as connection:
        yield connection


def test_the_latest_observation_of_each_desk_is_counted(run: Run, connection: Any) -> None:
    now = datetime.now(UTC)
    slot = (now + timedelta(days=10)).replace(microsecond=0)
    for desk, departement, outcome in (
        ("92-a", "92", "offered"),
        ("92-b", "92", "overloaded"),
        ("92-c", "92", "captcha"),
        ("971-a", "971", "none"),
        ("93-a", "93", None),
    ):
        add_desk(connection, desk, departement)
        if outcome:
            add_observation(connection, desk, departement, now - timedelta(hours=2), outcome="closed")
            add_observation(
                connection,
                desk,
                departement,
                now - timedelta(hours=1),
                outcome=outcome,
                first_slot=slot if outcome == "offered" else None,
                slot_has_time=True if outcome == "offered" else None,
            )
    code, out, err = run("status", "--format", "json")
    assert (code, err) == (0, "")
    rows = {row["departement"]: row for row in json.loads(out)}
    assert {group: rows["92"][group] for group in OutcomeGroup} == {
        **dict.fromkeys(OutcomeGroup, 0),
        "offered": 1,
        "dysfunction": 1,
        "barrier": 1,
    }
    assert rows["92"]["first_slot"] == slot.astimezone(departements()["92"].zone).isoformat()
    assert rows["93"]["not_yet_observed"] == 1
    assert rows["93"]["last_observed_at"] is None

    _, out, _ = run("status", "--format", "csv", "--departement", "971")
    (only,) = csv.DictReader(io.StringIO(out))
    assert (only["departement"], only["none"]) == ("971", "1")

    _, out, _ = run("status")
    assert "4 guichets de 2 départements." in out
    assert "Pas encore observés : 1 guichet." in out


def test_an_empty_database_is_said_in_a_sentence(run: Run, connection: Any) -> None:
    assert run("status") == (0, NOTHING_YET + "\n", "")
    assert run("status", "--format", "json") == (0, "[]\n", "")


def test_an_unknown_departement_is_one_line(run: Run, connection: Any) -> None:
    code, out, err = run("status", "--departement", "2a")
    assert (code, out) == (2, "")
    assert err == 'guichets: --departement: "2a" is unknown. Did you mean "2A"?\n'
