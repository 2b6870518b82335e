"""``guichets replay`` : relire les pages archivées avec les lecteurs d'aujourd'hui."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from psycopg import Connection

    from guichets.replay import Change, Erratum, Replay, Selection

EXAMPLES = 3  # observations quoted for each line of the table
FIGURES = 12  # moved figures that are listed; the erratum's row holds them all


def replay(
    since: Annotated[
        str | None, typer.Option(help="À partir de cette date ou de cet instant (heure de Paris sans zone).")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Jusqu'à cette date comprise, ou jusqu'à cet instant exclu.")
    ] = None,
    desk: Annotated[
        list[str] | None, typer.Option(help="Ces guichets seulement, séparés par des virgules.")
    ] = None,
    family: Annotated[list[str] | None, typer.Option(help="Ces plateformes seulement.")] = None,
    apply_: Annotated[
        bool,
        typer.Option(
            "--apply/--dry-run",
            help="Écrire les observations corrigées et leur erratum ; sinon, montrer seulement.",
        ),
    ] = False,
    note: Annotated[str | None, typer.Option(help="Pourquoi : gardé dans l'erratum.")] = None,
) -> None:
    """Relire les pages archivées avec les lecteurs d'aujourd'hui, sans réseau, et montrer ce qui changerait.

    Rien n'est jamais effacé : avec --apply, de nouvelles observations remplacent les anciennes, qui restent.
    """
    from guichets.catalogue import FAMILIES
    from guichets.cli.catalogue import chosen, separated
    from guichets.export import read_instant
    from guichets.replay import NotReplayed, Selection

    selection = Selection(
        since=read_instant("--since", since),
        until=read_instant("--until", until, whole_day=True),
        desks=frozenset(separated(desk)),
        families=chosen("--family", family, FAMILIES),
    )
    found, erratum = _replay_and_apply(selection, note) if apply_ else (_replay(selection), None)
    _show(found, erratum)
    for trouble in found.troubles:
        typer.echo(trouble, err=True)
    if found.not_replayed[NotReplayed.UNREADABLE] or found.not_replayed[NotReplayed.READER_FAILED]:
        raise typer.Exit(1)


def _replay(selection: Selection) -> Replay:
    from guichets.cli._session import open_session

    with open_session("reader") as connection:
        return _run(connection, selection)


def _replay_and_apply(selection: Selection, note: str | None) -> tuple[Replay, Erratum | None]:
    from datetime import UTC, datetime

    from psycopg import IsolationLevel

    from guichets import configuration
    from guichets.cli._session import open_session
    from guichets.evidence import ArchiveWriter
    from guichets.proof import REPLAY_WORKER
    from guichets.replay import apply
    from guichets.replay.visits import QUERIES

    with open_session("writer") as connection:
        connection.execute(QUERIES["lock_replays"])
        connection.commit()  # the lock stays; what follows sees what the replay before wrote
        connection.isolation_level = IsolationLevel.REPEATABLE_READ  # figures before and after of one instant
        found = _run(connection, selection)
        if not found.changes:
            return found, None
        with ArchiveWriter(configuration.home(), REPLAY_WORKER, now=lambda: datetime.now(UTC)) as archive:
            erratum = apply(connection, archive, found.changes, note=note)
            connection.commit()
            archive.write_committed()
        return found, erratum


def _run(connection: Connection[Any], selection: Selection) -> Replay:
    from guichets import configuration
    from guichets.cli._families import load_families
    from guichets.errors import ArgumentError
    from guichets.evidence import ArchiveReader
    from guichets.export import unknown_desks
    from guichets.replay import run
    from guichets.replay.visits import count_visits
    from pipelines.validate import validate

    strangers = unknown_desks(connection, selection.desks)
    if strangers:
        raise ArgumentError(f"--desk: the database knows no {', '.join(strangers)}")
    with _progress(count_visits(connection, selection)) as advance:
        return run(
            connection,
            ArchiveReader(configuration.home()),
            load_families(),
            selection,
            normalise=validate,
            progress=advance,
        )


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Relecture"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


def _show(found: Replay, erratum: Erratum | None) -> None:
    typer.echo(f"{_counted(found.visits, 'visite')} relue(s), {_reasons(found)}", err=True)
    if not found.changes:
        typer.echo("Rien ne change : les lecteurs d'aujourd'hui disent la même chose.")
        return
    _show_moves(found)
    if erratum is None:
        typer.echo("Rien n'a été écrit. Pour corriger : la même commande avec --apply.")
        return
    typer.echo(f"Erratum {erratum.id} : {_counted(len(found.changes), 'observation')} remplacée(s).")
    typer.echo(f"Lecteurs : {erratum.parser_from} → {erratum.parser_to}")
    if not erratum.figures:
        typer.echo("Aucun taux publié ne bouge.")
    for figure in erratum.figures[:FIGURES]:
        name = figure.get("desk") or f"département {figure['departement']}"
        was, now = (f"{side['offered']} sur {side['rated']}" for side in (figure["before"], figure["after"]))
        typer.echo(f"  {figure['day']}  {name} : {was} → {now}")
    if len(erratum.figures) > FIGURES:
        typer.echo(f"  … et {len(erratum.figures) - FIGURES} autres taux.")


def _show_moves(found: Replay) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("de")
    table.add_column("à")
    table.add_column("nombre", justify="right")
    table.add_column("par exemple", overflow="fold")
    for (old, new), changes in found.moves.items():
        examples = ", ".join(_example(change) for change in changes[:EXAMPLES])
        table.add_row(str(old), str(new), str(len(changes)), Text(examples))
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)


def _example(change: Change) -> str:
    old, new = change.old, change.new
    where = old.desk if old.counter is None else f"{old.desk} ({old.counter})"
    seen = f"{where} {old.observed_at:%Y-%m-%d %H:%M} UTC"
    return seen if old.outcome is not new.outcome else f"{seen} [{old.rule} → {new.rule}]"


def _reasons(found: Replay) -> str:
    from guichets.replay import NotReplayed

    words = {
        NotReplayed.NO_PAGE: "sans page archivée",
        NotReplayed.PRUNED: "dont les pages ont passé la durée de garde",
        NotReplayed.UNREADABLE: "dont une page archivée est illisible ou manque",
        NotReplayed.NO_FAMILY: "d'une plateforme sans lecteur dans cette version",
        NotReplayed.OTHER_ADDRESS: "dont l'adresse d'entrée a changé",
        NotReplayed.READER_FAILED: "sur lesquelles un lecteur a échoué",
    }
    kept = [f"{count} {words[reason]}" for reason, count in found.not_replayed.most_common()]
    return "laissées telles quelles : " + "; ".join(kept) if kept else "aucune laissée de côté"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
