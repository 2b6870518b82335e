"""Stops the embedded server once nobody uses it any more; the small process that waits for that.

Started as a script by the first command that needs the server, with nothing but the standard library, so that
it starts at once and stays small. Everything it must know is told by kernel locks (flock), because the kernel
drops them at a process's death whatever killed it:

users.lock      shared by every process that uses the server, for its whole life; taken alone here, to stop
start.lock      held by whoever initialises, starts or stops the server
server.lock     inherited by the postmaster and its children: held exactly as long as one of them lives, even
                when postmaster.pid is stale after a kill or a reboot; holds the id of their session
keeper.lock     inherited by this process: held exactly as long as it watches
users/<pid>     held by the user of that pid; holds its command line, to say who uses the server
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PORT = 5432  # of the socket's name only: the server listens on no network
SOCKET_FOLDER_PREFIX = "guichets-socket-"  # of folders in the temporary one
POLL_SECONDS = 0.01
FAST_STOP_SECONDS = 20.0  # then the immediate one, which recovers at the next start


@dataclass(frozen=True, slots=True)
class Places:
    """Where the embedded server of one home keeps its files."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def users(self) -> Path:
        return self.folder / "users"

    @property
    def users_lock(self) -> Path:
        return self.folder / "users.lock"

    @property
    def start_lock(self) -> Path:
        return self.folder / "start.lock"

    @property
    def server_lock(self) -> Path:
        return self.folder / "server.lock"

    @property
    def keeper_lock(self) -> Path:
        return self.folder / "keeper.lock"


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What postmaster.pid says; it may be stale."""

    pid: int
    socket_folder: str
    is_ready: bool

    def is_listening(self) -> bool:
        """Whether somebody accepts connections on its socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(f"{self.socket_folder}/.s.PGSQL.{PORT}")
            except OSError:
                return False
        return True


def open_lock(path: Path) -> int:
    """A descriptor to lock; programs started by this process do not inherit it."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock alone. Two askers do not disturb each other."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_postmaster(data: Path) -> Postmaster | None:
    """What the data folder's postmaster.pid says, or None when there is none or it is being written."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None
    return Postmaster(
        pid=abs(pid),
        socket_folder=lines[4].strip() if len(lines) > 4 else "",
        is_ready=len(lines) > 7 and lines[7].strip() == "ready",
    )


def stop_server(places: Places, *, fast_stop_seconds: float = FAST_STOP_SECONDS) -> bool:
    """Stop the server if it runs; True when none runs any more. The caller holds start.lock."""
    started = time.monotonic()
    sent: set[signal.Signals] = set()
    socket_folder = Path()
    while is_held(places.server_lock):
        waited = time.monotonic() - started
        if waited > 2 * fast_stop_seconds:
            return False
        wanted = signal.SIGINT if waited < fast_stop_seconds else signal.SIGQUIT
        postmaster = read_postmaster(places.data)
        if postmaster and wanted not in sent and _is_of_session(postmaster.pid, places.server_lock):
            socket_folder = Path(postmaster.socket_folder)
            os.kill(postmaster.pid, wanted)
            sent.add(wanted)
        time.sleep(POLL_SECONDS)
    if socket_folder.name.startswith(SOCKET_FOLDER_PREFIX):
        with contextlib.suppress(OSError):  # only tidying
            socket_folder.rmdir()
    return True


def _is_of_session(pid: int, server_lock: Path) -> bool:
    """Whether ``pid`` belongs to the session the server was started in.

    Children of a killed postmaster hold the lock for an instant longer than it lives, and its number may by
    then be another program's, which must not be signalled.
    """
    try:
        return os.getsid(pid) == int(server_lock.read_text())
    except (ProcessLookupError, ValueError):
        return False


def watch(places: Places, keeper_lock: int) -> None:
    """Wait until no process uses the server, stop it, end."""
    users = open_lock(places.users_lock)
    fcntl.flock(users, fcntl.LOCK_EX)
    start = open_lock(places.start_lock)
    fcntl.flock(start, fcntl.LOCK_EX)
    stop_server(places)
    for left in places.users.glob("*"):
        left.unlink(missing_ok=True)  # by processes that have all ended
    # In this order: a newcomer, who waits for users.lock, must find this keeper gone and start its own.
    os.close(keeper_lock)
    os.close(users)


def main() -> None:
    """``keeper.py FOLDER DESCRIPTOR``: leave the caller, then watch; the descriptor holds keeper.lock."""
    folder, descriptor = sys.argv[1], int(sys.argv[2])
    # From inside, so that it goes on watching the same folder when that is moved and another takes its place.
    os.chdir(folder)
    if child := os.fork():
        os.truncate(descriptor, 0)
        os.write(descriptor, str(child).encode())  # for people who look
        os._exit(0)  # the caller need not wait for the child, nor bury it
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(FileNotFoundError):  # the folder was deleted: the server sees that by itself
        watch(Places(Path()), descriptor)


if __name__ == "__main__":
    main()
