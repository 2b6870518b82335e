"""Connections to PostgreSQL, each under one of the two roles, and one clear line when none can be made."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Literal

import psycopg
from psycopg import conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from guichets import __version__, configuration
from guichets.database import embedded
from guichets.database.schema import check_schema
from guichets.errors import ConfigurationError, DatabaseError, DatabaseUnreachable

Role = Literal["public", "reader", "writer", "owner"]
"""What a connection may do: read what is published; read; write what a crawl writes; all its login may."""

Preparation = Callable[[psycopg.AsyncConnection], Awaitable[None]]
"""What is done once to each new connection."""

OLDEST_VERSION = 15
CONNECT_SECONDS = 10
POOL_OPEN_SECONDS = 30.0

# A network that swallows everything gives no sign. Both ends then find out within a minute or so: ours by
# these, unless the DSN says otherwise, and the server's by its own, or a batch whose end it never saw would
# hold its locks for hours.
_TCP = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}
_SERVER_TCP = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"

_AS_ROLE: dict[Role, str] = {
    "public": "SET ROLE guichets_public; SET TIME ZONE 'UTC'; SET search_path = public_data",
    "reader": "SET ROLE guichets_reader; SET TIME ZONE 'UTC'",
    "writer": f"SET ROLE guichets_writer; SET TIME ZONE 'UTC'; {_SERVER_TCP}",
    "owner": "SET TIME ZONE 'UTC'",
}


def is_embedded() -> bool:
    """Whether the embedded server serves, because GUICHETS_DATABASE_URL is unset."""
    return not configuration.read("GUICHETS_DATABASE_URL")


def dsn() -> str:
    """The DSN in force: the setting, or the embedded server's, which is started if need be.

    Raises EmbeddedServerError when that server cannot start.
    """
    return configuration.read("GUICHETS_DATABASE_URL") or embedded.join(configuration.home())


def connect(
    role: Role = "reader", *, check: bool = True, dsn: str | None = None, autocommit: bool = False
) -> psycopg.Connection:
    """A connection under ``role``, in UTC, to ``dsn`` or to the one in force.

    Raises DatabaseUnreachable, and SchemaOutOfDate unless ``check`` is False.
    """
    target = dsn or _dsn_in_force()
    try:
        connection = psycopg.connect(_parameters(target))
    except psycopg.OperationalError as error:
        raise _unreachable(target, error) from None
    try:
        _check_version(connection, target)
        if check:
            check_schema(connection)
        connection.execute(_AS_ROLE[role])
        connection.commit()
        connection.autocommit = autocommit
    except BaseException as error:
        connection.close()
        if isinstance(error, psycopg.Error):
            raise _not_set_up(target, role, error) from None
        raise
    return connection


async def connect_async(
    role: Role = "reader", *, check: bool = True, dsn: str | None = None, autocommit: bool = False
) -> psycopg.AsyncConnection:
    """As ``connect``, for asyncio. Starting the embedded server blocks: call ``prepare`` first."""
    target = dsn or _dsn_in_force()
    if check:
        connect(role, dsn=target).close()
    try:
        connection = await psycopg.AsyncConnection.connect(_parameters(target))
    except psycopg.OperationalError as error:
        raise _unreachable(target, error) from None
    try:
        async with hung_up_after(CONNECT_SECONDS, connection):
            await configure_as(role)(connection)
        await connection.set_autocommit(autocommit)
    except BaseException as error:
        await connection.close()
        if isinstance(error, psycopg.Error):
            raise _not_set_up(target, role, error) from None
        raise
    return connection


@contextmanager
def session(role: Role = "reader", *, dsn: str | None = None) -> Iterator[psycopg.Connection]:
    """A connection as ``connect`` makes it, committed and closed at the end.

    Raises DatabaseError for what PostgreSQL refuses or breaks off meanwhile, and what ``connect`` raises.
    """
    target = dsn or _dsn_in_force()
    with broken_off_is_told(target), connect(role, dsn=target) as connection:
        yield connection


@contextmanager
def broken_off_is_told(dsn: str) -> Iterator[None]:
    """A connection that ends in the middle, as when PostgreSQL restarts, is one line and no traceback."""
    try:
        yield
    except psycopg.Error as error:
        reason = error.diag.message_primary or str(error).strip().partition("\n")[0] or type(error).__name__
        kind = DatabaseUnreachable if isinstance(error, psycopg.OperationalError) else DatabaseError
        raise kind(f"PostgreSQL at {place(dsn)}: {reason}") from error


@asynccontextmanager
async def hung_up_after(seconds: float, connection: psycopg.AsyncConnection) -> AsyncIterator[None]:
    """What awaits PostgreSQL in here for longer ends by OperationalError, and the connection with it.

    A cancellation alone does not do it: psycopg then asks the server to cancel, and waits for its answer.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + seconds
    timer = loop.call_at(ends_at, _hang_up, connection)
    try:
        yield
    except psycopg.OperationalError as error:
        if loop.time() >= ends_at:
            raise psycopg.OperationalError(f"no answer within {seconds:.0f} seconds") from error
        raise
    finally:
        timer.cancel()


