"""``guichets report``: the public site, as static pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    out: Annotated[Path, typer.Option(help="Folder of the site; made if need be.")] = Path("site"),
    period: Annotated[
        str | None,
        typer.Option(help="Quarter the first page tells of, such as 2026-Q3; else the last one over."),
    ] = None,
    replies: Annotated[
        str | None, typer.Option(help="Folder of TOML files with the préfectures' replies.")
    ] = None,
) -> None:
    """Make the public site from what may be published: delayed, and without any slot."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from guichets.cli._session import open_session
    from guichets.site import Site, build_site, read_replies
    from guichets.statistics import (
        Reports,
        bring_up_to_date,
        read_observatory,
        read_quarter,
        rules_in_force,
    )

    began = time.monotonic()
    wanted = read_quarter(period) if period is not None else None
    answers = read_replies(replies)
    rules = rules_in_force()
    console = Console(stderr=True, highlight=False)
    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("counting what was observed", total=None)
        with open_session("writer") as connection:
            connection.commit()
            connection.autocommit = True
            bring_up_to_date(connection)
        progress.update(task, description="reading what may be published")
        with open_session("public") as connection:
            connection.commit()
            connection.autocommit = True
            observatory = read_observatory(connection)
        progress.update(task, description="making pages")
        site = Site(Reports(observatory, rules), period=wanted, replies=answers)
        built = build_site(site, out, lambda done, total: progress.update(task, completed=done, total=total))
    if site.period is None:
        console.print("Nothing may be published yet: the site says so.")
    typer.echo(
        f"{built.folder / 'index.html'}: {built.pages} files, {built.written} written, {built.removed} "
        "removed, "
        f"{time.monotonic() - began:.1f} s"
    )
