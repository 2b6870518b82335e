"""A simulated half-year of 2017 with known stories, and the site made of it: once per run of these tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psycopg
import pytest

from guichets import database as guichets_database
from guichets.sandbox.world import Temper
from guichets.sandbox.year import SimulatedYear, Story, simulate_year
from guichets.site import Reply, Site, build_site
from guichets.statistics import Observatory, Quarter, Reports, Rules, bring_up_to_date, read_observatory
from tests.database_fixtures import Database, _fresh

STORIES = (
    Story(name="generous", temper=Temper.GENEROUS),
    Story(name="generous", temper=Temper.GENEROUS),
    Story(name="worse", temper=Temper.GENEROUS, then=Temper.SCARCE, turn=90 / 181),
    Story(name="worse", temper=Temper.STEADY, then=Temper.SCARCE, turn=90 / 181),
    Story(name="better", temper=Temper.DRY, then=Temper.STEADY, turn=90 / 181),
    Story(name="never", temper=None),
    Story(name="never", temper=None),
    Story(name="late", temper=Temper.GENEROUS, later_days=90),
    Story(name="scarce", temper=Temper.SCARCE),
    Story(name="captcha", outcome="captcha"),
    Story(name="hardly-seen", missed=0.6),
)
LAST = date(2017, 6, 30)
Q1, Q2 = Quarter(2017, 1), Quarter(2017, 2)
SCRIPT = "<script>alert(1)</script>"
HOSTILE = f'{SCRIPT}" onmouseover="x" \u202eavant\u202c &lt;b&gt; {{{{ 7 * 7 }}}} ' + "très long " * 500
REPLY = Reply("92", None, date(2017, 7, 20), f"Le préfet {SCRIPT}", (f"Nous contestons {SCRIPT}.", "Voilà."))


@dataclass(frozen=True, slots=True)
class World:
    """The simulated world, what may be published of it, and its site on disk."""

    database: Database
    year: SimulatedYear
    observatory: Observatory
    reports: Reports
    site: Site
    folder: Path

    def places_of(self, story: str) -> list[str]:
        """Départements of the desks with that story, in the order of codes."""
        return sorted(desk.desk.departement for desk in self.year.desks if desk.story.name == story)

    def page(self, path: str) -> str:
        return (self.folder / path).read_text(encoding="utf-8")

    def pages(self) -> list[Path]:
        return sorted(self.folder.rglob("*.html"))


def read_public(database: Database) -> Observatory:
    with guichets_database.connect("writer", dsn=database.dsn, autocommit=True) as connection:
        bring_up_to_date(connection)
    with guichets_database.connect("public", dsn=database.dsn, autocommit=True) as connection:
        return read_observatory(connection)


@pytest.fixture(scope="session")
def world(database_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with contextmanager(_fresh)(database_server, "template_guichets") as database:
        with database.connect() as connection:
            year = simulate_year(connection, last=LAST, days=181, seed=7, desks=len(STORIES), stories=STORIES)
            _add_hostile_rows(connection)
        observatory = read_public(database)
        reports = Reports(observatory, Rules())
        site = Site(reports, period=Q2, replies=[REPLY])
        folder = tmp_path_factory.mktemp("site") / "site"
        build_site(site, folder)
        yield World(database, year, observatory, reports, site, folder)


def _add_hostile_rows(connection: psycopg.Connection) -> None:
    """A desk and an office whose words are an attack, and an erratum that quotes one."""
    connection.execute("INSERT INTO offices (departement, name) VALUES ('92', %s)", [f"Préfecture {HOSTILE}"])
    connection.execute(
        """INSERT INTO desks
            (id, family, departement, office_id, procedure, label, url, host, source, opened_at)
        SELECT '92-hostile', 'ezbooking', '92', offices.id, 'autre', %(label)s, 'https://host.invalid/1',
            hosts.host, %(label)s, '2017-01-01'
        FROM offices CROSS JOIN (SELECT host FROM hosts LIMIT 1) AS hosts
        WHERE departement = '92' AND name LIKE 'Préfecture <script>%%'""",
        {"label": HOSTILE},
    )
    connection.execute(
        """INSERT INTO channels (office_id, departement, procedure, channel, source)
        SELECT id, '92', 'autre', 'phone', %s FROM offices WHERE name LIKE 'Préfecture <script>%%'""",
        [HOSTILE],
    )
    connection.execute(
        """INSERT INTO errata (id, at, parser_from, parser_to, changes, figures, note) VALUES (
            '01890000-0000-7000-8000-000000000001', '2017-05-02 10:11:12+00', %s, 'ezbooking@2',
            '{"observations": 12, "outcomes": [{"from": "none", "to": "closed", "count": 12}],
              "desks": ["92-hostile"], "days": ["2017-04-30"]}',
            '[{"figure": "daily availability", "desk": "92-hostile", "day": "2017-04-30",
               "before": {"offered": 1, "rated": 18}, "after": {"offered": 0, "rated": 18}}]', %s)""",
        [f"ezbooking@1 {SCRIPT}", HOSTILE],
    )
