"""``guichets hosts``: what was sent to each host, and the means to pause, resume or forbid one."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guichets.errors import ArgumentError

if TYPE_CHECKING:
    from psycopg import Connection

app = typer.Typer(help="The ledger of hosts: requests, pace, pauses, refusals; pause, resume, forbid.")

HOSTS_FIELDS = (
    *("host", "desks", "requests_today", "peak_per_minute", "delay_seconds", "paused_seconds_today"),
    *("paused_until", "last_refusal_at", "strikes_today", "robots_status", "robots_fetched_at", "forbidden"),
    *("forbidden_by", "forbidden_why", "lease_owner", "lease_expires_at"),
    *("event_at", "event", "event_who", "event_why"),
    *("visits_today", "watch_today", "visits_week", "watch_week", "watch_rests"),
)
"""The fields of ``--format csv|json``, in their order."""

PIPED_WIDTH = 200  # into a file or a pipe, nothing is cut off to fit a screen
LONGEST_PAUSE = timedelta(days=366)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "j": "days"}
_RESTS = {"forbidden": "interdit", "paused": "pause", "refused": "refus", "failing": "en panne"}
_EVENTS = {"refused": "refus", "paused": "pause", "resumed": "reprise", "forbidden": "interdit"}


class HostsFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


Host = Annotated[str, typer.Argument(help="name, or name:port, as `guichets hosts` prints it.")]
Why = Annotated[str, typer.Option(help="The reason, kept with your name and the date.")]


@app.callback(invoke_without_command=True)
def hosts(
    context: typer.Context,
    format_: Annotated[HostsFormat, typer.Option("--format", help="How to print it.")] = HostsFormat.TABLE,
) -> None:
    """Show what was sent to each host today, how it was paced, and who holds it now."""
    if context.invoked_subcommand is not None:
        return
    rows = read_ledger()
    if format_ is HostsFormat.CSV:
        import csv

        writer = csv.DictWriter(sys.stdout, HOSTS_FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(machine_row(row) for row in rows)
    elif format_ is HostsFormat.JSON:
        import json

        typer.echo(json.dumps([machine_row(row) for row in rows], ensure_ascii=False, indent=2))
    else:
        _print_table(rows)


@app.command()
def pause(
    host: Host,
    why: Why,
    for_: Annotated[str, typer.Option("--for", help="How long: 90s, 30m, 2h, 3d.")] = "2h",
) -> None:
    """Leave a host alone for a while; a longer pause that is running stays."""
    duration = read_duration(for_)
    until = _change(host, "paused", "pause", why, duration=duration)
    typer.echo(f"{host} : en pause jusqu’au {_local(until)} (heure de Paris).")


@app.command()
def resume(host: Host, why: Why) -> None:
    """End a pause, or what an operator forbade; the day's refusals stay counted."""
    _change(host, "resumed", "resume", why)
    typer.echo(f"{host} : de nouveau visité quand un guichet y est dû.")


@app.command()
def forbid(host: Host, why: Why) -> None:
    """Send nothing to a host any more, whatever the catalogue says."""
    _change(host, "forbidden", "forbid", why)
    typer.echo(f"{host} : interdit. Plus aucune requête ne partira ; `guichets hosts resume` le lève.")


def read_ledger(host: str | None = None) -> list[dict[str, Any]]:
    """The rows of the ledger, one per host."""
    from psycopg.rows import dict_row

    from guichets.cli._session import open_session

    with open_session("reader") as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_queries()["ledger"], {"host": host}).fetchall()


def read_duration(text: str) -> timedelta:
    """``90s``, ``30m``, ``2h``, ``3d``. Raises ArgumentError."""
    found = re.fullmatch(r"(\d{1,6})\s*([smhdj])", text.strip().lower())
    duration = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta(0)
    if not timedelta(0) < duration <= LONGEST_PAUSE:
        raise ArgumentError(f"--for {text!r}: expected a duration such as 90s, 30m, 2h or 3d, a year at most")
    return duration


