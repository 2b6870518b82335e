"""``guichets schedule``: ask Scrapyd nodes for crawls, now or again and again."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from guichets.nodes.client import Node
    from guichets.nodes.timers import Recurrence

app = typer.Typer(help="Ask Scrapyd nodes for crawls, now or again and again.", no_args_is_help=True)

Nodes = Annotated[
    list[str] | None,
    typer.Option("--node", help="Address of a node; repeat the option. Else GUICHETS_NODES."),
]
Credentials = Annotated[
    Path | None,
    typer.Option(help="File of the nodes' passwords, mode 600. Else GUICHETS_NODE_CREDENTIALS."),
]
Families = Annotated[
    list[str] | None,
    typer.Option(help="Only these platforms; repeat the option or separate by commas. Else all a node has."),
]
Departements = Annotated[list[str] | None, typer.Option(help="Only these codes, such as 92,93.")]


class TimerFormat(StrEnum):
    SYSTEMD = "systemd"
    CRONTAB = "crontab"


@app.command()
def now(
    node: Nodes = None,
    family: Families = None,
    minutes: Annotated[
        float | None, typer.Option(help="How long each crawl goes on; else until nothing is due.")
    ] = None,
    departements: Departements = None,
    setting: Annotated[
        list[str] | None, typer.Option(help="A setting for the crawls, NAME=value; repeat the option.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Even where a crawl of the family runs or waits already.")
    ] = False,
    credentials: Credentials = None,
) -> None:
    """Ask each node for one crawl per family. Exit status 1 when a node could not be asked."""
    from guichets.cli.catalogue import chosen_departements, separated
    from guichets.nodes.client import NodeError, open_nodes

    arguments = {} if minutes is None else {"minutes": f"{minutes:g}"}
    if codes := chosen_departements("--departements", departements):
        arguments["departements"] = ",".join(sorted(codes))
    settings = [_checked_setting(text) for text in setting or ()]
    failed = False
    for asked in open_nodes(node, credentials):
        try:
            _ask(asked, separated(family), arguments, settings, again=again)
        except NodeError as error:
            failed = True
            typer.echo(f"guichets: {error}", err=True)
    if failed:
        raise typer.Exit(1)


@app.command()
def install(
    every: Annotated[str, typer.Option(help="How often, such as 15m, 2h or 1d.")],
    node: Nodes = None,
    family: Families = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="How long each crawl goes on; else a minute less than --every."),
    ] = None,
    departements: Departements = None,
    format_: Annotated[
        TimerFormat, typer.Option("--format", help="Units of systemd, or a line of a crontab.")
    ] = TimerFormat.SYSTEMD,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write into. Else systemd's own; a crontab line goes to stdout."),
    ] = None,
    credentials: Credentials = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be written.")] = False,
) -> None:
    """Write timers that ask the nodes for crawls. Passwords stay in their file, mode 600."""
    from guichets.nodes import timers

    what = _recurrence(every, node, family, minutes, departements, credentials)
    if format_ is TimerFormat.CRONTAB:
        text = timers.render_crontab(what)
        if dry_run or out is None:
            typer.echo(text, nl=False)
        else:
            path = timers.write(out / timers.CRONTAB_FILE, text)
            typer.echo(path)
            typer.echo(f"To add it to the crontab: (crontab -l; cat {path}) | crontab -", err=True)
        return
    folder = out or _systemd_folder()
    if dry_run:
        for suffix, text in (("service", timers.render_service(what)), ("timer", timers.render_timer(what))):
            typer.echo(f"# {folder / timers.UNIT}.{suffix}\n{text}")
        return
    units = timers.write_units(what, folder)
    for path in units:
        typer.echo(path)
    complaints = timers.complaints(units)
    for line in complaints:
        typer.echo(line, err=True)
    manager = "systemctl" if what.user else "systemctl --user"
    typer.echo(
        f"To start it: {manager} daemon-reload && {manager} enable --now {timers.UNIT}.timer", err=True
    )
    if complaints:
        raise typer.Exit(1)


def _ask(
    node: Node, families: list[str], arguments: dict[str, str], settings: list[str], *, again: bool
) -> None:
    from datetime import UTC, datetime

    from guichets.nodes.client import new_job

    busy = {job.family for job in node.jobs() if job.state != "finished"}
    for name in families or node.families():
        if name in busy and not again:
            typer.echo(f"{node.address} {name}: a crawl is under way, none added")
            continue
        job = node.schedule(name, arguments, settings, job=new_job(name, datetime.now(UTC)))
        typer.echo(f"{node.address} {name}: {job}")


def _recurrence(
    every: str,
    node: list[str] | None,
    family: list[str] | None,
    minutes: float | None,
    departements: list[str] | None,
    credentials: Path | None,
) -> Recurrence:
    """What the timer does, everything it was asked for checked now rather than at night."""
    from guichets import configuration
    from guichets.catalogue import FAMILIES
    from guichets.cli.catalogue import chosen, chosen_departements
    from guichets.nodes.client import open_nodes
    from guichets.nodes.credentials import credentials_file, read_credentials
    from guichets.nodes.timers import Recurrence, read_every

    interval = read_every(every)
    families = chosen("--family", family, FAMILIES)
    codes = chosen_departements("--departements", departements)
    file = credentials_file(credentials)
    known = read_credentials(file)
    words = [*_program(), "schedule", "now", "--credentials", str(file)]
    for asked in open_nodes(node, credentials):
        if asked.address not in known:
            typer.echo(f"guichets: {file} holds no password for {asked.address} yet", err=True)
        words += ["--node", asked.address]
    if families:
        words += ["--family", ",".join(sorted(families))]
    if codes:
        words += ["--departements", ",".join(sorted(codes))]
    # Shorter than the interval: the next job finds the node free.
    lasts = minutes if minutes is not None else max(1.0, interval.total_seconds() / 60 - 1)
    words += ["--minutes", f"{lasts:g}"]
    environment = {"GUICHETS_HOME": str(configuration.home())}
    return Recurrence(interval, words, environment, user=_owner(file))


def _program() -> list[str]:
    """The words that start this very program, by absolute paths."""
    import sys

    script = Path(sys.executable).parent / "guichets"
    return [str(script)] if script.is_file() else [sys.executable, "-m", "guichets"]


def _owner(credentials: Path) -> str | None:
    """For the system's manager, who may read the passwords; None when the units are the user's own."""
    import os
    import pwd

    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwuid(credentials.stat().st_uid).pw_name
    except (FileNotFoundError, KeyError):
        return pwd.getpwuid(0).pw_name


def _systemd_folder() -> Path:
    import os

    if os.geteuid() == 0:
        return Path("/etc/systemd/system")
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd/user"


def _checked_setting(text: str) -> str:
    from guichets import configuration
    from guichets.errors import ArgumentError

    name, separator, _ = text.partition("=")
    if not separator or not name:
        raise ArgumentError(f"--setting={text!r}: expected NAME=value")
    for line in configuration.unknown_names([name]):
        raise ArgumentError(f"--setting={text!r}: {line}")
    return text
