"""``guichets catalogue``: check a folder, list its desks, bring them into PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from psycopg import Connection

    from guichets.catalogue import Catalogue, Desk
    from guichets.catalogue.proposals import Proposal

app = typer.Typer(help="The catalogue of desks: check, list, sync.", no_args_is_help=True)

LISTED_FIELDS = (
    "id",
    "family",
    "departement",
    "office",
    "procedure",
    "label",
    "url",
    "valid_from",
    "valid_to",
    "moved_to",
    "source",
    "note",
)
"""The fields of ``list --format csv|json``, in their order; JSON adds ``params``."""

TABLE_FIELDS = ("id", "family", "procedure", "office", "label")
PIPED_WIDTH = 400
LOOKED_AT = timedelta(days=60)  # a desk that nobody visited for longer proves nothing today
ONE_DAY = timedelta(days=1)  # the first day begins earlier in UTC than in some zones


class ListFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


Chosen = Annotated[
    list[str] | None, typer.Option(help="Only these; repeat the option or separate by commas.")
]


@app.command()
def check(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder of TOML files; else GUICHETS_CATALOGUE, else the bundled catalogue."),
    ] = None,
) -> None:
    """Check a catalogue: exit 0 with one line, or 2 with every reason on stderr."""
    catalogue = _load_or_exit(folder)
    counts = (
        _counted(len(catalogue.desks), "desk"),
        _counted(len({desk.departement for desk in catalogue.desks}), "département"),
        _counted(len({desk.host for desk in catalogue.desks}), "host"),
        _counted(len(catalogue.channels), "channel"),
    )
    typer.echo(f"{catalogue.folder}: {', '.join(counts)}; version {catalogue.version[:12]}.")


@app.command("list")
def list_desks(
    departement: Chosen = None,
    family: Chosen = None,
    procedure: Chosen = None,
    format_: Annotated[ListFormat, typer.Option("--format", help="How to print them.")] = ListFormat.TABLE,
) -> None:
    """List the desks of the catalogue in use."""
    from guichets.catalogue import FAMILIES, PROCEDURES

    wanted = {
        "departement": chosen_departements("--departement", departement),
        "family": chosen("--family", family, FAMILIES),
        "procedure": chosen("--procedure", procedure, PROCEDURES),
    }
    desks = [
        desk
        for desk in _load_or_exit(None).desks
        if all(not values or getattr(desk, name) in values for name, values in wanted.items())
    ]
    if format_ is ListFormat.CSV:
        _print_csv(desks)
    elif format_ is ListFormat.JSON:
        _print_json(desks)
    else:
        _print_table(desks)


@app.command()
def sync() -> None:
    """Bring the catalogue into PostgreSQL: a desk that left the files is closed, never deleted."""
    catalogue = _load_or_exit(None)

    from guichets.cli._session import open_session
    from guichets.database import sync_catalogue

    with open_session("writer") as connection:
        report = sync_catalogue(connection, catalogue, datetime.now(UTC))
    typer.echo(
        f"{_counted(len(catalogue.desks), 'desk')}: {report.added} added, {report.changed} changed, "
        f"{report.closed} closed, {report.reopened} reopened."
    )


@app.command()
def propose(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder of TOML files; else GUICHETS_CATALOGUE, else the bundled ones."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the patch; else it is printed.")] = None,
) -> None:
    """Propose to close desks found gone or moved three days in a row: a patch to review."""
    from guichets import configuration
    from guichets.catalogue.proposals import write_patch
    from guichets.cli._session import open_session
    from guichets.errors import ArgumentError

    configured = configuration.read("GUICHETS_CATALOGUE")
    folder = folder or (Path(configured) if configured else None)
    with open_session("reader") as connection:
        proposals = _proposals(connection)
    patch = write_patch(proposals, folder)
    if out is None:
        typer.echo(patch, nl=False)
    else:
        try:
            out.write_text(patch, encoding="utf-8")
        except OSError as error:
            raise ArgumentError(f"--out {str(out)!r} cannot be written: {error.strerror}") from None
    closing = patch.count("\n+valid_to = ")
    typer.echo(f"{_counted(closing, 'desk')} proposed to be closed; review, then: git apply", err=True)


@app.command()
def mairies(
    file: Annotated[Path, typer.Argument(help="Answer of the API's getManagedMeetingPoints, as it came.")],
    reason: Annotated[str, typer.Option(help="CNI, PASSPORT or CNI-PASSPORT.")] = "CNI",
    api: Annotated[
        str, typer.Option(help="Base URL of the API.")
    ] = "https://api.rendezvouspasseport.ants.gouv.fr/api",
) -> None:
    """Propose desks for the mairies of the ANTS hub that the catalogue does not have."""
    from guichets.catalogue.mairies import REASONS, read_towns, unknown
    from guichets.catalogue.urls import entry_key, url_problem
    from guichets.errors import ArgumentError

    if reason not in REASONS:
        raise ArgumentError(f'--reason "{reason}" is unknown: choose {", ".join(REASONS)}')
    problem = url_problem(api)
    if problem:
        raise ArgumentError(f'--api "{api}" {problem}')
    try:
        towns, left_out = read_towns(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(f'"{file}" cannot be read: {error}') from None
    except ArgumentError as refusal:
        raise ArgumentError(f'"{file}": {refusal}') from None
    desks = [desk for desk in _load_or_exit(None).desks if desk.family == "ants"]
    known = {entry_key(desk.family, desk.url, desk.params) for desk in desks}
    new = unknown(towns, api.rstrip("/"), reason, known)
    typer.echo("\n".join(town.table(api.rstrip("/"), reason) for town in new), nl=False)
    for line in left_out:
        typer.echo(line, err=True)
    typer.echo(
        f"{_counted(len(new), 'desk')} proposed of {_counted(len(towns), 'town')}; review them.", err=True
    )


def _proposals(connection: Connection[Any]) -> list[Proposal]:
    """The desks whose last days all found them gone or moved, with what says so."""
    from psycopg.rows import dict_row

    from guichets.catalogue.proposals import DeskDay, Proposal, over_since
    from guichets.database import load_queries
    from guichets.database.rollups import refresh

    queries = load_queries("guichets.cli", "catalogue.sql")
    refresh(connection, patiently=True)
    with connection.cursor(row_factory=dict_row) as cursor:
        since = datetime.now(UTC).date() - LOOKED_AT
        days = [DeskDay(**row) for row in cursor.execute(queries["over_days"], {"since": since})]
        found = []
        for desk, (first, count) in sorted(over_since(days).items()):
            last = cursor.execute(queries["last_over"], {"desk": desk, "since": first - ONE_DAY}).fetchone()
            said = f"{last['outcome']} (observation {last['id']})" if last else "gone"
            words = f": {last['note']}" if last and last["note"] else ""
            found.append(Proposal(desk, first, count, f"{said}, {count} days in a row{words}"))
    return found


def chosen(option: str, given: Iterable[str] | None, known: Mapping[str, object]) -> frozenset[str]:
    """The values of a repeatable, comma-separated option; raises ArgumentError for one that is unknown."""
    from guichets.catalogue import did_you_mean

    return _chosen(option, given, known, hint=lambda value: did_you_mean(value, known))


def chosen_departements(option: str, given: Iterable[str] | None) -> frozenset[str]:
    """Codes of départements, with the right code proposed for ``9``, ``2a`` or a name."""
    from guichets.catalogue import departement_hint, departements

    known = departements()
    return _chosen(option, given, known, hint=lambda value: departement_hint(value, known))


def separated(given: Iterable[str] | None) -> list[str]:
    """The values of an option that may be repeated and may hold commas."""
    return [part.strip() for text in given or () for part in text.split(",") if part.strip()]


def _chosen(
    option: str, given: Iterable[str] | None, known: Mapping[str, object], *, hint: Callable[[str], str]
) -> frozenset[str]:
    from guichets.errors import ArgumentError

    values = separated(given)
    for value in values:
        if value not in known:
            raise ArgumentError(f'{option}: "{value}" is unknown.{hint(value)}')
    return frozenset(values)


def _load_or_exit(folder: Path | None) -> Catalogue:
    from guichets.catalogue import load
    from guichets.errors import CatalogueError

    try:
        return load(folder)
    except CatalogueError as refusal:
        for reason in refusal.reasons:
            typer.echo(reason, err=True)
        raise typer.Exit(2) from None


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _texts(desk: Desk, fields: Iterable[str]) -> Iterator[str]:
    for field in fields:
        value = getattr(desk, field)
        yield "" if value is None else str(value)


def _print_csv(desks: Iterable[Desk]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(LISTED_FIELDS)
    writer.writerows(list(_texts(desk, LISTED_FIELDS)) for desk in desks)


def _print_json(desks: Iterable[Desk]) -> None:
    import json

    rows = [
        {field: getattr(desk, field) for field in LISTED_FIELDS} | {"params": dict(desk.params)}
        for desk in desks
    ]
    typer.echo(json.dumps(rows, ensure_ascii=False, indent=2, default=str))


def _print_table(desks: list[Desk]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True)
    for field in TABLE_FIELDS[1:]:
        table.add_column(field, overflow="ellipsis", no_wrap=True)
    for desk in desks:
        # Text, because a label may hold the square brackets that rich takes for markup.
        table.add_row(*(Text(text) for text in _texts(desk, TABLE_FIELDS)))
    # What a pipe receives is not cut to the width of a screen.
    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
    typer.echo(f"{_counted(len(desks), 'desk')}.", err=True)
