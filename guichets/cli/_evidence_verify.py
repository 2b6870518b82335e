"""``guichets evidence verify``: the archive against its seals, and the database against the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from psycopg import Connection

    from guichets.evidence.verify import Break
    from guichets.proof import Check


def verify(
    since: Annotated[
        str | None,
        typer.Option(help="Records and rows of this UTC day and later; all seals are checked anyway."),
    ] = None,
    desk: Annotated[
        list[str] | None, typer.Option(help="Only the rows of these desks, separated by commas.")
    ] = None,
    trust: Annotated[
        Path | None,
        typer.Option(help="PEM file of time-stamp authorities you trust: their time-stamps are checked too."),
    ] = None,
) -> None:
    """Re-hash every archived record and row, and name each break. Exit status 1 when there is any."""
    from guichets.cli._session import open_session
    from guichets.cli.catalogue import separated
    from guichets.errors import ArgumentError
    from guichets.export import unknown_desks
    from guichets.proof import Check

    day = _day(since)
    desks = frozenset(separated(desk))
    roots = _pem(trust)
    found = Check()
    breaks = 0
    with open_session("reader") as connection:
        if strangers := unknown_desks(connection, desks):
            raise ArgumentError(f"--desk: the database knows no {', '.join(strangers)}")
        connection.rollback()
        for one in _breaks(connection, found, since=day, desks=desks, roots=roots):
            breaks += 1
            typer.echo(str(one))
    typer.echo(_summary(found, breaks), err=True)
    if breaks:
        raise typer.Exit(1)


def _breaks(
    connection: Connection[Any],
    found: Check,
    *,
    since: date | None,
    desks: frozenset[str],
    roots: list[bytes],
) -> Iterator[Break]:
    from psycopg import IsolationLevel

    from guichets import configuration
    from guichets.evidence import verify as verify_archive
    from guichets.proof import check_rows, count_rows, published_seals
    from guichets.spool import waiting_ids

    home = configuration.home()
    # The snapshot is taken by the first query, before anything of the archive is read.
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    total = count_rows(connection, since, desks)
    published = published_seals(connection, home)
    with _progress("archive") as advance:
        retention = timedelta(days=configuration.read("GUICHETS_RETENTION_DAYS"))
        for one in verify_archive(home, since=since, published=published, retention=retention):
            advance()
            yield one
    yield from _broken_timestamps(home, roots)
    with _progress("rows", total) as advance:
        yield from check_rows(
            connection,
            home,
            found,
            since=since,
            desks=desks,
            spooled=lambda: waiting_ids(home / "spool"),
            progress=advance,
        )


def _broken_timestamps(home: Path, roots: list[bytes]) -> Iterator[Break]:
    from guichets.evidence import read_seals
    from guichets.evidence.errors import SealError, TimestampError
    from guichets.evidence.timestamp import timestamp_path, verify_timestamp
    from guichets.evidence.verify import Break, BreakKind

    if not roots:
        return
    try:
        seals = read_seals(home)
    except SealError:
        return  # named above
    for seal in seals:
        path = timestamp_path(home, seal.day)
        if path.exists():
            try:
                verify_timestamp(path.read_bytes(), seal.line().encode(), roots)
            except TimestampError as problem:
                yield Break(BreakKind.SEAL_EDITED, str(path.relative_to(home)), str(problem))


def _summary(found: Check, breaks: int) -> str:
    kinds = ", ".join(f"{count} {standing}" for standing, count in found.rows.items()) or "none"
    text = f"Rows: {kinds}. Pages read again: {found.pages}. Breaks: {breaks}."
    if found.orphans:
        text += f" Notes of killed writers without a row: {found.orphans}."
    return text


def _day(text: str | None) -> date | None:
    from guichets.errors import ArgumentError

    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day, not an instant
    except ValueError:
        raise ArgumentError(f'--since: "{text}" is not a day: write 2026-03-01') from None


def _pem(path: Path | None) -> list[bytes]:
    from guichets.errors import ArgumentError

    if path is None:
        return []
    try:
        return [path.read_bytes()]
    except OSError as problem:
        raise ArgumentError(f"--trust: {path}: {problem.strerror}") from None


@contextmanager
def _progress(what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = [TextColumn(f"Verifying {what}"), BarColumn(), TimeElapsedColumn()]
    if total is not None:
        columns.append(MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)
