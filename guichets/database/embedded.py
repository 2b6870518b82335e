"""The PostgreSQL server that Guichets brings along, for whoever has none.

It lives under ``<home>/postgres``. Any number of processes of one machine share it: the first one starts it,
and a keeper process stops it when the last one has ended, however it ended (see guichets.database.keeper).
"""

from __future__ import annotations

import atexit
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from urllib.parse import quote

from guichets.database import _cluster, keeper
from guichets.database._account import server_account
from guichets.database.keeper import Places, is_held, open_lock, read_postmaster
from guichets.errors import EmbeddedServerError

DATABASE = "guichets"

_joined: dict[Path, tuple[int, ...]] = {}  # descriptors that hold this process's locks, for its whole life
_joining = threading.Lock()


@dataclass(frozen=True, slots=True)
class User:
    """A process that uses an embedded server."""

    pid: int
    command: str


def join(home: Path) -> str:
    """The DSN of the home's server, started if need be; it stays up at least as long as this process lives.

    Raises EmbeddedServerError when it cannot be started.
    """
    places = _places(home)
    with _joining, _plain_errors(places):
        if not _has_joined(places):
            places.folder.mkdir(parents=True, exist_ok=True)
            _joined[places.folder] = _announce(places)
            atexit.register(_leave_a_keeper, places, os.getpid())
        with _held_alone(places.start_lock):
            postmaster = _cluster.ensure_running(places, DATABASE)
            _ensure_keeper(places)
    return _dsn(postmaster.socket_folder)


def address(home: Path) -> str:
    """The DSN of the home's server without starting it: true now if it runs, else where it will be."""
    places = _places(home)
    with _plain_errors(places):
        postmaster = read_postmaster(places.data) if is_running(home) else None
        folder = postmaster.socket_folder if postmaster else ""
        return _dsn(folder or str(_cluster.socket_folder(places.data, server_account(places.data))))


def is_running(home: Path) -> bool:
    """Whether the home's server, or one of its processes, runs."""
    places = _places(home)
    return places.folder.is_dir() and is_held(places.server_lock)


def users(home: Path) -> list[User]:
    """The processes that use the home's server, this one included if it joined."""
    found = []
    for path in sorted(_places(home).users.glob("*"), key=lambda path: path.name.zfill(20)):
        if is_held(path):
            found.append(User(int(path.name), path.read_text(encoding="utf-8").strip()))
        else:
            path.unlink(missing_ok=True)  # left by a process that was killed
    return found


def stop(home: Path) -> bool:
    """Stop the home's server even if others use it; False when none was running.

    Raises EmbeddedServerError when it does not stop.
    """
    places = _places(home)
    if not is_running(home):
        return False
    with _plain_errors(places), _held_alone(places.start_lock):
        if not keeper.stop_server(places):
            raise EmbeddedServerError(f"{places.folder}: the server does not stop; see {places.log}")
    return True


def _places(home: Path) -> Places:
    return Places(home.absolute() / "postgres")


def _dsn(socket_folder: str) -> str:
    return f"postgresql://postgres@/{DATABASE}?host={quote(socket_folder, safe='')}&port={keeper.PORT}"


def _has_joined(places: Places) -> bool:
    """Whether this process holds its locks, in the folder that is there now: it may have been made anew."""
    held = _joined.get(places.folder)
    try:
        return held is not None and os.path.samestat(os.fstat(held[0]), places.users_lock.stat())
    except FileNotFoundError:
        return False


def _announce(places: Places) -> tuple[int, ...]:
    """Hold the locks of a user, after waiting for a stop under way."""
    shared = open_lock(places.users_lock)
    fcntl.flock(shared, fcntl.LOCK_SH)
    places.users.mkdir(exist_ok=True)
    own = open_lock(places.users / str(os.getpid()))
    fcntl.flock(own, fcntl.LOCK_EX)
    os.truncate(own, 0)
    os.write(own, " ".join(sys.argv).encode("utf-8", errors="replace"))
    return shared, own


@contextmanager
def _held_alone(path: Path) -> Iterator[None]:
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _ensure_keeper(places: Places) -> None:
    """Start the keeper unless it watches. It is born with its lock held: there is never a second one."""
    if is_held(places.keeper_lock):
        return
    descriptor = open_lock(places.keeper_lock)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with as_file(files("guichets.database").joinpath("keeper.py")) as script:  # out of an egg, too
            subprocess.run(
                # Isolated and without site-packages: it needs neither, and starts in a few milliseconds.
                [sys.executable or "python3", "-I", "-S", script, places.folder, str(descriptor)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(descriptor,),
                start_new_session=True,  # out of reach of the terminal's Ctrl-C and hang-up
                check=True,
            )
    except subprocess.CalledProcessError as error:
        raise EmbeddedServerError(
            f"{places.folder}: the process that stops the server ended with status {error.returncode}"
        ) from error
    finally:
        os.close(descriptor)


def _leave_a_keeper(places: Places, joined_by: int) -> None:
    """At a normal end, replace a keeper that was killed: else the server would outlive its users."""
    if os.getpid() != joined_by or not places.folder.is_dir() or not is_held(places.server_lock):
        return
    # A disk that fails now must not end a finished command with a traceback: the next command tries again.
    with suppress(OSError, EmbeddedServerError), _held_alone(places.start_lock):
        _ensure_keeper(places)


@contextmanager
def _plain_errors(places: Places) -> Iterator[None]:
    """Turn what the system refuses into one line of ours."""
    try:
        yield
    except OSError as error:
        place = error.filename or places.folder
        raise EmbeddedServerError(
            f"{place}: {error.strerror or error}: the embedded PostgreSQL cannot be used there. "
            "Free some space or set GUICHETS_HOME to a folder you may write to."
        ) from error
