"""``guichets simulate`` and ``guichets trace``: try the scheduler on a trace; make a trace."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guichets.errors import ArgumentError

if TYPE_CHECKING:
    from rich.console import Console

    from guichets.schedule.simulation.run import Made
    from guichets.schedule.simulation.score import Score, Seen

LONGEST_EVERY = 7 * 1440.0


def simulate(
    trace: Annotated[Path, typer.Argument(help="Trace : quand des guichets imaginaires étaient ouverts.")],
    policy: Annotated[
        str,
        typer.Option(
            help="baseline : le calendrier statistique ; uniform : visites régulières ; watch : la veille."
        ),
    ],
    every: Annotated[
        float, typer.Option(help="Budget : une visite par guichet et par ce nombre de minutes ; 0 : aucun.")
    ],
    probes: Annotated[Path, typer.Option(help="Fichier JSON Lines des visites faites, à écrire.")],
    seed: Annotated[int, typer.Option(help="Graine : la même donne les mêmes visites.")] = 0,
) -> None:
    """Faire tourner le planificateur, en aveugle, sur une trace, et dire ce qu'il a vu."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from guichets.schedule.simulation.run import PolicyName
    from guichets.schedule.simulation.run import simulate as run
    from guichets.schedule.simulation.score import score
    from guichets.schedule.simulation.trace import read_trace

    try:
        chosen = PolicyName(policy)
    except ValueError as error:
        names = ", ".join(PolicyName)
        raise ArgumentError(f"--policy {policy!r}: unknown; known: {names}") from error
    if not math.isfinite(every) or not 0 <= every <= LONGEST_EVERY:
        raise ArgumentError(f"--every {every:g}: expected minutes, 0 (no budget) to {LONGEST_EVERY:g}")
    read = read_trace(trace)
    screen = Console(stderr=True, highlight=False)
    columns = (BarColumn(bar_width=24), TextColumn("{task.percentage:3.0f} %"), TimeElapsedColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=screen, disable=not screen.is_terminal
    ) as progress:
        task = progress.add_task(policy, total=None)
        made = run(
            read,
            chosen,
            every_minutes=every,
            seed=seed,
            told=lambda done, total: progress.update(task, completed=done, total=total),
        )
        found = score(read, _written(made, probes), every_minutes=every)
    _show(found, Console(highlight=False), every)


def _written(made: Iterable[Made], path: Path) -> Iterator[Made]:
    """The same probes, each written on its line."""
    import json

    try:
        stream = path.open("w", encoding="utf-8")
    except OSError as error:
        raise ArgumentError(f"--probes {path}: cannot be written: {error.strerror}") from error
    names: dict[str, str] = {}
    with stream:
        for one in made:
            name = names.get(one.desk_id)
            if name is None:
                name = names[one.desk_id] = json.dumps(one.desk_id, ensure_ascii=False)
            stream.write(f'{{"desk": {name}, "t": "{one.at.isoformat()}", "purpose": "{one.purpose}"}}\n')
            yield one


def _show(found: Score, screen: Console, every: float) -> None:
    from rich.table import Table

    screen.print(f"{found.probes} visites, dont {found.baseline} du calendrier statistique.")
    table = Table(box=None, pad_edge=False)
    table.add_column("ouvertures")
    for name in ("nombre", "vues", "en 2 min", "régulières"):
        table.add_column(name, justify="right")
    _row(table, "toutes", found.all_kinds)
    _row(table, "plus de 5 min", found.longer_than_five)
    for kind, seen in found.kinds.items():
        _row(table, kind, seen)
    for length, seen in found.lengths.items():
        _row(table, length, seen)
    screen.print(table)
    if found.all_kinds.uniform:
        screen.print(
            f"{found.all_kinds.against_uniform:.2f} fois ce que verraient en moyenne des visites régulières, "
            f"une toutes les {every:g} minutes."
        )
    if found.moved:
        screen.print(
            "Heure qui change : retrouvée en trois semaines pour "
            f"{found.found_again} guichets sur {found.moved}."
        )
    if found.rates is not None:
        screen.print(
            f"Taux : erreur moyenne {found.rates.mean_error:.3f} point par guichet, "
            f"{found.rates.overall_error:.3f} sur l'ensemble ; les intervalles à 95 % contiennent la vérité "
            f"de {found.rates.covered:.1%} des guichets."
        )
    for rule, count in found.violations.items():
        screen.print(f"{'[red]' if count else ''}{rule} : {count}{'[/]' if count else ''}")


def _row(table: object, name: str, seen: Seen) -> None:
    from rich.table import Table

    assert isinstance(table, Table)
    if not seen.openings:
        table.add_row(name, "0", "", "", "")
        return
    shares = (seen.share, seen.soon / seen.openings, seen.uniform / seen.openings)
    table.add_row(name, str(seen.openings), *(f"{share:.1%}" for share in shares))


def trace(
    out: Annotated[Path, typer.Argument(help="Fichier JSON Lines à écrire.")],
    desks: Annotated[int, typer.Option(min=1, help="Nombre de guichets.")] = 100,
    hosts: Annotated[
        int | None, typer.Option(min=1, help="Nombre de sites ; sinon un pour quatre guichets.")
    ] = None,
    weeks: Annotated[int, typer.Option(min=1, max=104, help="Durée.")] = 8,
    start: Annotated[str, typer.Option(help="Premier jour, AAAA-MM-JJ.")] = "2026-03-02",
    mix: Annotated[str, typer.Option(help="Mélange d'habitudes.")] = "usual",
    seed: Annotated[int, typer.Option(help="Graine : la même donne la même trace.")] = 1,
) -> None:
    """Écrire une trace imaginaire, pour `guichets simulate`."""
    from datetime import date

    from guichets.schedule.simulation.generator import MIXES, generate_trace
    from guichets.schedule.simulation.trace import write_trace

    if mix not in MIXES:
        raise ArgumentError(f"--mix {mix!r}: unknown; known: {', '.join(MIXES)}")
    try:
        first = date.fromisoformat(start)
    except ValueError as error:
        raise ArgumentError(f"--start {start!r}: expected a day such as 2026-03-02") from error
    made = generate_trace(
        desks=desks, hosts=hosts or -(-desks // 4), start=first, weeks=weeks, seed=seed, mix=MIXES[mix]
    )
    try:
        write_trace(made, out)
    except OSError as error:
        raise ArgumentError(f"{out}: cannot be written: {error.strerror}") from error
    typer.echo(
        f"{out} : {desks} guichets, {sum(map(len, made.openings.values()))} ouvertures, {weeks} semaines"
    )
