"""Homes for embedded servers of a test's own, and commands run in them as a person would."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from guichets.database import embedded, keeper

GENEROUS_SECONDS = 60.0  # far beyond what a loaded machine needs
GUICHETS = [sys.executable, "-c", "from guichets.cli import main; main()"]
PROJECT = Path(__file__).parents[2]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + GENEROUS_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {GENEROUS_SECONDS} s: {what}"
        time.sleep(0.02)


@dataclass
class Home:
    """A GUICHETS_HOME, and the commands running in it."""

    path: Path
    holders: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GUICHETS_")}
        # The package may not be installed where the tests run.
        return kept | {"GUICHETS_HOME": str(self.path), "PYTHONPATH": str(PROJECT)}

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`guichets …`, to its end."""
        return subprocess.run(
            [*GUICHETS, *arguments],
            env=self.environment | {"COLUMNS": "200"} | variables,
            cwd=self.path.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GENEROUS_SECONDS,
            check=False,
        )

    def start_holder(self) -> subprocess.Popen[str]:
        """`guichets db url --hold` in a process group of its own, not waited for."""
        holder = subprocess.Popen(
            [*GUICHETS, "db", "url", "--hold"],
            env=self.environment,
            cwd=self.path.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.holders.append(holder)
        return holder

    def hold(self) -> tuple[subprocess.Popen[str], str]:
        """A command that uses the server until it is ended, and the DSN it printed."""
        holder = self.start_holder()
        return holder, printed_dsn(holder)

    def keeper_pid(self) -> int:
        return int((self.path / "postgres" / "keeper.lock").read_text())

    def kill_keeper(self) -> None:
        os.kill(self.keeper_pid(), signal.SIGKILL)
        self.wait_until_unwatched()

    def wait_until_unwatched(self) -> None:
        lock = self.path / "postgres" / "keeper.lock"
        wait_until(lambda: not self.path.is_dir() or not keeper.is_held(lock), "the keeper is gone")

    def is_running(self) -> bool:
        return embedded.is_running(self.path)

    def wait_until_stopped(self) -> None:
        wait_until(lambda: not self.is_running(), "the server stops")


def printed_dsn(holder: subprocess.Popen[str]) -> str:
    assert holder.stdout is not None
    line = holder.stdout.readline().strip()
    if not line:
        raise AssertionError(f"no address was printed: {holder.communicate(timeout=GENEROUS_SECONDS)[1]}")
    return line


def end(holder: subprocess.Popen[str], how: signal.Signals) -> None:
    holder.send_signal(how)
    holder.communicate(timeout=GENEROUS_SECONDS)


@pytest.fixture
def make_home() -> Iterator[Callable[[str], Home]]:
    """Makes homes; at the end all their commands are ended and their servers stopped."""
    top = Path(tempfile.mkdtemp(prefix="guichets-tests-"))
    homes: list[Home] = []

    def make(name: str) -> Home:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        homes.append(Home(path))
        return homes[-1]

    yield make
    for home in homes:
        for holder in home.holders:
            if holder.poll() is None:
                end(holder, signal.SIGKILL)
            for stream in (holder.stdout, holder.stderr):
                if stream is not None:
                    stream.close()
        embedded.stop(home.path)
        home.wait_until_unwatched()
    shutil.rmtree(top)


@pytest.fixture(scope="session")
def initialised() -> Iterator[Path]:
    """The data folder of a server that was started once and stopped."""
    # Not under pytest's base folder, which is closed to the account root must run the server under.
    top = Path(tempfile.mkdtemp(prefix="guichets-tests-"))
    first = Home(top / "var")
    holder, _ = first.hold()
    end(holder, signal.SIGTERM)
    first.wait_until_unwatched()
    yield first.path / "postgres" / "data"
    shutil.rmtree(top)


@pytest.fixture
def home(make_home: Callable[[str], Home], initialised: Path) -> Home:
    """A home whose server ran once, which spares each test the initialisation."""
    made = make_home("var")
    (made.path / "postgres").mkdir(parents=True)
    subprocess.run(["cp", "-Rp", initialised, made.path / "postgres" / "data"], check=True)
    return made


@pytest.fixture
def new_home(make_home: Callable[[str], Home]) -> Home:
    """A home in which no server ever was."""
    return make_home("var")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("GUICHETS_"):
            monkeypatch.delenv(name)
