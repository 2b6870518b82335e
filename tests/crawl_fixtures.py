"""Running ``scrapy crawl`` for real, as a user does, in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from psycopg.rows import dict_row

from tests.database_fixtures import TEMPLATE, Database, _fresh
from tests.sandbox_fixtures import RunningSandbox, _end, start_sandbox

ROOT = Path(__file__).resolve().parent.parent
CRAWL_SECONDS = 150
PATIENCE_SECONDS = 60  # for what must happen sooner or later on a loaded machine


@dataclass
class CrawlResult:
    """What a crawl left: exit status, log, and the exported lines."""

    status: int
    log: str
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def desks(self) -> dict[str, dict[str, Any]]:
        """The desks' own lines by desk id."""
        return {line["desk"]: line for line in self.lines if line["counter"] is None}

    @property
    def counters(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The counters' lines by desk id and counter."""
        return {(line["desk"], line["counter"]): line for line in self.lines if line["counter"] is not None}

    @property
    def mistakes(self) -> list[str]:
        """The log's lines from WARNING up, for a message when a test fails."""
        marks = (" WARNING: ", " ERROR: ", " CRITICAL: ", "Traceback")
        return [line for line in self.log.splitlines() if any(mark in line for mark in marks)]


class Crawler:
    """Starts crawls with no delay and no form interval, unless a test says otherwise."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home = home
        self.environment = {**clean_environment(), "GUICHETS_HOME": str(home), **environment}
        self._number = 0
        self._processes: list[subprocess.Popen[str]] = []

    def command(
        self, family: str, arguments: Mapping[str, Any], settings: Mapping[str, Any], out: Path
    ) -> list[str]:
        defaults = {
            "GUICHETS_HOST_DELAY": 0,
            "GUICHETS_FORM_INTERVAL": 0,
            "GUICHETS_CONTROL_URLS": "",
        }
        words = [sys.executable, "-m", "scrapy", "crawl", family, "-O", str(out)]
        for name, value in {**defaults, **settings}.items():
            words += ["-s", f"{name}={value}"]
        for name, value in arguments.items():
            words += ["-a", f"{name}={value}"]
        return words

    def start(
        self, family: str = "ezbooking", *, settings: Mapping[str, Any] | None = None, **arguments: Any
    ) -> tuple[subprocess.Popen[str], Path]:
        """A crawl under way, and the file it exports to; the caller waits for it or kills it."""
        self._number += 1
        out = self.home / f"out-{self._number}.jsonl"
        self.home.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            self.command(family, arguments, settings or {}, out),
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._processes.append(process)
        return process, out

    def run(
        self, family: str = "ezbooking", *, settings: Mapping[str, Any] | None = None, **arguments: Any
    ) -> CrawlResult:
        """A whole crawl."""
        return self.finish(*self.start(family, settings=settings, **arguments))

    def finish(
        self, process: subprocess.Popen[str], out: Path, seconds: float = CRAWL_SECONDS
    ) -> CrawlResult:
        """Wait for the end of a crawl that was started."""
        try:
            log, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as late:
            process.kill()
            log, _ = process.communicate()
            raise AssertionError(f"the crawl did not end; its log ends with:\n{log[-4000:]}") from late
        finally:
            process.kill()
        return CrawlResult(process.returncode, log, read_lines(out))

    def end(self) -> None:
        """Leave no crawl behind that a failed test was about."""
        for process in self._processes:
            if process.poll() is None:
                self.kill(process)

    def kill(self, process: subprocess.Popen[str]) -> None:
        """As ``kill -9`` or a power cut would: no handler runs."""
        process.kill()
        process.communicate()

    def scrapy(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Any ``scrapy`` command, its two outputs apart."""
        return subprocess.run(
            [sys.executable, "-m", "scrapy", *words],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=CRAWL_SECONDS,
            check=False,
        )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The exported lines; none when the crawl wrote no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def read_rows(database: Database, query: str, *parameters: Any) -> list[dict[str, Any]]:
    """What a query finds, as dictionaries."""
    with database.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchall()


def wait_until(holds: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait until something holds, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"waited {seconds} seconds in vain for {what}"
        time.sleep(0.02)
    return found


def write_desks(folder: Path, urls: Mapping[str, str], departement: str = "92") -> Path:
    """A catalogue folder of EZBooking desks with these addresses."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(
        f'[[desk]]\nid = "{desk}"\nfamily = "ezbooking"\ndepartement = "{departement}"\n'
        f'office = "Préfecture d\'essai"\nprocedure = "remise_titre"\nlabel = "{desk}"\nurl = "{url}"\n\n'
        for desk, url in urls.items()
    )
    (folder / f"{departement}.toml").write_text(text, encoding="utf-8")
    return folder


def clean_environment() -> dict[str, str]:
    """The environment without what would lead a test to a user's database or catalogue, or a proxy."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GUICHETS_", "SCRAPY_")) and not name.lower().endswith("_proxy")
    }


class Workshop:
    """Databases, sandboxes and crawlers on demand, all gone when the fixture ends."""

    def __init__(self, server: str, new_folder: Callable[[str], Path], stack: ExitStack) -> None:
        self._server = server
        self._new_folder = new_folder
        self._stack = stack

    def folder(self, name: str) -> Path:
        return self._new_folder(name)

    def database(self) -> Database:
        """A fresh database with the current schema."""
        return self._stack.enter_context(contextmanager(_fresh)(self._server, TEMPLATE))

    def empty_database(self) -> Database:
        """A fresh database without any schema of ours."""
        return self._stack.enter_context(contextmanager(_fresh)(self._server, "template1"))

    def sandbox(self, **options: object) -> RunningSandbox:
        box = start_sandbox(self._new_folder("sandbox"), **options)
        self._stack.callback(_end, box.process)
        return box

    def crawler(self, catalogue: Path, database: Database | None = None) -> Crawler:
        """Crawls a catalogue into a database, a fresh one unless given."""
        dsn = (database or self.database()).dsn
        environment = {"GUICHETS_DATABASE_URL": dsn, "GUICHETS_CATALOGUE": str(catalogue)}
        crawler = Crawler(self._new_folder("home"), environment)
        self._stack.callback(crawler.end)
        return crawler


@contextmanager
def _workshop(server: str, factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with ExitStack() as stack:
        yield Workshop(server, factory.mktemp, stack)


@pytest.fixture
def workshop(database_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Databases, sandboxes and crawlers for one test."""
    with _workshop(database_server, tmp_path_factory) as made:
        yield made


@pytest.fixture(scope="module")
def module_workshop(database_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """The same for one module, so that several tests may look at one crawl."""
    with _workshop(database_server, tmp_path_factory) as made:
        yield made


@pytest.fixture
def crawler(database: Any, tmp_path: Path) -> Crawler:
    """Crawls into the test's own database. Set ``environment["GUICHETS_CATALOGUE"]`` before running."""
    return Crawler(tmp_path / "home", {"GUICHETS_DATABASE_URL": database.dsn})