def machine_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for programs: instants in ISO 8601, UTC."""
    values = {name: row[name] for name in HOSTS_FIELDS}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()
    }


def _change(
    host: str, what: str, query: str, why: str, *, duration: timedelta | None = None
) -> datetime | None:
    """Do one thing to one host and keep who, when and why, all or nothing."""
    from guichets.cli._session import open_session

    if not why.strip():
        raise ArgumentError("--why is empty: say in a few words why, others will read it")
    name = host.strip().lower()
    queries = _queries()
    until = None
    with open_session("writer") as connection:
        found = connection.execute(queries["host"], {"host": name}).fetchone()
        if found is None:
            raise ArgumentError(_unknown(connection, host))
        _, forbidden, forbidden_by, is_paused = found
        if what == "resumed":
            if forbidden and forbidden_by == "catalogue":
                raise ArgumentError(f"{host} is forbidden by the catalogue's hosts.toml: change it there")
            if not forbidden and not is_paused:
                raise ArgumentError(f"{host} is neither paused nor forbidden: there is nothing to resume")
        cursor = connection.execute(queries[query], {"host": name, "duration": duration, "why": why.strip()})
        if what == "paused" and (row := cursor.fetchone()) is not None:
            until = row[0]
        connection.execute(
            queries["tell"],
            {"host": name, "what": what, "until": until, "who": _operator(), "why": why.strip()},
        )
    return until


def _unknown(connection: Connection, host: str) -> str:
    import difflib

    names = [row[0] for row in connection.execute(_queries()["names"])]
    near = difflib.get_close_matches(host, names, n=1)
    hint = f"Did you mean {near[0]}?" if near else "`guichets hosts` lists those that are."
    return f"host {host!r} is not known. {hint}"


def _operator() -> str:
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        user = "?"
    return f"{user}@{socket.gethostname()}"


def _queries() -> Mapping[str, str]:
    from guichets.database.queries import load_queries

    return load_queries("guichets.cli", "hosts.sql")


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    if not rows:
        console.print("Aucun hôte : le catalogue n’a pas encore été chargé (guichets catalogue sync).")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("hôte", no_wrap=True, overflow="ellipsis")
    for heading in ("requêtes", "max/min", "en pause", "refus", "veille"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("robots", "état"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(
            Text(row["host"]),
            str(row["requests_today"] or "·"),
            str(row["peak_per_minute"] or "·"),
            _minutes(row["paused_seconds_today"]),
            _local(row["last_refusal_at"]),
            _watch(row),
            "jamais lu" if row["robots_status"] is None else str(row["robots_status"]),
            Text(_state(row)),
        )
    console.print(table)
    sent = sum(row["requests_today"] for row in rows)
    console.print(
        f"\n{len(rows)} hôtes, {sent} requêtes aujourd’hui (UTC)."
        " Veille : part des visites hors du rythme de base, aujourd’hui / sept jours."
    )


def _state(row: Mapping[str, Any]) -> str:
    if row["forbidden"]:
        return f"interdit ({row['forbidden_why'] or row['forbidden_by']})"
    if row["paused_until"] is not None:
        reason = f" ({_EVENTS.get(row['event'], '')} : {row['event_why']})" if row["event"] else ""
        return f"pause jusqu’au {_local(row['paused_until'])}{reason}"
    if row["lease_owner"] is not None:
        return f"tenu par {row['lease_owner']}"
    return "libre"


def _watch(row: Mapping[str, Any]) -> str:
    """What share of the visits were watch probes, today and in seven days; or why there are none now."""
    if row["watch_rests"] is not None:
        return f"repos ({_RESTS[row['watch_rests']]})"
    if not row["visits_week"]:
        return "·"
    today = _share(row["watch_today"], row["visits_today"])
    return f"{today} / {_share(row['watch_week'], row['visits_week'])}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}".replace("%", " %") if whole else "–"


def _minutes(seconds: float) -> str:
    return f"{round(seconds / 60)} min" if seconds else "·"


def _local(instant: datetime | None) -> str:
    from zoneinfo import ZoneInfo

    return "–" if instant is None else f"{instant.astimezone(ZoneInfo('Europe/Paris')):%d/%m %H:%M}"
