"""The desk beside its département and the country, over the same days: by the published definitions alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from guichets.constat.attempts import Days, DeskFacts
from guichets.database.queries import load_queries
from guichets.statistics import Rules, Span, read_days_between
from guichets.statistics.facts import DeskDay
from guichets.statistics.figures import Figures, desk_figures, group_figures

QUERIES = load_queries("guichets.statistics", "observatory.sql")


@dataclass(frozen=True, slots=True)
class Compared:
    """One line of the comparison: a desk, or several desks together."""

    name: str
    desks: int  # observed
    seen_enough: int
    figures: Figures


def compare(connection: psycopg.Connection[Any], desk: DeskFacts, days: Days, rules: Rules) -> list[Compared]:
    """The desk, its département, its procedure in the country, and the country.

    ``connection``: the public role's, after what was observed was counted. Days are each desk's local ones.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        known = {row["id"]: row for row in cursor.execute(QUERIES["desks"])}
        by_desk = read_days_between(connection, days.first, days.last)
    span = Span(days.first, days.last)
    figures = {
        desk_id: desk_figures(found, span, rules.floor)
        for desk_id, found in by_desk.items()
        if desk_id in known and _was_looked_at(found)
    }
    groups = [
        (f"Ce guichet ({desk.id})", {"id": desk.id}),
        (f"Département : {desk.departement_name} ({desk.departement})", {"departement": desk.departement}),
        ("Même démarche, tout le pays", {"procedure": desk.procedure}),
        ("Tout le pays", {}),
    ]
    return [_compared(name, wanted, known, figures, rules) for name, wanted in groups]


def _compared(
    name: str,
    wanted: Mapping[str, str],
    known: Mapping[str, Mapping[str, Any]],
    figures: Mapping[str, Figures],
    rules: Rules,
) -> Compared:
    members = [
        one
        for desk_id, one in figures.items()
        if all(known[desk_id][column] == value for column, value in wanted.items())
    ]
    enough = sum(one.sufficient for one in members)
    alone = members[0] if "id" in wanted and members else None
    return Compared(name, len(members), enough, alone or group_figures(members, rules.floor))


def _was_looked_at(days: Sequence[DeskDay]) -> bool:
    return any(entry.counts.probes for entry in days)