def _hang_up(connection: psycopg.AsyncConnection) -> None:
    """Whoever waits on the socket is told that it ended."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


async def open_pool(
    dsn: str, role: Role, min_size: int = 1, max_size: int = 4, *, then: Preparation | None = None
) -> AsyncConnectionPool[psycopg.AsyncConnection]:
    """An open pool of connections under ``role``, in UTC; the caller closes it.

    Each new connection is handed to ``then``, for what a caller's session needs besides.

    Raises DatabaseUnreachable when not even the first connection can be made.
    """
    # One connection made apart tells what is wrong; the pool would only say that it waited in vain.
    await (await connect_async(role, check=False, dsn=dsn)).close()
    pool: AsyncConnectionPool[psycopg.AsyncConnection] = AsyncConnectionPool(
        _parameters(dsn),
        min_size=min_size,
        max_size=max_size,
        configure=configure_as(role, then),
        name=f"guichets-{role}",
        open=False,
    )
    try:
        await pool.open(wait=True, timeout=POOL_OPEN_SECONDS)
    except PoolTimeout as error:
        await pool.close()
        raise DatabaseUnreachable(f"PostgreSQL at {place(dsn)}: {error}") from None
    return pool


def configure_as(role: Role, then: Preparation | None = None) -> Preparation:
    """What puts each new connection of a pool under one role, in UTC."""

    async def configure(connection: psycopg.AsyncConnection) -> None:
        await connection.execute(_AS_ROLE[role])
        if then is not None:
            await then(connection)
        await connection.commit()

    return configure


def place(dsn: str) -> str:
    """Where a DSN leads, for people: database, host, port and user, never the password."""
    parts = _read(dsn)
    host = parts.get("host") or parts.get("hostaddr") or "the local socket"
    text = f"{host}:{parts['port']}" if parts.get("port") else str(host)
    text += f", database {parts['dbname']}" if parts.get("dbname") else ""
    return text + (f", user {parts['user']}" if parts.get("user") else "")


def _dsn_in_force() -> str:
    return dsn()


def _read(dsn: str) -> dict[str, str | int | None]:
    try:
        return dict(conninfo.conninfo_to_dict(dsn))
    except psycopg.ProgrammingError:
        # libpq's own words would quote the text, password and all
        raise ConfigurationError(
            "GUICHETS_DATABASE_URL cannot be read: expected postgresql://user:password@host:5432/database "
            "(reserved characters of the password as %XX)"
        ) from None


def _parameters(dsn: str) -> str:
    given = _read(dsn)
    added: dict[str, str | int] = {"application_name": f"guichets/{__version__}"}
    for name, value in {"connect_timeout": CONNECT_SECONDS, **_TCP}.items():
        if name not in given:
            added[name] = value
    return conninfo.make_conninfo(dsn, **added)


def _check_version(connection: psycopg.Connection, dsn: str) -> None:
    version = connection.info.server_version // 10_000
    if version < OLDEST_VERSION:
        raise DatabaseUnreachable(
            f"PostgreSQL at {place(dsn)} is version {version}: Guichets needs {OLDEST_VERSION} or newer."
        )


def _unreachable(dsn: str, error: psycopg.Error) -> DatabaseUnreachable:
    reason = _reason(str(error))
    if password := _read(dsn).get("password"):
        reason = reason.replace(str(password), "***")
    return DatabaseUnreachable(f"PostgreSQL at {place(dsn)} cannot be reached: {reason}")


def _reason(text: str) -> str:
    """The one line that counts of libpq's several: it tells of each address it tried, with advice."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no reason given"]
    for mark in ("FATAL:", " failed: "):
        for line in reversed(lines):
            if mark in line:
                return line.rpartition(mark)[2].strip()
    return lines[0]


def _not_set_up(dsn: str, role: Role, error: psycopg.Error) -> DatabaseError:
    """Why a connection that was made does not act under its role: it ended meanwhile, or may not."""
    if isinstance(error, psycopg.OperationalError):
        return _unreachable(dsn, error)
    reason = (error.diag.message_primary or str(error)).strip()
    user = _read(dsn).get("user") or "that user"
    hint = f" An administrator can run: GRANT guichets_{role} TO {user}" if role != "owner" else ""
    return DatabaseError(f"PostgreSQL at {place(dsn)}: {reason}.{hint}")
