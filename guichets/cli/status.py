"""``guichets status``: what each département's desks answered last."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guichets.errors import ArgumentError

if TYPE_CHECKING:
    from guichets.outcomes import OutcomeGroup

STATUS_FIELDS = (
    "departement",
    "name",
    "desks",
    "offered",
    "none",
    "closed",
    "dysfunction",
    "barrier",
    "unrecognised",
    "other",
    "not_yet_observed",
    "first_slot",
    "second_slot",
    "last_observed_at",
)
"""The fields of ``--format csv|json``, in their order."""


class StatusFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def status(
    departement: Annotated[
        list[str] | None, typer.Option(help="Only these codes; repeat the option or separate by commas.")
    ] = None,
    format_: Annotated[StatusFormat, typer.Option("--format", help="How to print it.")] = StatusFormat.TABLE,
    live: Annotated[
        bool, typer.Option("--live", help="Workers, hosts and desks due, refreshed until Ctrl-C.")
    ] = False,
) -> None:
    """Show, by département, the latest outcome of each desk and the two earliest dates."""
    if live:
        if departement or format_ is not StatusFormat.TABLE:
            raise ArgumentError("--live shows the whole cluster on a screen: leave the other options out")
        from rich.console import Console

        from guichets.cli._live import show_live

        show_live(Console(highlight=False))
        return
    from guichets.cli.catalogue import chosen_departements

    rows = read_status(chosen_departements("--departement", departement))
    if format_ is StatusFormat.CSV:
        _print_csv(rows)
    elif format_ is StatusFormat.JSON:
        _print_json(rows)
    else:
        from rich.console import Console

        from guichets.cli._status_table import render_status_table

        Console(highlight=False).print(render_status_table(rows, now=datetime.now(UTC)))


def read_status(departements: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """The rows of the view ``departement_status``; an empty set means all."""
    from psycopg.rows import dict_row

    from guichets.cli._session import open_session
    from guichets.database.queries import load_queries

    query = load_queries("guichets.cli", "status.sql")["departement_status"]
    with open_session("reader") as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, {"departements": sorted(departements) or None}).fetchall()


def read_family_status() -> dict[str, dict[OutcomeGroup, int]]:
    """How many desks of each family had an outcome of each group last."""
    from guichets.cli._session import open_session
    from guichets.database.queries import load_queries
    from guichets.outcomes import GROUP_OF, Outcome

    found: dict[str, dict[OutcomeGroup, int]] = {}
    query = load_queries("guichets.cli", "status.sql")["family_status"]
    with open_session("reader") as connection:
        for family, outcome, desks in connection.execute(query):
            counts = found.setdefault(family, {})
            group = GROUP_OF[Outcome(outcome)]
            counts[group] = counts.get(group, 0) + desks
    return found


def machine_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for programs: ISO 8601, UTC for when it was seen, the département's own zone for slots."""
    from guichets.catalogue import departements

    zone = departements()[row["departement"]].zone
    values = {name: row[name] for name in STATUS_FIELDS}
    for name in ("first_slot", "second_slot"):
        if row[name] is not None:
            local = row[name].astimezone(zone)
            values[name] = (local if row[f"{name}_has_time"] else local.date()).isoformat()
    if row["last_observed_at"] is not None:
        values["last_observed_at"] = row["last_observed_at"].astimezone(UTC).isoformat()
    return values


def _print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    import csv

    writer = csv.DictWriter(sys.stdout, STATUS_FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(machine_row(row) for row in rows)


def _print_json(rows: Sequence[Mapping[str, Any]]) -> None:
    import json

    typer.echo(json.dumps([machine_row(row) for row in rows], ensure_ascii=False, indent=2))
