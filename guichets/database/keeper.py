"""Stops the embedded server once nobody uses it any more; the small process that waits for that.

Started as a script by the first command that needs the server, with nothing but the standard library, so that
it starts at once and stays small. Everything it must know is told by kernel locks (flock), because the kernel
drops them at a process's death whatever killed it:

users.lock      shared by every process that uses the server, for its whole life; taken alone here, to stop
start.lock      held by whoever initialises, starts or stops the server
server.lock     inherited by the postmaster and its children: held exactly as long as one of them lives, even
                when postmaster.pid is stale after a kill or a reboot
keeper.lock     inherited by this process: held exactly as long as it watches
users/<pid>     held by the user of that pid; holds its command line, to say who uses the server
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PORT = 5432  # of the socket's name only: the server listens on no network
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
        """Whether a postmaster accepts connections on the socket: only the postmaster itself holds it."""
        if not self.socket_folder:
            return False
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
        descriptor = open_lock(path)
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
    socket_folder = ""
    while is_held(places.server_lock):
        waited = time.monotonic() - started
        if waited > 2 * fast_stop_seconds:
            return False
        wanted = signal.SIGINT if waited < fast_stop_seconds else signal.SIGQUIT
        postmaster = read_postmaster(places.data)
        # A pid that does not listen may be another program's by now: children of a killed postmaster hold the
        # lock for an instant longer, and end by themselves.
        if postmaster and wanted not in sent and postmaster.is_listening():
            socket_folder = postmaster.socket_folder
            sent.add(wanted)
            try:
                os.kill(postmaster.pid, wanted)
            except ProcessLookupError:
                continue
        time.sleep(POLL_SECONDS)
    if socket_folder and Path(socket_folder) != places.data:
        try:
            Path(socket_folder).rmdir()
        except OSError:
            return True  # only tidying: someone else's file keeps the folder
    return True


def _is_still_there(path: Path, descriptor: int) -> bool:
    """Whether the path still leads to the open file: the folder may have been deleted and made again."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def watch(places: Places, keeper_lock: int) -> None:
    """Wait until no process uses the server, stop it, end."""
    users = open_lock(places.users_lock)
    fcntl.flock(users, fcntl.LOCK_EX)
    if _is_still_there(places.users_lock, users):
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
    folder, descriptor = Path(sys.argv[1]), int(sys.argv[2])
    if os.fork():
        os._exit(0)  # the caller need not wait for us, nor bury us
    os.chdir("/")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch(Places(folder), descriptor)


if __name__ == "__main__":
    main()
