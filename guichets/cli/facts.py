"""``guichets facts GUICHET`` : ce que les pages d'un guichet disaient, et quand cela a changé."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guichets.facts import NAMES

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from psycopg import Connection


def facts(
    desk: Annotated[str, typer.Argument(metavar="GUICHET", help="Identifiant du guichet au catalogue.")],
    name: Annotated[
        str | None, typer.Option(help="Un seul fait, par son nom : conditions, captcha, …")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Écrire aussi le dernier texte en entier.")] = False,
) -> None:
    """Montrer ce que les pages d'un guichet disaient, daté, et ce qui a changé dans les textes."""
    from zoneinfo import ZoneInfo

    from guichets.cli._session import open_session

    with open_session("reader") as connection:
        found, rows = _read(connection, desk, name)
    typer.echo(f"{found['id']} : {found['label']}, {found['office']}")
    for line in history_lines(rows, ZoneInfo(found["timezone"]), full=full):
        typer.echo(line)


def _read(
    connection: Connection[Any], desk: str, name: str | None
) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    from psycopg.rows import dict_row

    from guichets.database import load_queries
    from guichets.errors import ArgumentError

    queries = load_queries("guichets.cli", "facts.sql")
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(queries["desk"], {"desk": desk}).fetchone()
        if found is None:
            import difflib

            known = [row["id"] for row in cursor.execute(queries["names"])]
            near = difflib.get_close_matches(desk, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else "guichets catalogue list shows those it knows"
            raise ArgumentError(f'the database knows no desk "{desk}". {hint}')
        return found, cursor.execute(queries["history"], {"desk": desk, "name": name}).fetchall()


def history_lines(rows: Sequence[Mapping[str, Any]], zone: ZoneInfo, *, full: bool = False) -> Iterator[str]:
    """The dated history, fact by fact, in French; between two texts, what was taken out and put in."""
    if not rows:
        yield "Rien n'a encore été relevé sur ce guichet."
        return
    for name, stretches in groupby(rows, key=itemgetter("name")):
        yield ""
        yield f"{NAMES[name][0]} ({name})" if name in NAMES else name
        for row in stretches:
            visits = f"{row['observations']} visite{'s' if row['observations'] > 1 else ''}"
            period = _period(row["first_seen_at"], row["last_seen_at"], zone)
            yield f"  {period}, {visits} : {_shown(row['value'], row['sha256'])}"
            if row["sha256"] is not None and row["previous_value"] is not None:
                yield from _difference(row, zone)
            last = row
        if full and last["sha256"] is not None:
            yield ""
            yield from (f"    {line}" for line in last["value"].split("\n"))


def _difference(row: Mapping[str, Any], zone: ZoneInfo) -> Iterator[str]:
    import difflib

    before, after = row["previous_sha256"], row["sha256"]
    lines = difflib.unified_diff(
        row["previous_value"].split("\n"),
        row["value"].split("\n"),
        fromfile=f"texte {before[:12]}" if before else "avant",
        tofile=f"texte {after[:12]}",
        tofiledate=f"vu le {_instant(row['first_seen_at'], zone)}",
        lineterm="",
        n=1,
    )
    yield from (f"    {line}" for line in lines)


def _shown(value: str, sha256: str | None) -> str:
    if sha256 is None:
        return value.replace("\n", " / ")
    lines = value.count("\n") + 1
    return f"texte {sha256[:12]} ({lines} ligne{'s' if lines > 1 else ''}, {len(value)} caractères)"


def _period(first: datetime, last: datetime, zone: ZoneInfo) -> str:
    begins, ends = _instant(first, zone), _instant(last, zone)
    return f"le {begins}" if begins == ends else f"du {begins} au {ends}"


def _instant(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%d/%m/%Y %H:%M}"
