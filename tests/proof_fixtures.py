"""A small crawl with its archive, made once per module, of which each test may have a copy to change."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import conninfo

from guichets.clock import SystemClock
from tests.crawl_fixtures import Workshop, read_rows
from tests.database_fixtures import Database, _fresh


@dataclass(frozen=True, slots=True)
class Proved:
    """A home with its archive, the database that points into it, and what the crawls exported."""

    home: Path
    database: Database
    lines: tuple[dict[str, Any], ...]

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        return read_rows(self.database, query, *parameters)

    def warcs(self) -> list[Path]:
        return sorted(self.home.glob("archive/*/*/*/guichets-*.warc.gz"))

    def with_page(self) -> str:
        """The id of an observation that rests on a page."""
        return str(next(line["id"] for line in self.lines if line["evidence"] and not line["counter"]))

    def without_page(self) -> str:
        return str(next(line["id"] for line in self.lines if not line["evidence"]))


@pytest.fixture(scope="module")
def proved_crawl(module_workshop: Workshop) -> Proved:
    """Two rounds over desks of two hosts: one answers nothing, the other has a desk with slots on any day."""
    box = module_workshop.sandbox(desks=8, departements=2, mixture="lives", seed=3)
    there, down = box.hosts
    box.set_scene(next(desk["id"] for desk in box.desks() if there in desk["url"]), "offered")
    box.set_host(down, down=True)
    database = module_workshop.database()
    crawler = module_workshop.crawler(box.catalogue, database)
    lines: list[dict[str, Any]] = []
    for _ in range(2):
        result = crawler.run(due="all")
        assert result.status == 0, result.log[-3000:]
        lines += result.lines
    return Proved(crawler.home, database, tuple(lines))


@pytest.fixture
def proved(
    proved_crawl: Proved, database_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proved]:
    """A copy of it, and the environment that leads to the copy."""
    home = tmp_path / "home"
    shutil.copytree(proved_crawl.home / "archive", home / "archive")
    template = str(conninfo.conninfo_to_dict(proved_crawl.database.dsn)["dbname"])
    with contextmanager(_fresh)(database_server, template) as database:
        monkeypatch.setenv("GUICHETS_HOME", str(home))
        monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
        yield Proved(home, database, proved_crawl.lines)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[..., datetime]:
    """Moves the clock of commands run in this process: ``later(days=1)``."""

    def move(**amount: float) -> datetime:
        instant = datetime.now(UTC) + timedelta(**amount)
        monkeypatch.setattr(SystemClock, "now", lambda self: instant)
        return instant

    return move
