from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import conninfo, sql

from guichets import catalogue
from monitoring.dashboards.__main__ import FOLDER, render
from monitoring.outlines import OUTLINES, marks
from tests.database_fixtures import Database
from tests.monitoring.panels import Query, boards, panels, queries
from tests.monitoring.plans import whole_scans
from tests.monitoring.seeding import FAMILIES, PROCEDURES

PROVISIONING = Path(__file__).resolve().parents[2] / "monitoring" / "grafana" / "provisioning"
SQL = [query for query in queries() if query.is_sql]
NARROWEST = 4  # of 24 columns: a single figure; 213 px of 1,280
NARROWEST_CHART = 8
EMPTY_IN_THE_SEED = {"Ses sous-choix", "Guichets non reconnus, disparus ou déplacés"}

ALL = {
    "departement": list(catalogue.departements()),
    "procedure": list(PROCEDURES),
    "family": list(FAMILIES),
    "desk": ["desk-1"],
}
ONE = {"departement": ["75"], "procedure": ["premiere_demande"], "family": ["ezbooking"], "desk": ["desk-1"]}


@pytest.fixture(scope="module")
def grafana(seeded_country: Database) -> Iterator[psycopg.Connection[Any]]:
    """Connected as Grafana is: by a login that is a reader and nothing else."""
    name = sql.Identifier(login := f"grafana_{uuid.uuid4().hex}")
    with seeded_country.connect() as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x' IN ROLE guichets_reader").format(name))
    dsn = conninfo.make_conninfo(seeded_country.dsn, user=login, password="x")
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            yield connection
    finally:
        with seeded_country.connect() as owner:
            owner.execute(sql.SQL("DROP ROLE {}").format(name))


def test_committed_screens_are_those_of_the_code() -> None:
    made = render()
    assert {path.name for path in FOLDER.glob("*.json")} == set(made)
    for name, text in made.items():
        assert (FOLDER / name).read_text("utf-8") == text, "stale: .venv/bin/python -m monitoring.dashboards"


@pytest.mark.parametrize("choices", [ALL, ONE], ids=["everything", "one-of-each"])
@pytest.mark.parametrize("query", SQL, ids=lambda query: query.name)
def test_sql_of_a_panel_answers_the_reader_without_reading_observations_through(
    grafana: psycopg.Connection[Any], query: Query, choices: dict[str, list[str]]
) -> None:
    now = datetime.now(UTC)
    if "= ${family:sqlstring}" in query.text:  # a screen of one family
        choices = {**choices, "family": ["ezbooking"]}
    text = query.sql(choices, since=(now - timedelta(days=7)).isoformat(), until=now.isoformat())
    rows = grafana.execute(text).fetchall()  # type: ignore[arg-type, call-overload]
    if choices["departement"] == ALL["departement"] and query.panel not in EMPTY_IN_THE_SEED:
        assert rows, text
    assert whole_scans(grafana, text) == []


@pytest.mark.parametrize("board", boards(), ids=lambda board: board["title"])
def test_a_screen_fits_1280_pixels_and_explains_each_panel(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(board):
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
        assert place["w"] >= (NARROWEST if panel["type"] == "stat" else NARROWEST_CHART)
        if panel["type"] != "text":
            assert panel["title"]
            assert panel["description"].endswith((".", "?")), panel["title"]


@pytest.mark.parametrize("board", boards(), ids=lambda board: board["title"])
def test_a_screen_declares_the_variables_it_uses_and_shows_what_we_changed(board: dict[str, Any]) -> None:
    declared = {variable["name"] for variable in board["templating"]["list"]}
    used = {
        name
        for query in queries()
        if query.board == board["title"]
        for name in re.findall(r"\$\{?([a-z]+)\b", query.text)
    }
    assert used == declared
    assert board["annotations"]["list"][0]["target"]["rawSql"].startswith("SELECT at AS time")
    assert board["editable"] is False
    assert board["timezone"] == "Europe/Paris"


def test_screens_and_provisioning_name_the_same_data_sources() -> None:
    provisioned = {
        source["uid"]: source["type"]
        for path in (PROVISIONING / "datasources").glob("*.yaml")
        for source in yaml.safe_load(path.read_text("utf-8"))["datasources"]
    }
    asked = set(re.findall(r'"uid": "(guichets-(?:prometheus|postgres))"', json.dumps(boards())))
    assert asked == set(provisioned)
    for board in boards():
        for panel in panels(board):
            for target in panel.get("targets", ()):
                assert provisioned[target["datasource"]["uid"]] == target["datasource"]["type"]


def test_links_between_screens_lead_somewhere() -> None:
    uids = {board["uid"] for board in boards()}
    for target in re.findall(r"/d/([a-z-]+)", json.dumps(boards())):
        assert target in uids


def test_the_map_has_every_departement_on_its_outline() -> None:
    found = marks()
    assert set(found) == set(catalogue.departements())
    for code, (longitude, latitude) in found.items():
        assert -9.5 < longitude < 10, code
        assert 41 < latitude < 52, code
    assert OUTLINES.stat().st_size < 300_000
