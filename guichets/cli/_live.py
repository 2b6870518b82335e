"""The screen of ``guichets status --live``: workers, hosts held, desks due and overdue, staleness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from psycopg import Connection

REFRESH_SECONDS = 2.0
_PARIS = ZoneInfo("Europe/Paris")


def show_live(console: Console) -> None:
    """Refresh until Ctrl-C; where there is no terminal, print once."""
    import time

    from rich.live import Live

    from guichets.cli._session import open_session

    with open_session("reader") as connection:
        connection.autocommit = True  # each look sees what others have committed
        if not console.is_terminal:
            console.print(read_screen(connection))
            return
        with Live(read_screen(connection), console=console, auto_refresh=False, screen=False) as live:
            try:
                while True:
                    time.sleep(REFRESH_SECONDS)
                    live.update(read_screen(connection), refresh=True)
            except KeyboardInterrupt:
                return


def read_screen(connection: Connection) -> RenderableType:
    """What there is to see now."""
    from psycopg.rows import dict_row

    from guichets.database.queries import load_queries

    queries = load_queries("guichets.cli", "live.sql")
    with connection.cursor(row_factory=dict_row) as cursor:
        workers = cursor.execute(queries["workers"]).fetchall()
        desks = cursor.execute(queries["desks"]).fetchone()
        hosts = cursor.execute(queries["hosts"]).fetchone()
    assert desks is not None  # aggregates yield one row each
    assert hosts is not None
    return render_screen(workers, desks, hosts)


def render_screen(
    workers: list[dict[str, Any]], desks: Mapping[str, Any], hosts: Mapping[str, Any]
) -> RenderableType:
    """The rows of live.sql as one screen."""
    now = desks["now"]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("robot", no_wrap=True, overflow="ellipsis")
    table.add_column("famille", no_wrap=True)
    table.add_column("depuis", justify="right", no_wrap=True)
    table.add_column("hôtes tenus", justify="right", no_wrap=True)
    for row in workers:
        since = duration((now - row["started_at"]).total_seconds()) if row["started_at"] else "–"
        table.add_row(Text(row["worker"]), row["family"] or "–", since, str(row["hosts"]))
    lines = [
        f"Guichets   {desks['desks']}, dus {desks['due']}, en retard {desks['overdue']}, "
        f"jamais vus {desks['never']}, interdits {desks['forbidden']}",
        f"Hôtes      {hosts['hosts']}, tenus {hosts['held']}, en pause {hosts['paused']}, "
        f"interdits {hosts['forbidden']} ; {hosts['requests_today']} requêtes aujourd’hui (UTC)",
        f"Fraîcheur  dernière visite il y a {duration(desks['stale_p50'])} (médiane), "
        f"{duration(desks['stale_p95'])} (95 %)",
    ]
    head = Text(f"{now.astimezone(_PARIS):%d/%m/%Y %H:%M:%S} (heure de Paris)", style="bold")
    nobody = Text("Aucun robot ne travaille en ce moment.")
    return Group(head, *map(Text, lines), Text(""), table if workers else nobody)


def duration(seconds: float | None) -> str:
    """Some seconds as people say them; a dash when there is nothing to say."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86_400:.0f} j"
