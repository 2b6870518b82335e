"""``guichets archive …``: what the archive holds, its seals, and what retention takes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import typer

from guichets.clock import SystemClock

if TYPE_CHECKING:
    from guichets.evidence.seal import Seal
    from guichets.proof import Hold

_PARIS = ZoneInfo("Europe/Paris")

app = typer.Typer(no_args_is_help=True, help="The archive of pages: state, seals, retention, holds.")


@app.command()
def status() -> None:
    """What the archive of this machine holds, how far it is sealed, and what stands open."""
    import shutil

    from guichets import configuration
    from guichets.evidence import read_seals
    from guichets.evidence.layout import (
        OPEN_MARK,
        PRUNED_MARK,
        SUFFIX,
        archive_folder,
        archived_days,
        files_of_day,
    )

    home = configuration.home()
    folder = archive_folder(home)
    days = [day for day in archived_days(home) if any((_day_folder(home, day)).iterdir())]
    files = [path for day in days for path in files_of_day(home, day)]
    seals = read_seals(home)
    sealed = {seal.day for seal in seals}
    today = SystemClock().now().date()
    unsealed = [day for day in days if day not in sealed and day < today]
    retention = configuration.read("GUICHETS_RETENTION_DAYS")
    lines = [
        ("Where", str(folder)),
        ("Days", f"{len(days)}, {days[0]} to {days[-1]}" if days else "none yet"),
        ("Files", f"{len(files)}, {_megabytes(sum(path.stat().st_size for path in files))}"),
        ("Being written", str(len(list(folder.glob(f"*/*/*/*{SUFFIX}{OPEN_MARK}"))))),
        ("Sealed", f"{len(seals)} days, the last {seals[-1].day}" if seals else "no day yet"),
        ("To be sealed", _listed(unsealed) + (": guichets archive seal" if unsealed else "")),
        ("Time-stamped", f"{len(list((home / 'timestamps').glob('*.tsr')))} days"),
        ("Pruned files", str(len(list(folder.glob(f"*/*/*/*{PRUNED_MARK}"))))),
        ("Retention", f"{retention} days"),
    ]
    if folder.exists():
        lines.append(("Free disk", _megabytes(shutil.disk_usage(folder).free)))
    for name, value in lines:
        typer.echo(f"{name:<16}{value}")


@app.command()
def seal() -> None:
    """Seal every UTC day that is over, keep the seals in the database, have them time-stamped if asked to.

    Safe to repeat; meant for a timer shortly after midnight UTC.
    """
    from guichets import configuration
    from guichets.cli._session import open_session
    from guichets.evidence import read_seals, repair, seal_until
    from guichets.proof import record_seals

    home = configuration.home()
    for done in repair(home):
        if done.torn_bytes or done.damage:
            typer.echo(f"repaired {done.file}: {done.damage or f'{done.torn_bytes} torn bytes'}", err=True)
    before = {one.day for one in read_seals(home)}
    try:
        seal_until(home, SystemClock().now())
    finally:  # a day that cannot be sealed does not hold up those before it
        seals = read_seals(home)
        for one in seals:
            if one.day not in before:
                typer.echo(one.line())
        if seals:
            _stamp(home, seals)
            with open_session("writer") as connection:
                record_seals(connection, home, seals)
                connection.commit()
    if {one.day for one in seals} == before:
        typer.echo("Nothing to seal.", err=True)


def _stamp(home: Path, seals: Sequence[Seal]) -> None:
    """Have each seal time-stamped that is not yet; an authority that does not answer is told, no more."""
    from guichets import configuration
    from guichets.evidence.errors import TimestampError
    from guichets.evidence.timestamp import stamp_seal

    url = configuration.read("GUICHETS_TSA_URL")
    if not url:
        return
    for one in seals:
        try:
            stamp_seal(home, one, url)
        except TimestampError as problem:
            typer.echo(f"{one.day} is not time-stamped, the next run tries again: {problem}", err=True)
            return


@app.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
) -> None:
    """Take out sealed records past retention that no hold keeps; their digests and seals stay."""
    from guichets import configuration
    from guichets.cli._session import open_session
    from guichets.evidence import carry_out, plan_prune
    from guichets.proof import held

    home = configuration.home()
    now = SystemClock().now()
    with open_session("reader") as connection:  # without the database nobody knows what is held
        kept = list(held(connection, now.date()))
    plan = plan_prune(
        home,
        now=now,
        keep=[ref for _, refs in kept for ref in refs],
        keep_ids=frozenset(record_id for record_id, _ in kept),
        retention_days=configuration.read("GUICHETS_RETENTION_DAYS"),
    )
    for file in plan.files:
        typer.echo(f"{file.file}: {file.drop} records go, {len(file.keep)} stay")
    if not dry_run:
        carry_out(home, plan, now=now)
    verb = "would be freed" if dry_run else "freed"
    typer.echo(
        f"{len(plan.files)} files before {plan.cutoff}, {_megabytes(plan.freed_bytes)} {verb}; "
        f"{len(kept)} observations are held.",
        err=True,
    )


@app.command()
def hold(
    reason: Annotated[str, typer.Option(help="Why: the dispute or the figure that rests on them.")],
    observation: Annotated[str | None, typer.Option(help="Keep this one observation's pages.")] = None,
    desk: Annotated[str | None, typer.Option(help="Keep those of this desk.")] = None,
    departement: Annotated[str | None, typer.Option(help="Keep those of this département.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From this date or instant on; without a zone, Paris time.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Up to this date, included, or up to this instant, left out.")
    ] = None,
    keep_until: Annotated[
        str | None, typer.Option(help="Last day it holds (2030-12-31); else until it is released.")
    ] = None,
) -> None:
    """Keep archived pages beyond retention; what is given narrows it, and something must be."""
    from guichets.cli._session import open_session
    from guichets.cli.catalogue import chosen_departements
    from guichets.errors import ArgumentError
    from guichets.export import read_instant, unknown_desks
    from guichets.proof import add_hold

    if not reason.strip():
        raise ArgumentError("--reason: say why")
    narrowing: dict[str, Any] = {
        "observation": _uuid("--observation", observation),
        "desk_id": desk,
        "departement": departement,
        "since": read_instant("--since", since),
        "until": read_instant("--until", until, whole_day=True),
    }
    if not any(narrowing.values()):
        raise ArgumentError("name what to keep: --observation, --desk, --departement, --since or --until")
    if departement is not None:
        chosen_departements("--departement", [departement])
    with open_session("writer") as connection:
        if desk is not None and unknown_desks(connection, frozenset({desk})):
            raise ArgumentError(f"--desk: the database knows no {desk}")
        made = add_hold(connection, reason.strip(), **narrowing, keep_until=_date(keep_until))
        connection.commit()
    typer.echo(str(made.id))


@app.command()
def holds() -> None:
    """List the holds, those that ended too."""
    from guichets.cli._session import open_session
    from guichets.proof import read_holds

    today = SystemClock().now().date()
    with open_session("reader") as connection:
        found = read_holds(connection)
    for one in found:
        typer.echo(f"{one.id}  {'holds' if one.is_in_force(today) else 'ended'}  {_narrowed(one)}")
        typer.echo(f"  {one.reason}")


@app.command()
def release(
    hold_id: Annotated[str, typer.Argument(metavar="ID", help="As `guichets archive holds` shows it.")],
) -> None:
    """End a hold: the next pruning may take what only it kept."""
    from guichets.cli._session import open_session
    from guichets.errors import ArgumentError
    from guichets.proof import release_hold

    wanted = _uuid("ID", hold_id)
    assert wanted is not None
    with open_session("writer") as connection:
        done = release_hold(connection, wanted)
        connection.commit()
    if not done:
        raise ArgumentError(f"no hold {hold_id} is in force")


def _narrowed(one: Hold) -> str:
    named = {
        "observation": one.observation,
        "desk": one.desk_id,
        "département": one.departement,
        "since": one.since and one.since.astimezone(_PARIS).isoformat(),
        "until": one.until and one.until.astimezone(_PARIS).isoformat(),
        "kept until": one.keep_until,
    }
    return ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)


def _uuid(option: str, text: str | None) -> UUID | None:
    from guichets.errors import ArgumentError

    try:
        return UUID(text) if text is not None else None
    except ValueError:
        raise ArgumentError(f'{option}: "{text}" is not an id') from None


def _date(text: str | None) -> date | None:
    from guichets.errors import ArgumentError

    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError:
        raise ArgumentError(f'--keep-until: "{text}" is not a day: write 2030-12-31') from None


def _day_folder(home: Path, day: date) -> Path:
    from guichets.evidence.layout import day_folder

    return day_folder(home, day)


def _listed(days: Sequence[date]) -> str:
    if not days:
        return "nothing"
    return str(days[0]) if len(days) == 1 else f"{len(days)} days, {days[0]} to {days[-1]}"


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:,.1f} MB"
