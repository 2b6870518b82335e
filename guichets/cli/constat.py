"""``guichets constat`` : le dossier qu'une association ou un avocat remet au juge, et que chacun vérifie."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guichets.clock import SystemClock

if TYPE_CHECKING:
    from guichets.constat import Built, Order
    from guichets.constat.attempts import Days
    from guichets.constat.build import Progress
    from guichets.constat.comparison import Compared
    from guichets.constat.gather import Gathered

DEFAULT_WEEKS = 6  # looked at by --list where no days are given


def constat(
    desk: Annotated[str | None, typer.Option(help="Le guichet, par son identifiant du catalogue.")] = None,
    counter: Annotated[
        str | None, typer.Option(help="Un seul de ses sous-choix, par sa clé ; sinon le guichet entier.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Premier jour, heure de Paris : 2026-03-01.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="Dernier jour, compris.")] = None,
    out: Annotated[Path | None, typer.Option(help="Dossier à faire ; le ZIP est écrit à côté.")] = None,
    case: Annotated[
        str | None, typer.Option(help="Référence du dossier : sur la couverture seule, hors des empreintes.")
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Plutôt montrer les guichets où le critère serait rempli.")
    ] = False,
    departements: Annotated[
        list[str] | None, typer.Option("--departement", help="Avec --list : seulement ces codes.")
    ] = None,
) -> None:
    """Faire un constat : PDF, données, preuves et de quoi les vérifier, pour un guichet et une période."""
    from guichets.errors import ArgumentError

    if list_:
        if desk or counter or out or case:
            raise ArgumentError("--list ne prend que --from, --to et --departement")
        _show_list(from_, to, departements)
        return
    if departements:
        raise ArgumentError("--departement ne va qu'avec --list")
    if not desk or out is None:
        raise ArgumentError("donner --desk, --from, --to et --out ; ou --list : où le critère est rempli")
    _make(desk, counter, from_, to, out.expanduser().absolute(), case)


def _make(
    desk: str, counter: str | None, first: str | None, last: str | None, out: Path, case: str | None
) -> None:
    from guichets import configuration
    from guichets.browser import BrowserNotFound, find_browser
    from guichets.cli._families import load_families
    from guichets.constat import Order, build_constat, check_free, last_day_told, read_days, read_key
    from guichets.constat.sentences import reader_of
    from guichets.errors import ArgumentError

    now = SystemClock().now().replace(microsecond=0)
    days = read_days(first, last, now=now, delay=_delay())
    check_free(out)
    key = read_key(configuration.read("GUICHETS_SIGNING_KEY"))
    no_browser: str | None = None
    browser: Path | None = None
    try:
        browser = find_browser()
    except BrowserNotFound as problem:
        no_browser = str(problem)
    with _progress() as progress:
        gathered, comparison = _read(desk, counter, days, last_day_told(now, _delay()), progress)
        family = load_families().get(gathered.desk.family)
        if family is None:
            raise ArgumentError(
                f'--desk : aucun lecteur pour la plateforme "{gathered.desk.family}" de {desk}'
            )
        order = Order(
            out=out,
            home=configuration.home(),
            now=now,
            read=reader_of(family.readers),
            browser=browser,
            no_browser=no_browser,
            key=key,
            reference=case.strip() if case and case.strip() else None,
            contact=configuration.read("GUICHETS_CONTACT"),
        )
        built = build_constat(gathered, comparison, order, progress)
    _tell(built, order)


def _read(
    desk: str, counter: str | None, days: Days, latest: date, progress: Progress
) -> tuple[Gathered, list[Compared]]:
    from guichets.cli._session import open_session
    from guichets.constat import compare, gather
    from guichets.statistics import bring_up_to_date, rules_in_force

    progress("les observations", 0, 0)
    with open_session("reader") as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        gathered = gather(connection, desk, counter, days, latest)
    progress("la comparaison", 0, 0)
    rules = rules_in_force()
    with open_session("writer") as connection:
        connection.commit()
        connection.autocommit = True
        bring_up_to_date(connection)
    with open_session("public") as connection:
        connection.commit()
        connection.autocommit = True
        return gathered, compare(connection, gathered.desk, days, rules)


def _tell(built: Built, order: Order) -> None:
    from guichets.constat import zip_of
    from guichets.constat.build import broken_lines
    from guichets.constat.wording import verdict_sentence, verdict_title

    contents = built.contents
    for line in contents.warnings:
        typer.echo(line, err=True)
    for line in broken_lines(contents)[:20]:
        typer.echo(f"  {line}", err=True)
    typer.echo(f"{verdict_title(contents.judgement)} {verdict_sentence(contents.judgement)}")
    typer.echo(f"{order.out}: {len(contents.attempts)} lignes, {len(contents.shots)} pages montrées")
    package = zip_of(order.out)
    typer.echo(f"{package}: {package.stat().st_size / 1_000_000:.1f} MB")
    typer.echo(f"manifest.json SHA-256 {built.manifest}")


def _show_list(first: str | None, last: str | None, departements: list[str] | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from guichets.cli._session import open_session
    from guichets.cli.catalogue import chosen_departements
    from guichets.constat import Verdict, judge, last_day_told, read_days, weeks_of_desks, whole_weeks
    from guichets.constat.wording import lasting

    now = SystemClock().now()
    latest = last_day_told(now, _delay())
    last = last or latest.isoformat()
    first = first or (latest - timedelta(days=7 * DEFAULT_WEEKS - 1)).isoformat()
    days = whole_weeks(read_days(first, last, now=now, delay=_delay()), latest)
    chosen = chosen_departements("--departement", departements)
    with open_session("reader") as connection:
        found = [(row, judge(weeks)) for row, weeks in weeks_of_desks(connection, days, chosen)]
    met = [(row, judgement) for row, judgement in found if judgement.verdict is Verdict.MET]
    some = sum(judgement.verdict is Verdict.MET_IN_SOME_WEEKS for _, judgement in found)
    console = Console(highlight=False)
    if met:
        table = Table("guichet", "service", "semaines\nsans date", "tentatives\nsans date", "écart", box=None)
        for row, judgement in met:
            apart = judgement.apart or timedelta()
            table.add_row(
                row["desk_id"],
                f"{row['office']} ({row['departement']})",
                str(len(judgement.weeks_without)),
                str(judgement.attempts),
                lasting(apart),
            )
        console.print(table)
    console.print(
        f"\nDu {days.first} au {days.last} : critère rempli pour {len(met)} guichets "
        f"sur {len(found)} observés ; pour {some} autres, seulement certaines semaines.",
        soft_wrap=True,
    )
    if met:
        desk = shlex.quote(str(met[0][0]["desk_id"]))
        console.print(
            f"À faire ensuite : guichets constat --desk {desk} --from {days.first} --to {days.last} "
            f"--out constat-{desk}",
            soft_wrap=True,
        )


def _delay() -> timedelta:
    from guichets import configuration

    delay: timedelta = configuration.read("GUICHETS_PUBLICATION_DELAY")
    return delay


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr where people are watching; says in turn what is being done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield tell
