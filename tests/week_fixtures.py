"""A sandbox week, crawled once, of which each test may have a copy: its database and its archive."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg import conninfo

from tests.crawl_fixtures import Workshop, _workshop, read_rows
from tests.database_fixtures import Database, _fresh

DAYS = 7
DESKS = 48
DAY_SECONDS = 86_400
DOWN_ON = 3  # the day on which one préfecture's machine is off


@dataclass(frozen=True, slots=True)
class Week:
    """A home folder with its archive, and the database that points into it."""

    home: Path
    database: Database
    catalogue: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "GUICHETS_HOME": str(self.home),
            "GUICHETS_DATABASE_URL": self.database.dsn,
            "GUICHETS_CATALOGUE": str(self.catalogue),
        }

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        return read_rows(self.database, query, *parameters)

    def in_force(self) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """What counts now, by visit and counter: everything but ids and parsers."""
        rows = self.rows(
            """SELECT line.*, ARRAY(
                SELECT starts_at FROM slots WHERE observation_id = line.id ORDER BY starts_at
            ) AS slots FROM observations_in_force AS line"""
        )
        left_out = {"id", "parser", "supersedes", "note"}
        return {
            (row["probe"], row["counter_key"]): tuple(
                str(value) for name, value in row.items() if name not in left_out
            )
            for row in rows
        }

    def archived(self) -> dict[str, int]:
        """The archive's files and their sizes."""
        return {path.name: path.stat().st_size for path in sorted(self.home.glob("archive/*/*/*/*.warc.gz"))}


@pytest.fixture(scope="module")
def crawled_week(database_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Week]:
    """Seven rounds, a simulated day apart, over desks in every state."""
    for workshop in _workshop_of(database_server, tmp_path_factory):
        box = workshop.sandbox(desks=DESKS, departements=12, mixture="lives", seed=11)
        scenes = [scene["name"] for scene in box.scenes() if scene["name"] != "life" and not scene["slow"]]
        ids = [desk["id"] for desk in box.desks()]
        for desk, scene in zip(ids[::3], scenes, strict=False):
            box.set_scene(desk, scene)
        database = workshop.database()
        crawler = workshop.crawler(box.catalogue, database)
        for day in range(DAYS):
            box.set_host(box.hosts[0], down=True if day == DOWN_ON else None)
            result = crawler.run(settings={"GUICHETS_MAX_HOSTS": 12, "DOWNLOAD_TIMEOUT": 5}, due="all")
            assert result.status == 0, result.log[-3000:]
            box.advance(DAY_SECONDS)
        yield Week(crawler.home, database, box.catalogue)


def _workshop_of(server: str, factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with _workshop(server, factory) as workshop:
        yield workshop


@pytest.fixture
def week(crawled_week: Week, database_server: str, tmp_path: Path) -> Iterator[Week]:
    """A copy of the week to change at will."""
    home = tmp_path / "home"
    shutil.copytree(crawled_week.home / "archive", home / "archive")
    template = str(conninfo.conninfo_to_dict(crawled_week.database.dsn)["dbname"])
    with contextmanager(_fresh)(database_server, template) as database:
        yield Week(home, database, crawled_week.catalogue)
