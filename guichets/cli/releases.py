"""``guichets releases`` : quand les guichets ouvrent, d'après ce que la veille a appris."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from psycopg import Connection

DESK_FIELDS = ("desk_id", "departement", "family", "procedure", "label", "timezone")
HABIT_FIELDS = (
    *("kind", "weekdays", "local_time", "minutes_of_hour", "spread_minutes", "usual_length_minutes"),
    *("confidence", "since", "evidence"),
)
KNOWN_FIELDS = ("sightings", "openings", "told_at")
RELEASES_FIELDS = (*DESK_FIELDS, *HABIT_FIELDS, *KNOWN_FIELDS)
"""The fields of ``--format csv``, in their order; a line per habit, and one for a desk without any."""


class ReleasesFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def releases(
    desk: Annotated[
        list[str] | None,
        typer.Option(metavar="GUICHET", help="Ces guichets seuls, séparés par des virgules."),
    ] = None,
    departement: Annotated[
        list[str] | None,
        typer.Option(help="Ces départements seuls, par leur code, séparés par des virgules."),
    ] = None,
    format_: Annotated[ReleasesFormat, typer.Option("--format", help="Sous quelle forme.")] = (
        ReleasesFormat.TABLE
    ),
    relearn: Annotated[
        bool, typer.Option("--relearn", help="D'abord tout réapprendre, à partir des seules observations.")
    ] = False,
) -> None:
    """Montrer quand les guichets ouvrent : jour, heure, durée, confiance, et la semaine heure par heure.

    Heures exactes : pour l'exploitant et ses partenaires, à ne pas publier.
    """
    from guichets.cli._session import open_session
    from guichets.cli.catalogue import chosen_departements

    departements = chosen_departements("--departement", departement)
    if relearn:
        _relearn()
    with open_session("reader") as connection:
        rows, maps = _read(connection, desk, departements)
    if format_ is ReleasesFormat.CSV:
        import csv

        writer = csv.DictWriter(sys.stdout, RELEASES_FIELDS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _joined(value) for name, value in machine_row(row).items()})
    elif format_ is ReleasesFormat.JSON:
        import json

        typer.echo(json.dumps(_nested(rows, maps), ensure_ascii=False, indent=2))
    else:
        from rich.console import Console

        from guichets.cli._releases_table import render_releases

        console = Console(highlight=False)
        console.print(render_releases(rows, maps, has_all_desks=bool(desk)))


def machine_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for programs: days, local times and instants in ISO 8601; weekdays from 1, Monday."""
    values = {name: row[name] for name in RELEASES_FIELDS}
    return {
        name: value.isoformat() if isinstance(value, date | time | datetime) else value
        for name, value in values.items()
    }


def _read(
    connection: Connection[Any], desk: Iterable[str] | None, departements: frozenset[str]
) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
    from psycopg.rows import dict_row

    from guichets.cli.catalogue import chosen
    from guichets.database.queries import load_queries

    queries = load_queries("guichets.cli", "releases.sql")
    desks = chosen("--desk", desk, {row[0]: None for row in connection.execute(queries["names"])})
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            queries["releases"],
            {"desks": sorted(desks) or None, "departements": sorted(departements) or None},
        ).fetchall()
        found = cursor.execute(queries["weekly_maps"], {"desks": [row["desk_id"] for row in rows]})
        return rows, {row["desk_id"]: row["weekly_map"] for row in found}


def _relearn() -> None:
    """All desks anew, with progress on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from guichets import configuration, database
    from guichets.schedule.planner import Planner

    planner = Planner(
        database.prepare(),
        owner="guichets releases --relearn",
        every_minutes=configuration.read("GUICHETS_WATCH_EVERY"),
        delay_seconds=configuration.read("GUICHETS_HOST_DELAY"),
        form_interval_seconds=configuration.read("GUICHETS_FORM_INTERVAL"),
    )
    columns = (TextColumn("guichets réappris"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("", total=None)
            for done, desks in planner.relearn_all():
                progress.update(task, completed=done, total=desks)
    finally:
        planner.close()


def _nested(rows: Sequence[Mapping[str, Any]], maps: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """One object per desk: its habits, and the expected openings of its week, 7 × 24 from Monday, 0 h."""
    desks: dict[str, dict[str, Any]] = {}
    for row in map(machine_row, rows):
        desk_id = row["desk_id"]
        desk = desks.setdefault(
            desk_id,
            {name: row[name] for name in (*DESK_FIELDS, *KNOWN_FIELDS)}
            | {"releases": [], "weekly_map": _by_day(maps[desk_id])},
        )
        if row["kind"] is not None:
            desk["releases"].append({name: row[name] for name in HABIT_FIELDS})
    return list(desks.values())


def _by_day(hours: Sequence[float]) -> list[list[float]]:
    return [[round(value, 4) for value in hours[24 * day : 24 * day + 24]] for day in range(7)]


def _joined(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list) else value
