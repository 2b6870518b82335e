"""``guichets export``: observations as CSV, JSON Lines or Parquet, with their data dictionary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Annotated, Any

import typer

SHOW_EVERY = 1_000  # rows between two movements of the counter on screen


def export(
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", help="csv, jsonl or parquet; else what the file's name ends with, else csv."
        ),
    ] = None,
    out: Annotated[str, typer.Option(help="File to write, or - for standard output.")] = "-",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    since: Annotated[
        str | None, typer.Option(help="From this date or instant on; without a zone, Paris time.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Up to this date, included, or up to this instant, left out.")
    ] = None,
    departements: Annotated[list[str] | None, typer.Option(help="Only these codes, such as 92,93.")] = None,
    desks: Annotated[list[str] | None, typer.Option(help="Only these desk ids, separated by commas.")] = None,
    family: Annotated[list[str] | None, typer.Option(help="Only these platforms.")] = None,
    dictionary: Annotated[
        bool, typer.Option("--dictionary", help="Print what each field means, and stop.")
    ] = False,
    public: Annotated[
        bool,
        typer.Option(
            "--public",
            help="The open data instead: a folder of tables, delayed, without any slot; with --out.",
        ),
    ] = False,
) -> None:
    """Write observations out: one line per desk or counter visited, oldest first."""
    if public:
        chosen_too = [since, until, departements, desks, family, format_]
        _export_public(out, dictionary=dictionary, alone=not any(chosen_too))
        return
    from guichets.export import render_dictionary

    if dictionary:
        typer.echo(render_dictionary(), nl=False)
        return

    from guichets.catalogue import FAMILIES
    from guichets.cli._session import open_session
    from guichets.cli.catalogue import chosen, chosen_departements, separated
    from guichets.errors import ArgumentError
    from guichets.export import (
        FORMATS,
        Selection,
        format_of,
        open_destination,
        read_instant,
        read_observations,
        unknown_desks,
    )

    form = format_of(out, format_)
    selection = Selection(
        since=read_instant("--since", since),
        until=read_instant("--until", until, whole_day=True),
        departements=chosen_departements("--departements", departements),
        desks=frozenset(separated(desks)),
        families=chosen("--family", family, FAMILIES),
    )
    with (
        open_destination(out, force=force, binary=form == "parquet") as stream,
        open_session("reader") as connection,
    ):
        strangers = unknown_desks(connection, selection.desks)
        if strangers:
            raise ArgumentError(f"--desks: the database knows no {', '.join(strangers)}")
        with closing(read_observations(connection, selection)) as rows:
            FORMATS[form](_counted(rows, out), stream)


def _export_public(out: str, *, dictionary: bool, alone: bool) -> None:
    from pathlib import Path

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from guichets.cli._session import open_session
    from guichets.errors import ArgumentError
    from guichets.export.package import dictionary as dictionary_of_tables
    from guichets.export.package import write_package
    from guichets.export.public import TABLES
    from guichets.statistics import Reports, bring_up_to_date, read_observatory, rules_in_force

    if dictionary:
        typer.echo(dictionary_of_tables(), nl=False)
        return
    if out == "-":
        raise ArgumentError("--public writes a folder: name it with --out")
    if not alone:
        raise ArgumentError(
            "--public writes all that may be published: no dates, desks or form can be chosen"
        )
    rules = rules_in_force()
    console = Console(stderr=True, highlight=False)
    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("tables"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(out, total=None)
        with open_session("writer") as connection:
            connection.commit()
            connection.autocommit = True
            bring_up_to_date(connection)
        with open_session("public") as connection:
            connection.commit()
            connection.autocommit = True
            observatory = read_observatory(connection)
        written = write_package(
            Reports(observatory, rules),
            Path(out),
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    typer.echo(f"{Path(out) / 'datapackage.json'}: {len(TABLES)} tables, {len(written)} files written")


def _counted(rows: Iterator[dict[str, Any]], out: str) -> Iterable[dict[str, Any]]:
    """The same rows, with a live count on stderr when people are watching."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from rows
        return
    columns = (SpinnerColumn(), TextColumn("{task.completed:.0f} observations"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(out, total=None)
        number = 0
        for number, row in enumerate(rows, start=1):
            yield row
            if number % SHOW_EVERY == 0:
                progress.update(task, completed=number)
        progress.update(task, completed=number, total=number)
