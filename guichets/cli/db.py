"""`guichets db …`: the database's address, schema and state, and the embedded server's stop."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from guichets.database.embedded import User
    from guichets.database.status import DatabaseStatus, Partitions

app = typer.Typer(no_args_is_help=True, help="The database: address, schema, state.")


@app.command()
def upgrade() -> None:
    """Create or upgrade the schema and the roles; safe to repeat, and from several machines at once."""
    from guichets import database

    target = database.dsn()
    applied = database.upgrade(target, lambda name: typer.echo(f"applying {name}", err=True))
    with database.connect("owner", dsn=target) as connection:
        state = database.schema_state(connection)
    done = f"{len(applied)} applied" if applied else "nothing to do"
    typer.echo(f"Schema {state.current}, {done}: {database.place(target)}")


@app.command()
def status() -> None:
    """Where the database is, and what it holds. Exit status 1 when its schema is not this program's."""
    from rich.console import Console
    from rich.table import Table

    from guichets import database
    from guichets.database.status import read_status

    target = database.dsn()
    with database.connect("owner", check=False, dsn=target) as connection:
        found = read_status(connection)
    table = Table.grid(padding=(0, 2))
    for name, value in _status_lines(found, target):
        table.add_row(name, value)
    Console(soft_wrap=True).print(table, markup=False, highlight=False)
    if not found.schema.is_current:
        raise typer.Exit(1)


@app.command()
def rollup() -> None:
    """Bring the figures' tables up to date with every observation; safe to repeat."""
    from guichets import database
    from guichets.database import rollups

    with database.connect("reader", autocommit=True) as connection:
        taken = rollups.refresh(connection, patiently=True)
    typer.echo(f"{taken} rows taken in; the figures are up to date.")


@app.command()
def url(
    hold: bool = typer.Option(
        False, "--hold", help="Keep the embedded server up until interrupted, for psql or a dashboard."
    ),
) -> None:
    """Print the database's address (DSN), password included, as other programs need it."""
    from guichets import configuration, database
    from guichets.database import embedded

    if not database.is_embedded():
        typer.echo(database.dsn())
    elif hold:
        typer.echo(database.dsn())
        typer.echo("The embedded server stays up until Ctrl-C.", err=True)
        _wait_for_a_signal()
    else:
        home = configuration.home()
        typer.echo(embedded.address(home))
        if not embedded.is_running(home):
            typer.echo(
                "The embedded server is not running now; `guichets db url --hold` keeps it up.", err=True
            )


@app.command()
def stop() -> None:
    """Stop the embedded server now, even if other commands use it."""
    from guichets import configuration, database
    from guichets.database import embedded
    from guichets.errors import ArgumentError

    if not database.is_embedded():
        raise ArgumentError(
            "GUICHETS_DATABASE_URL is set, and only the embedded server can be stopped: unset it first."
        )
    home = configuration.home()
    users = embedded.users(home)
    was_running = embedded.stop(home)
    typer.echo(f"Stopped: {home / 'postgres'}" if was_running else f"Not running: {home / 'postgres'}")
    if was_running and users:
        typer.echo(f"It was in use by {_named(users)}.", err=True)


def _named(users: list[User]) -> str:
    return "; ".join(f"process {user.pid} ({user.command})" for user in users)


def _wait_for_a_signal() -> None:
    """Ctrl-C, the terminal's end, or a polite kill."""
    wanted = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    signal.sigwait(wanted)


def _status_lines(found: DatabaseStatus, target: str) -> list[tuple[str, str]]:
    from guichets import configuration, database

    where = database.place(target)
    if database.is_embedded():
        where = f"embedded server in {configuration.home() / 'postgres'}"
    crawl = found.latest_crawl
    return [
        ("Where", where),
        ("PostgreSQL", found.version),
        ("Size", f"{found.size_bytes / 1_000_000:.1f} MB"),
        ("Schema", _schema(found)),
        *((f"Partitions of {part.parent}", _partitions(part)) for part in found.partitions),
        ("Desks", f"{found.open_desks} on {found.hosts} hosts"),
        ("Roles", ", ".join(_role(role.name, role.exists, role.is_usable) for role in found.roles)),
        (
            "Latest crawl",
            "none yet"
            if crawl is None
            else f"{crawl.family} by {crawl.worker}, {crawl.started_at:%Y-%m-%d %H:%M} UTC, "
            + (crawl.finish_reason or ("finished" if crawl.finished_at else "not finished")),
        ),
    ]


def _schema(found: DatabaseStatus) -> str:
    state = found.schema
    if state.is_current:
        return f"{state.current} (current)"
    if state.current is None:
        return "none yet; run: guichets db upgrade"
    if state.current < state.wanted:
        return f"{state.current}, {state.wanted} is needed; run: guichets db upgrade"
    return f"{state.current}, newer than the {state.wanted} this version of Guichets knows"


def _partitions(part: Partitions) -> str:
    first, last = part.first_month.replace("_", "-"), part.last_month.replace("_", "-")
    return f"{part.partitions}, {first} to {last}, about {part.estimated_rows:,} rows"


def _role(name: str, exists: bool, is_usable: bool) -> str:
    if not exists:
        return f"{name} (missing)"
    return name if is_usable else f"{name} (not granted to this user)"
