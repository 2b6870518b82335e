"""A simulated quarter and short ones, with the constats made of them by the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pytest
from psycopg import conninfo

from guichets.sandbox.world import Temper
from guichets.sandbox.year import Story
from tests.constat.quarter import FIRST, LAST, Quarter, make_quarter
from tests.database_fixtures import TEMPLATE, Database, _fresh

CASE = "Dossier 2025-042, Mme Personne"


@dataclass(frozen=True, slots=True)
class World:
    """A quarter with its database and archive."""

    database: Database
    quarter: Quarter

    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("GUICHETS_")},
            "GUICHETS_HOME": str(self.quarter.home),
            "GUICHETS_DATABASE_URL": self.database.dsn,
        }

    def constat(self, out: Path, first: date, last: date, *more: str, **environment: str) -> Made:
        """Run the command as a person does."""
        desk = self.quarter.desk
        return run_constat(out, desk, first, last, *more, environment=self.environment() | environment)


@dataclass(frozen=True, slots=True)
class Made:
    """What a run of the command left."""

    out: Path
    status: int
    stdout: str
    stderr: str

    @property
    def zip(self) -> Path:
        return self.out.with_name(f"{self.out.name}.zip")

    def pdf_text(self) -> str:
        """The text of the document in its order, white space folded; heads and feet of pages left out."""
        from pypdf import PdfReader

        lines = []
        for page in PdfReader(self.out / "constat.pdf").pages:
            found = page.extract_text().split("\n")
            lines += [line for line in found if not line.startswith(_FRAMES)]
        return " ".join(" ".join(lines).replace("\xa0", " ").split())

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of every file, those inside the WACZ too, unpacked."""
        import gzip
        import zipfile

        for path in sorted(self.out.rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                yield path.name, data
                if path.suffix == ".gz":
                    yield f"{path.name}, unpacked", gzip.decompress(data)
                elif path.suffix == ".wacz":
                    with zipfile.ZipFile(path) as package:
                        for name in package.namelist():
                            inside = package.read(name)
                            yield name, gzip.decompress(inside) if name.endswith(".gz") else inside


def run_constat(
    out: Path,
    desk: str,
    first: date,
    last: date,
    *more: str,
    environment: Mapping[str, str],
    then: datetime | None = None,
) -> Made:
    """Run the command; with its clock set to ``then``, if given."""
    command = ["-m", "guichets"]
    if then is not None:
        script = (
            "import datetime, guichets.clock\n"
            f"then = datetime.datetime.fromisoformat('{then.isoformat()}')\n"
            "guichets.clock.SystemClock.now = lambda self: then\n"
            "from guichets.cli import main\nmain()\n"
        )
        command = ["-c", script]
    done = subprocess.run(
        [
            *(sys.executable, *command, "constat", "--desk", desk, "--out", str(out)),
            *("--from", str(first), "--to", str(last), *more),
        ],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Made(out, done.returncode, done.stdout, done.stderr)


_FRAMES = (  # heads and feet of pages, and the heading that the long table repeats on each
    "Constat d'observation d'un guichet de rendez-vous en ligne 77",
    "Guichets 0.",
    "N° Date et heure (Paris)",
)


@pytest.fixture(scope="session")
def world(database_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A quarter without any date, five days of which nobody looked at; closed for two weeks."""
    with contextmanager(_fresh)(database_server, TEMPLATE) as database:
        with database.connect() as connection:
            quarter = make_quarter(connection, tmp_path_factory.mktemp("quarter"))
        yield World(database, quarter)


@pytest.fixture(scope="session")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The constat of the whole quarter."""
    made = world.constat(tmp_path_factory.mktemp("whole") / "constat", FIRST, LAST, "--case", CASE)
    assert made.status == 0, made.stderr
    return made


@pytest.fixture(scope="session")
def short(world: World, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three weeks of it, without pictures: quick to verify again and again."""
    made = world.constat(tmp_path_factory.mktemp("short") / "constat", FIRST, date(2025, 1, 21))
    assert made.status == 0, made.stderr
    return made


@pytest.fixture(scope="session")
def offering(database_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Five weeks of a desk that offers dates now and then."""
    with contextmanager(_fresh)(database_server, TEMPLATE) as database:
        with database.connect() as connection:
            story = Story(name="scarce", temper=Temper.SCARCE)
            quarter = make_quarter(
                connection, tmp_path_factory.mktemp("offering"), story=story, others=(), seed=4,
                first=date(2025, 3, 3), last=date(2025, 4, 6), gap=None,
            )  # fmt: skip
        yield World(database, quarter)


@pytest.fixture
def changeable(world: World, database_server: str, tmp_path: Path) -> Iterator[Callable[[], World]]:
    """Makes a copy of the quarter that a test may change."""
    template = str(conninfo.conninfo_to_dict(world.database.dsn)["dbname"])
    with contextmanager(_fresh)(database_server, template) as database:

        def copy() -> World:
            home = tmp_path / "home"
            shutil.copytree(world.quarter.home, home)
            quarter = Quarter(
                world.quarter.desk, world.quarter.departement, home, world.quarter.attempts,
                world.quarter.observations, world.quarter.slots_due,
            )  # fmt: skip
            return World(database, quarter)

        yield copy
