"""The end of ``guichets demo``: a simulated year in a database of its own, and the public site made of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DAYS = 366  # so that a whole quarter of the year before can be compared now and then
HELD_BACK_DAYS = 4  # the year ends where publication begins
NAME = "simulated_year"


def build_year_site(home: Path, *, desks: int, seed: int, screen: Any) -> Path:
    """Simulate, count, publish; the path of the first page. The demonstration's server must be running."""
    import psycopg
    from psycopg import conninfo, sql
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from guichets import database
    from guichets.sandbox.year import simulate_year
    from guichets.site import Site, build_site
    from guichets.statistics import Reports, bring_up_to_date, read_observatory, rules_in_force

    server = database.dsn()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(NAME)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
    dsn = conninfo.make_conninfo(server, dbname=NAME)
    database.upgrade(dsn)
    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:
        task = progress.add_task("guichets", total=desks)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        last = datetime.now(UTC).date() - timedelta(days=HELD_BACK_DAYS)
        with database.connect("owner", dsn=dsn, autocommit=True) as connection:
            simulate_year(connection, last=last, days=DAYS, seed=seed, desks=desks, progress=show)
        with database.connect("writer", dsn=dsn, autocommit=True) as connection:
            bring_up_to_date(connection)
        with database.connect("public", dsn=dsn, autocommit=True) as connection:
            observatory = read_observatory(connection)
        progress.update(task, description="pages")
        build_site(Site(Reports(observatory, rules_in_force())), home / "site", show)
    return home / "site" / "index.html"
